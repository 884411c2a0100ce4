//! The rows that say what a mechanism buys: with it, and without it.
//!
//! Facts. Both versions are processes, so they share nothing but the machine. Two copies of the same sources may differ
//! by a percent in time, because their code is at other addresses; so a difference as small as that says nothing.
//! Instructions do not vary like that. But a loop looks at the OS by the clock, and so more often when valgrind makes
//! it slow: such looks are a few percent of the instructions of a busy loop.
//!
//! What follows. There is one row for each ablation and measure; the untouched copy is called roundel there. Times are
//! taken in rounds, counts once. Each count with valgrind takes seconds, so a quick run leaves them out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::faceoff::ablations::copies::{Counter, Server, count, count_echo, time};
use crate::faceoff::ablations::list::ABLATIONS;
use crate::faceoff::ablations::{Ablation, Measure, workshop};
use crate::faceoff::job::{Job, Miss, Run};
use crate::faceoff::place::said;
use crate::faceoff::plan::Plan;
use crate::faceoff::report::Unit;
use crate::faceoff::tables::OURS;

const GROUP: &str = "ablations";
/// The copy in which the mechanism is replaced.
const WITHOUT: &str = "without it";
/// Messages of an echo that is counted.
const MESSAGES: u64 = 10_000;

/// The counts of each copy so far, because several rows ask the untouched copy for the same.
type Known = Rc<RefCell<HashMap<(&'static str, Measure), f64>>>;

pub fn ablations(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    if !workshop::has_sources() {
        left_out.push("SKIPPED: the sources from which this was built are missing; ablations: all".into());
        return Vec::new();
    }
    eprintln!("faceoff: building {} copies of roundel, if they are not there", ABLATIONS.len() + 1);
    if let Err(why) = workshop::build() {
        return vec![failed(why)];
    }
    let counters = counters(plan, left_out);
    let known = Known::default();
    let pairs = ABLATIONS.iter().flat_map(|it| it.measures.iter().map(move |measure| (it, *measure)));
    let possible = pairs.filter(|(_, measure)| counter(measure).is_none_or(|it| counters.contains(&it)));
    possible.map(|(ablation, measure)| job(plan, ablation, measure, &known)).collect()
}

/// A job that reports this error.
fn failed(why: String) -> Job {
    let run: Run = Box::new(move |_| Err(Miss::Wrong(why.clone())));
    Job { run, ..Job::new(GROUP, vec![("building the copies".into(), Unit::Count)], vec![OURS]) }
}

/// The counters that are installed, and fast enough.
fn counters(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Counter> {
    let mut counters = Vec::new();
    match said("strace", &["-V"]) {
        Some(_) => counters.push(Counter::Strace),
        None => left_out.push("SKIPPED: strace is missing; ablations: no system calls".into()),
    }
    match said("valgrind", &["--version"]) {
        _ if plan.quick => {
            left_out.push(
                "ablations: counting instructions and allocations takes too long for a quick run".into(),
            );
        }
        Some(_) => counters.extend([Counter::Callgrind, Counter::Memcheck]),
        None => {
            left_out.push("SKIPPED: valgrind is missing; ablations: no instructions, no allocations".into());
        }
    }
    counters
}

/// The tool that counts this, if it is counted.
fn counter(measure: &Measure) -> Option<Counter> {
    match measure {
        Measure::Allocations(..) => Some(Counter::Memcheck),
        Measure::Instructions(..) | Measure::EchoInstructions(..) => Some(Counter::Callgrind),
        Measure::Calls(..) | Measure::EchoCalls(..) => Some(Counter::Strace),
        Measure::Time(..) | Measure::Echo(..) | Measure::Latency(..) => None,
    }
}

fn job(plan: &Plan, ablation: &'static Ablation, measure: Measure, known: &Known) -> Job {
    let copy = move |who: &str| if who == OURS { workshop::UNTOUCHED } else { ablation.name };
    let (what, unit) = described(measure);
    let counted = counter(&measure).is_some();
    let run: Run = match measure {
        _ if counted => {
            let (plan, known) = (*plan, Rc::clone(known));
            Box::new(move |who| once(&known, copy(who), measure, |path| counts(&plan, measure, path)))
        }
        Measure::Echo(connections, _) => echo(plan, connections, copy),
        _ => {
            let plan = *plan;
            Box::new(move |who| timed(&plan, measure, workshop::program(copy(who))))
        }
    };
    let rows = vec![(format!("{}: {what}", ablation.mechanism), unit)];
    let (rounds, guess) = match counted {
        true => (1, Duration::from_millis(if plan.quick { 300 } else { 3_000 })),
        false => (plan.rounds, Duration::from_millis(if plan.quick { 20 } else { 80 })),
    };
    Job { rounds, guess, run, ..Job::new(GROUP, rows, vec![OURS, WITHOUT]) }
}

/// The name in the report, and the unit.
fn described(measure: Measure) -> (String, Unit) {
    match measure {
        Measure::Time(_, what, _) | Measure::Latency(_, what) => (what.into(), Unit::Nanoseconds),
        Measure::Echo(_, what) => (format!("{what}, CPU"), Unit::Nanoseconds),
        Measure::Allocations(_, what, _) => (format!("{what}, allocations"), Unit::Count),
        Measure::Instructions(_, what, _) | Measure::EchoInstructions(_, what) => {
            (format!("{what}, instructions"), Unit::Count)
        }
        Measure::Calls(_, what, _) | Measure::EchoCalls(_, what) => {
            (format!("{what}, system calls"), Unit::Count)
        }
    }
}

/// A count does not change from round to round.
fn once(
    known: &Known,
    copy: &'static str,
    measure: Measure,
    count: impl FnOnce(PathBuf) -> Result<f64, String>,
) -> Result<Vec<f64>, Miss> {
    let found = known.borrow().get(&(copy, measure)).copied();
    let count = match found {
        Some(count) => count,
        None => count(workshop::program(copy)).map_err(Miss::Wrong)?,
    };
    known.borrow_mut().insert((copy, measure), count);
    Ok(vec![count])
}

fn counts(plan: &Plan, measure: Measure, copy: PathBuf) -> Result<f64, String> {
    let counter = counter(&measure).expect("only what is counted comes here");
    match measure {
        Measure::EchoCalls(connections, _) | Measure::EchoInstructions(connections, _) => {
            // The connection that pauses takes longer.
            let messages = if connections == 1 { MESSAGES / 10 } else { MESSAGES };
            count_echo(&copy, connections, messages / plan.share.min(4), counter)
        }
        Measure::Allocations(program, _, work)
        | Measure::Instructions(program, _, work)
        | Measure::Calls(program, _, work) => count(&copy, program, work / plan.share.min(4), counter),
        Measure::Time(..) | Measure::Echo(..) | Measure::Latency(..) => unreachable!("this is not counted"),
    }
}

fn timed(plan: &Plan, measure: Measure, copy: PathBuf) -> Result<Vec<f64>, Miss> {
    let took = match measure {
        Measure::Latency(hot, _) => latency(&copy, hot, 200 / plan.share),
        Measure::Time(program, _, work) => time(&copy, program, work / plan.share.min(2)),
        _ => unreachable!("this is not timed"),
    };
    took.map(|took| vec![took]).map_err(Miss::Wrong)
}

/// The median of this many messages.
fn latency(copy: &std::path::Path, hot: usize, messages: u64) -> Result<f64, String> {
    let server = Server::start(copy, hot, &[])?;
    let mut took = server.talk(1, messages)?;
    took.sort();
    Ok(took[took.len() / 2].as_nanos() as f64)
}

/// Processor time of servers that run from the first round to the last.
fn echo(plan: &Plan, connections: usize, copy: impl Fn(&str) -> &'static str + 'static) -> Run {
    let rounds = 4_000 / connections as u64 / plan.share.min(4);
    let mut servers: HashMap<&'static str, Server> = HashMap::new();
    Box::new(move |who| {
        let server = match servers.remove(who) {
            Some(server) => server,
            None => Server::start(&workshop::program(copy(who)), 0, &[]).map_err(Miss::Wrong)?,
        };
        let before = server.cpu().map_err(Miss::Absent)?;
        server.talk(connections, rounds).map_err(Miss::Wrong)?;
        let cpu = server.cpu().map_err(Miss::Absent)? - before;
        servers.insert(who, server);
        Ok(vec![cpu / (rounds * connections as u64) as f64])
    })
}
