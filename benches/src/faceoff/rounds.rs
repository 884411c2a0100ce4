//! How jobs are run: in rounds that take turns.
//!
//! Facts. A program that panics has not done what it was told.
//!
//! What follows. A contender that fails is an error in the report and takes no further part in its job; the others go
//! on. A run can be stopped after any turn, and the report then has what was measured so far.
//!
//! Invariant. In each round each contender has one turn, and round `n` begins with contender `n`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::faceoff::figures::Figure;
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::progress::Progress;
use crate::faceoff::report::{Report, Row};

/// Runs all jobs, and puts what they measure into the report.
pub fn run_all(jobs: Vec<Job>, report: &mut Report, progress: &mut Progress, stop: &AtomicBool) {
    progress.plan(&jobs);
    for (index, job) in jobs.into_iter().enumerate() {
        if stop.load(Relaxed) {
            break;
        }
        run_one(job, index, report, progress, stop);
    }
    progress.clear();
    report.interrupted |= stop.load(Relaxed);
}

/// The samples of each contender of a job: one list for each row.
type Samples = Vec<Vec<Vec<f64>>>;

fn run_one(mut job: Job, index: usize, report: &mut Report, progress: &mut Progress, stop: &AtomicBool) {
    let count = job.contenders.len();
    let mut samples: Samples = vec![vec![Vec::new(); job.rows.len()]; count];
    let mut takes_part = vec![true; count];
    for round in 0..job.all_rounds() {
        for turn in 0..count {
            let who = (turn + round) % count;
            if !takes_part[who] || stop.load(Relaxed) {
                continue;
            }
            progress.running(index, &job, who, round);
            let start = Instant::now();
            let result = one_run(&mut job, who);
            progress.took(index, who, start.elapsed());
            if stop.load(Relaxed) {
                continue; // The interruption may have ended this run.
            }
            match result {
                Ok(values) if round > 0 || job.rounds == 1 => keep(&mut samples[who], values),
                Ok(_) => {}
                Err(miss) => {
                    takes_part[who] = false;
                    samples[who].iter_mut().for_each(Vec::clear);
                    note(&job, job.contenders[who], miss, report);
                }
            }
        }
    }
    file(job, samples, report);
}

fn keep(lists: &mut [Vec<f64>], values: Vec<f64>) {
    assert_eq!(lists.len(), values.len(), "a run returns one sample for each row");
    lists.iter_mut().zip(values).for_each(|(list, value)| list.push(value));
}

fn one_run(job: &mut Job, who: usize) -> Result<Vec<f64>, Miss> {
    let name = job.contenders[who];
    match catch_unwind(AssertUnwindSafe(|| (job.run)(name))) {
        Ok(result) => result,
        Err(panic) => Err(Miss::Wrong(message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

fn note(job: &Job, who: &str, miss: Miss, report: &mut Report) {
    let place = format!("{}, {}: {who}", job.group, job.name());
    match miss {
        Miss::Wrong(why) => report.errors.push(format!("{place}: {why}")),
        Miss::Absent(why) => report.notes.push(format!("{place}: {why}")),
    }
}

fn file(job: Job, samples: Samples, report: &mut Report) {
    for (at, (name, unit)) in job.rows.into_iter().enumerate() {
        let present = job.contenders.iter().zip(&samples).filter(|(_, lists)| !lists[at].is_empty());
        let figures = present.map(|(who, lists)| (who.to_string(), Figure::new(lists[at].clone()))).collect();
        report.rows.push(Row { group: job.group.into(), name, unit, figures });
    }
    report.curves.extend((job.curves)());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faceoff::report::Unit;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn job(rounds: usize, run: impl FnMut(&'static str) -> Result<Vec<f64>, Miss> + 'static) -> Job {
        let rows = vec![("row".to_string(), Unit::Count)];
        Job { rounds, run: Box::new(run), ..Job::new("group", rows, vec!["a", "b", "c"]) }
    }

    fn ran(job: Job) -> Report {
        let (mut report, stop) = (Report::default(), AtomicBool::new(false));
        run_all(vec![job], &mut report, &mut Progress::silent(), &stop);
        report
    }

    #[test]
    fn every_round_begins_with_another_one() {
        let turns = Rc::new(RefCell::new(String::new()));
        let seen = Rc::clone(&turns);
        ran(job(3, move |who| {
            seen.borrow_mut().push_str(who);
            Ok(vec![1.0])
        }));
        assert_eq!(*turns.borrow(), "abcbcacababc");
    }

    #[test]
    fn the_first_round_is_not_counted() {
        let mut round = 0.0;
        let report = ran(job(2, move |who| {
            round += f64::from(who == "a");
            Ok(vec![round])
        }));
        assert_eq!(report.rows[0].figures["a"].samples, [2.0, 3.0]);
    }

    #[test]
    fn a_contender_that_does_less_is_an_error_and_no_winner() {
        let report = ran(job(2, |who| match who {
            "a" => panic!("it did less"),
            "b" => Err(Miss::Absent("it has no such thing".into())),
            _ => Ok(vec![1.0]),
        }));
        assert_eq!(report.errors, ["group, row: a: it did less"]);
        assert_eq!(report.notes, ["group, row: b: it has no such thing"]);
        assert_eq!(report.rows[0].contenders().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_stopped_run_reports_what_it_has_measured() {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let (mut report, theirs, mut runs) = (Report::default(), stop.clone(), 0);
        let job = job(5, move |_| {
            runs += 1;
            theirs.store(runs == 8, Relaxed);
            Ok(vec![f64::from(runs)])
        });
        run_all(vec![job], &mut report, &mut Progress::silent(), &stop);
        assert!(report.interrupted);
        // Two rounds of three, of which one counts; and of the third round only the run that was complete.
        assert_eq!(report.rows[0].figures["c"].samples, [5.0, 7.0]);
        assert_eq!(report.rows[0].figures["a"].samples, [6.0]);
    }
}
