//! How far the run is: which contender runs which round, and how long the rest will take.
//!
//! Facts. A full run takes many minutes, and a program that prints nothing for a minute seems to hang. Contenders
//! differ by a factor of a hundred in how long they take for the same work.
//!
//! What follows. On a terminal, one line says what runs now and what is left; elsewhere, there is a line for each
//! group. The time left is computed for each contender of each job from its runs so far, or from the job's guess.

use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::faceoff::job::Job;

/// What is known about one contender in one job.
#[derive(Clone, Copy, Debug)]
struct Known {
    runs: u32,
    took: Duration,
    left: u32,
    guess: Duration,
}

impl Known {
    fn rest(&self) -> Duration {
        match self.runs {
            0 => self.guess * self.left,
            runs => self.took / runs * self.left,
        }
    }
}

#[derive(Debug)]
enum Voice {
    Silent,
    Lines,
    Terminal,
}

#[derive(Debug)]
pub struct Progress {
    voice: Voice,
    group: String,
    jobs: Vec<Vec<Known>>,
    shown: Option<Instant>,
}

impl Progress {
    pub fn new() -> Progress {
        let voice = if stderr().is_terminal() { Voice::Terminal } else { Voice::Lines };
        Progress { voice, ..Progress::silent() }
    }

    pub fn silent() -> Progress {
        Progress { voice: Voice::Silent, group: String::new(), jobs: Vec::new(), shown: None }
    }

    /// Takes note of the jobs that will run.
    pub fn plan(&mut self, jobs: &[Job]) {
        let known = |job: &Job| Known {
            runs: 0,
            took: Duration::ZERO,
            left: job.all_rounds() as u32,
            guess: job.guess,
        };
        self.jobs = jobs.iter().map(|job| vec![known(job); job.contenders.len()]).collect();
    }

    /// Prints something that is not a run: a build, say.
    pub fn says(&self, text: &str) {
        if !matches!(self.voice, Voice::Silent) {
            self.clear();
            eprintln!("faceoff: {text}");
        }
    }

    /// This contender is about to run this round.
    pub fn running(&mut self, index: usize, job: &Job, who: usize, round: usize) {
        let left = time_left(self.left());
        match self.voice {
            Voice::Silent => {}
            Voice::Lines if self.group == job.group => {}
            Voice::Lines => eprintln!("faceoff: {} (all will take {left} more)", job.group),
            Voice::Terminal => self.line(&format!(
                "{} of {} · {}: {} · {}, round {} of {} · {left} left",
                index + 1,
                self.jobs.len(),
                job.group,
                job.name(),
                job.contenders[who],
                round + 1,
                job.all_rounds()
            )),
        }
        self.group = job.group.into();
    }

    /// At most ten times a second, because writing to a terminal wakes another process.
    fn line(&mut self, text: &str) {
        if self.shown.is_some_and(|shown| shown.elapsed() < Duration::from_millis(100)) {
            return;
        }
        self.shown = Some(Instant::now());
        let short: String = text.chars().take(columns(stderr()).unwrap_or(80) - 1).collect();
        let _ = write!(stderr(), "\r\x1b[K{short}");
    }

    pub fn took(&mut self, index: usize, who: usize, took: Duration) {
        let known = &mut self.jobs[index][who];
        (known.runs, known.took, known.left) =
            (known.runs + 1, known.took + took, known.left.saturating_sub(1));
    }

    /// How long the rest will take.
    pub fn left(&self) -> Duration {
        self.jobs.iter().flatten().map(Known::rest).sum()
    }

    /// Removes the line.
    pub fn clear(&self) {
        if matches!(self.voice, Voice::Terminal) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

/// The width of the terminal, if it is one and says it.
pub fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 1)
}

fn time_left(left: Duration) -> String {
    match left.as_secs() {
        seconds if seconds < 90 => format!("{} s", seconds + 1),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::report::Unit;

    #[test]
    fn the_time_left_is_computed_from_past_runs_or_else_from_the_guess() {
        let mut job = Job::new("group", vec![("row".into(), Unit::Count)], vec!["a", "b"]);
        (job.rounds, job.guess) = (3, Duration::from_secs(1));
        let mut progress = Progress::silent();
        progress.plan(&[job]);
        assert_eq!(progress.left(), Duration::from_secs(8));
        progress.took(0, 0, Duration::from_secs(5));
        assert_eq!(progress.left(), Duration::from_secs(15 + 4));
    }

    #[test]
    fn time_is_told_in_words() {
        assert_eq!(time_left(Duration::from_millis(300)), "1 s");
        assert_eq!(time_left(Duration::from_secs(61)), "62 s");
        assert_eq!(time_left(Duration::from_secs(601)), "11 min");
    }
}
