//! The face-off: the same programs for every contender, in rounds that take turns, and what the results mean.
//!
//! Facts. A machine has moods: the same program takes twice as long an hour later, and ten percent longer a second
//! later. Running all of one contender and then all of the next compares moods. Counts have no moods.
//!
//! What follows. A *row* is one workload, and a *job* measures one or a few rows. It runs in rounds; in each round
//! every contender has its turn, and each round begins with another one. The first round does not count. The report has
//! the median, with the middle half of the rounds. Contenders are compared round by round, so that a mood that two of
//! them share has no influence. If the answer changes from round to round, there is no winner.
//!
//! Each file below does one thing. [`groups`] says what is run, and [`plan`] how much of it; a [`job`] is a part of
//! that, [`rounds`] runs the jobs, and [`progress`] says how far they are. [`figures`] says what some numbers mean,
//! [`report`] keeps them, [`tables`] prints them, [`page`] draws them, and [`chapter`] writes them between the words of
//! an author. [`counting`] looks at programs that are counted and not timed, and [`budgets`] holds what ours may cost.
//! [`ablations`] are versions of roundel with one mechanism less.

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
