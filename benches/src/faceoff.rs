//! The face-off: the same programs for every contender, in rounds that take turns, and what may be said of them.
//!
//! Facts. A machine has moods: the same program takes twice as long an hour later, and ten percent longer a second later.
//! Whoever runs all of one contender and then all of the next compares moods.
//!
//! What follows. A *row* is one workload. It is run in rounds; in each round every contender has its turn, and each round
//! begins with another one. The first round is not counted. What is reported is the median with the spread of the middle
//! half of the rounds; and where two spreads overlap, nobody is called the winner.
//!
//! Each file below does one thing: [`figures`] says what may be said of some numbers, [`rows`] what is run, [`report`]
//! prints it, [`json`] writes it down.

pub mod figures;
pub mod json;
pub mod report;
pub mod rows;
