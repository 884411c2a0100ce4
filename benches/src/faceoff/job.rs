//! A job: a few rows that are measured together.
//!
//! Facts. One run of a server gives its throughput, its latencies and its processor time at once.
//!
//! What follows. A [`Job`] runs one contender once and returns one sample for each of its rows, or says why there is
//! none.
//!
//! What it does not know: when it runs, and how often. [`rounds`](crate::faceoff::rounds) decides that.

use std::time::Duration;

use crate::faceoff::report::{Curve, Unit};

/// Why there is no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It did not do what it was told. This is an error.
    Wrong(String),
    /// It cannot do this, or not in time. This is a note in the report.
    Absent(String),
}

/// A run of one contender: a sample for each row of the job.
pub type Run = Box<dyn FnMut(&'static str) -> Result<Vec<f64>, Miss>>;

pub struct Job {
    pub group: &'static str,
    pub rows: Vec<(String, Unit)>,
    pub contenders: Vec<&'static str>,
    /// How many rounds count. One more comes before them, unless there is only one: exact counts need no warm-up.
    pub rounds: usize,
    /// How long one run takes, until that is known.
    pub guess: Duration,
    pub run: Run,
    /// What the runs have collected beside their samples. Called once, at the end.
    pub curves: Box<dyn FnOnce() -> Vec<Curve>>,
}

impl Job {
    /// A job without curves.
    pub fn new(group: &'static str, rows: Vec<(String, Unit)>, contenders: Vec<&'static str>) -> Job {
        let run = Box::new(|_: &'static str| unreachable!("a job is told what to run"));
        let (rounds, guess, curves) = (1, Duration::from_millis(100), Box::new(Vec::new));
        Job { group, rows, contenders, rounds, guess, run, curves }
    }

    pub fn name(&self) -> &str {
        self.rows.first().map_or("", |row| &row.0)
    }

    /// The number of rounds, including the one that does not count.
    pub fn all_rounds(&self) -> usize {
        if self.rounds == 1 { 1 } else { self.rounds + 1 }
    }
}
