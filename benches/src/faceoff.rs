//! The face-off: the same programs for every contender, in rounds that take turns, and what may be said of them.
//!
//! Facts. A machine has moods: the same program takes twice as long an hour later, and ten percent longer a second later.
//! Whoever runs all of one contender and then all of the next compares moods. What is counted has no moods.
//!
//! What follows. A *row* is one workload, and a *job* measures one or a few rows. It is run in rounds; in each round every
//! contender has its turn, and each round begins with another one. The first round is not counted. What is reported is the
//! median with the middle half of the rounds; and who is better is asked round by round, so that a mood that two contenders
//! share says nothing. Where the answer changes from round to round, nobody is called the winner.
//!
//! Each file below does one thing. [`groups`] says what is run, [`job`] runs it, [`progress`] says how far it is;
//! [`figures`] says what may be said of some numbers, [`report`] keeps them, [`tables`] prints them, [`page`] draws them,
//! [`chapter`] writes them between the words of a person. [`counts`] is how programs are looked at that are counted and not
//! timed; [`ablations`] are versions of ourselves with one mechanism less.

pub mod ablations;
pub mod budgets;
pub mod chapter;
pub mod counting;
pub mod figures;
pub mod groups;
pub mod job;
pub mod page;
pub mod pins;
pub mod place;
pub mod plan;
pub mod progress;
pub mod report;
pub mod rounds;
pub mod servers;
pub mod tables;
