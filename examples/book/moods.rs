//! Two programs on a machine with moods, measured in three ways. Only one of the ways is right.
//!
//! Run it with `cargo run --release --example moods`.
//!
//! Facts. The second program always needs 1.2 times the work of the first. The machine becomes slower, and then faster
//! again, and now and then another program needs it for a moment. The machine is simulated, so the figures are exact.
//!
//! What follows. Each way uses the same machine for the same number of runs, but in another order and with another
//! summary.

#![forbid(unsafe_code)]

use examples::{args, println};

/// A machine on which a run takes time, and whose mood changes with every run.
#[derive(Default)]
struct Machine {
    runs: usize,
}

impl Machine {
    /// How long this much work takes now.
    fn takes(&mut self, work: f64) -> f64 {
        self.runs += 1;
        // Fast for twenty runs, slow for twenty; and every seventh run is disturbed.
        let mood = if (self.runs / 20).is_multiple_of(2) { 1.0 } else { 1.6 };
        let disturbed = if self.runs.is_multiple_of(7) { 5.0 } else { 1.0 };
        work * mood * disturbed
    }
}

const ROUNDS: usize = 20;
const FIRST: f64 = 10.0;
const SECOND: f64 = 12.0;

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// All runs of one program, then all runs of the other.
fn one_after_the_other() -> (Vec<f64>, Vec<f64>) {
    let mut machine = Machine::default();
    let mut runs = |work| (0..ROUNDS).map(|_| machine.takes(work)).collect();
    (runs(FIRST), runs(SECOND))
}

/// In each round each program has its turn, and each round begins with the other one.
fn in_turns() -> (Vec<f64>, Vec<f64>) {
    let mut machine = Machine::default();
    let round = |round: usize| match round % 2 {
        0 => (machine.takes(FIRST), machine.takes(SECOND)),
        _ => {
            let second = machine.takes(SECOND);
            (machine.takes(FIRST), second)
        }
    };
    (0..ROUNDS).map(round).unzip()
}

fn main() {
    args::none();
    println!("the truth:                                   1.20");
    let (first, second) = one_after_the_other();
    println!("one after the other, means:                  {:.2}", mean(&second) / mean(&first));
    println!("one after the other, medians:                {:.2}", median(&second) / median(&first));
    let (first, second) = in_turns();
    println!("in turns, means:                             {:.2}", mean(&second) / mean(&first));
    let ratios: Vec<f64> = first.iter().zip(&second).map(|(first, second)| second / first).collect();
    println!("in turns, the median of the rounds' ratios:  {:.2}", median(&ratios));
}
