//! The counted rows: allocations, bytes, system calls, instructions, and the size of a program.
//!
//! Facts. A count is nearly the same in each run, so one run is enough. One run of a child can give many counts.
//!
//! What follows. A job is one child, or one of each program, and its rows are the child's counts. It runs each load
//! three times: once to be warm, then a short and a long run, whose difference is the figure. [`counts`] says what is
//! left out if a tool is missing.
//!
//! Contract. The names of the rows are those in `benches/budgets.toml`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::faceoff::counting::child::Reading;
use crate::faceoff::counting::clients::Clients;
use crate::faceoff::counting::process::{Process, Program, counting, has};
use crate::faceoff::counting::slope;
use crate::faceoff::counting::tools::Tool;
use crate::faceoff::groups::hello;
use crate::faceoff::job::{Job, Miss};
use crate::faceoff::plan::Plan;
use crate::faceoff::report::Unit;
use crate::faceoff::tables::OURS;
use crate::server::raise_descriptor_limit;

const GROUP: &str = "counts";
const ALL: [&str; 7] = ["roundel", "tokio", "tokio_local", "smol", "monoio", "monoio_uring", "compio"];
const SERVERS: [&str; 8] =
    ["roundel", "tokio", "tokio_local", "smol", "monoio", "monoio_uring", "compio", "mio"];
/// The contenders that have channels and locks.
const THREE: [&str; 3] = ["roundel", "tokio", "smol"];
const TWO: [&str; 2] = ["roundel", "tokio"];

/// A program of the child, how often it runs in the short part and in the long one, and the name of one operation.
type Load = (&'static str, u64, u64, &'static str);
type Rows = Vec<(String, Unit)>;
type Result<T> = std::result::Result<T, Miss>;
/// The counts of one contender: a figure for each row.
type One = Arc<dyn Fn(&'static str) -> Result<Vec<f64>> + Send + Sync>;

#[rustfmt::skip] // A table is read by columns.
const MEMORY: [Load; 2] = [
    ("spawn", 1_000, 11_000, "per spawn"),
    ("sleep", 1_000, 11_000, "per sleep"),
];
#[rustfmt::skip]
const CALLS: [Load; 3] = [
    ("yield", 100, 2_100, "per yield_now of one task alone"),
    ("hop", 100, 2_100, "per hop between two tasks"),
    ("nap", 10, 60, "per sleep of 1 ms"),
];
#[rustfmt::skip]
const WORK: [Load; 6] = [
    ("spawn", 1_000, 9_000, "per spawn of one"),
    ("batch", 1_000, 9_000, "per spawn of 1,000"),
    ("self-wake", 1_000, 21_000, "per wake of oneself"),
    ("hop", 1_000, 9_000, "per hop between two tasks"),
    ("sleep", 1_000, 9_000, "per sleep, started and dropped"),
    ("timeout", 1_000, 9_000, "per timeout around a yield"),
];
#[rustfmt::skip]
const CROWD: [Load; 3] = [
    ("timeout-before", 1_000, 9_000, "per timeout that ends before 10,000 sleeps"),
    ("timeout-after", 1_000, 9_000, "per timeout that ends after 10,000 sleeps"),
    ("timeout-among", 1_000, 9_000, "per timeout that ends among 10,000 sleeps"),
];
#[rustfmt::skip]
const WORDS: [Load; 3] = [
    ("message", 1_000, 9_000, "per message through bounded(100)"),
    ("unbounded", 1_000, 9_000, "per message without a limit"),
    ("mutex", 1_000, 9_000, "per lock of a mutex that no other task wants"),
];
const ONCE: [Load; 1] = [("oneshot", 1_000, 9_000, "per oneshot")];

/// The jobs of this group. The program that counts allocations is built first, before anything is measured.
pub fn counts(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    // If it is missing, each job that needs it says why.
    let _ = counting();
    jobs(plan, left_out)
}

/// The jobs whose tools are there.
fn jobs(plan: &Plan, left_out: &mut Vec<String>) -> Vec<Job> {
    if plan.quick {
        left_out.push("counts: a quick run holds no million tasks and builds no hello".into());
    }
    let mut jobs = without_tools(plan);
    for (tool, theirs) in [(Tool::Strace, calls(plan)), (Tool::Callgrind, instructions(plan))] {
        match has(tool) {
            true => jobs.extend(theirs),
            false => left_out.push(missing(tool)),
        }
    }
    jobs
}

/// All jobs of this group.
#[cfg(test)]
pub fn all(plan: &Plan) -> Vec<Job> {
    without_tools(plan).into_iter().chain(calls(plan)).chain(instructions(plan)).collect()
}

fn without_tools(plan: &Plan) -> Vec<Job> {
    let mut jobs = vec![memory(plan), memory_of_connections(plan), memory_of_messages(plan)];
    jobs.extend([
        held_tasks(plan, "idle", 100_000),
        held_tasks(plan, "sleeping", 100_000),
        held_connections(plan, 1_000),
    ]);
    if !plan.quick {
        jobs.extend([held_tasks(plan, "idle", 1_000_000), held_tasks(plan, "sleeping", 1_000_000)]);
        jobs.push(held_connections(plan, 10_000));
        jobs.extend(hello::jobs(plan, GROUP));
    }
    jobs
}

/// One loud line.
fn missing(tool: Tool) -> String {
    let what = if tool == Tool::Strace { "system calls" } else { "instructions" };
    format!("SKIPPED counts: `{}` is not there, so no {what} are counted; install it", tool.name())
}

/// A job of one round.
fn job(plan: &Plan, contenders: &[&'static str], rows: Rows, milliseconds: u64, run: One) -> Job {
    let contenders: Vec<_> = contenders.iter().copied().filter(|name| !plan.alone || *name == OURS).collect();
    let guess = Duration::from_millis(milliseconds);
    Job { guess, run: Box::new(move |who| run(who)), ..Job::new(GROUP, rows, contenders) }
}

/// The same with all contenders at once, as many as there are cores: other processes do not change the counts of a tool
/// or an allocator.
fn in_company(plan: &Plan, contenders: &[&'static str], rows: Rows, milliseconds: u64, run: One) -> Job {
    let mut job = job(plan, contenders, rows, milliseconds, run.clone());
    let (names, mut results) = (job.contenders.clone(), HashMap::new());
    job.run = Box::new(move |who| {
        if results.is_empty() {
            results = all_of(&names, &run);
        }
        results.remove(who).unwrap_or_else(|| Err(Miss::Wrong("its thread has panicked".into())))
    });
    job
}

type Results = HashMap<&'static str, Result<Vec<f64>>>;

/// The counts of all contenders. Each thread takes the next contender that is left.
fn all_of(names: &[&'static str], run: &One) -> Results {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    let work = || {
        while let Some(who) = names.get(next.fetch_add(1, Relaxed)) {
            let result = run(who);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(*who, result);
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)));
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The words of a child that runs each load three times.
fn words(who: &str, loads: &[Load]) -> Vec<String> {
    let three = |(program, short, long, _): &Load| {
        [short, short, long].map(|n| format!("{program}:{n}")).into_iter().collect::<Vec<_>>()
    };
    ["run".into(), who.into()].into_iter().chain(loads.iter().flat_map(three)).collect()
}

/// The slope of each load, from the parts that [`words`] makes.
fn slopes(loads: &[Load], parts: &[f64]) -> Result<Vec<f64>> {
    if parts.len() != 3 * loads.len() {
        return Err(Miss::Wrong(format!("{} parts were counted, of {}", parts.len(), 3 * loads.len())));
    }
    let one = |((_, short, long, _), parts): (&Load, &[f64])| slope((*short, parts[1]), (*long, parts[2]));
    Ok(loads.iter().zip(parts.chunks(3)).map(one).collect())
}

/// The steps between readings.
fn steps(readings: &[Reading]) -> Vec<Reading> {
    readings.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// Calls that took memory, and their bytes, per operation.
fn memory(plan: &Plan) -> Job {
    let rows = MEMORY.iter().flat_map(|(.., of)| memory_rows(of)).collect();
    let run = |who: &'static str| {
        let words = words(who, &MEMORY);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut process = Process::start(Program::Counting, None, &words)?;
        let readings = (0..=3 * MEMORY.len()).map(|_| process.reading()).collect::<Result<Vec<_>>>()?;
        process.end()?;
        let steps = steps(&readings);
        let calls = slopes(&MEMORY, &steps.iter().map(|step| step.calls).collect::<Vec<_>>())?;
        let bytes = slopes(&MEMORY, &steps.iter().map(|step| step.bytes).collect::<Vec<_>>())?;
        Ok(calls.into_iter().zip(bytes).flat_map(|(calls, bytes)| [calls, bytes]).collect())
    };
    in_company(plan, &ALL, rows, 50, Arc::new(run))
}

fn memory_rows(of: &str) -> [(String, Unit); 2] {
    [(format!("allocations {of}"), Unit::Count), (format!("bytes allocated {of}"), Unit::Bytes)]
}

/// A server, and its readings.
struct Served {
    process: Process,
    address: SocketAddr,
    readings: Vec<Reading>,
}

impl Served {
    fn start(who: &str, program: Program, tool: Option<Tool>) -> Result<Served> {
        let mut process = Process::start(program, tool, &["serve", who])?;
        let address = process.address()?;
        Ok(Served { process, address, readings: Vec::new() })
    }

    fn read(&mut self) -> Result<()> {
        let reading = self.process.ask()?;
        self.readings.push(reading);
        Ok(())
    }

    /// This many clients come, are answered once, and go.
    fn visits(&mut self, count: u64) -> Result<()> {
        (0..count).try_for_each(|_| self.clients(1).map(drop))?;
        self.read()
    }

    fn clients(&self, count: usize) -> Result<Clients> {
        Clients::new(self.address, count).map_err(unanswered)
    }

    /// Messages of these clients: this many rounds for each part.
    fn rounds(&mut self, connections: usize, parts: [u64; 3], pause: Duration) -> Result<()> {
        let mut clients = self.clients(connections)?;
        self.read()?;
        for rounds in parts {
            clients.rounds(rounds, pause).map_err(unanswered)?;
            self.read()?;
        }
        Ok(())
    }

    /// Rounds in which the server is stopped while the clients write, so that each contender finds all messages in one
    /// look. The first part makes it warm. The second part has stops without messages, and the third one stops with them.
    fn rounds_in_one_look(&mut self, connections: usize, rounds: u64) -> Result<()> {
        let mut clients = self.clients(connections)?;
        self.read()?;
        for (rounds, talks) in [(10, true), (rounds, false), (rounds, true)] {
            for _ in 0..rounds {
                self.process.halt()?;
                let sent = if talks { clients.send() } else { Ok(()) };
                self.process.go_on();
                sent.and_then(|()| if talks { clients.receive() } else { Ok(()) }).map_err(unanswered)?;
            }
            self.read()?;
        }
        Ok(())
    }

    /// Calls that took memory, and their bytes, for one of what was done three times.
    fn memory(self, short: u64, long: u64) -> Result<Vec<f64>> {
        self.process.end()?;
        let steps = steps(&self.readings);
        let slope = |what: fn(&Reading) -> f64| slope((short, what(&steps[1])), (long, what(&steps[2])));
        Ok(vec![slope(|step| step.calls), slope(|step| step.bytes)])
    }
}

fn unanswered(error: io::Error) -> Miss {
    Miss::Wrong(format!("a client was not answered: {error}"))
}

/// The same for connections that are answered once.
fn memory_of_connections(plan: &Plan) -> Job {
    let run = |who: &'static str| {
        let mut served = Served::start(who, Program::Counting, None)?;
        served.read()?;
        [100, 100, 500].into_iter().try_for_each(|count| served.visits(count))?;
        served.memory(100, 500)
    };
    in_company(plan, &SERVERS, memory_rows("per connection, answered once").to_vec(), 100, Arc::new(run))
}

fn memory_of_messages(plan: &Plan) -> Job {
    let run = |who: &'static str| {
        let mut served = Served::start(who, Program::Counting, None)?;
        served.rounds(20, [10, 10, 110], Duration::ZERO)?;
        served.memory(200, 2_200)
    };
    in_company(plan, &SERVERS, memory_rows("per message").to_vec(), 100, Arc::new(run))
}

/// What each of this many tasks holds.
fn held_tasks(plan: &Plan, state: &'static str, n: usize) -> Job {
    let of = format!("per {state} task, of {}", Unit::Count.shown(n as f64));
    let run = move |who: &'static str| {
        let tasks = n.to_string();
        let step = |program| between(Process::start(program, None, &["hold", who, state, &tasks])?);
        // The kernel maps a file by several pages at once, which differs by some dozens of pages from run to run.
        let resident: Result<Vec<f64>> = (0..5).map(|_| Ok(step(Program::Plain)?.resident)).collect();
        let mut resident = resident?;
        resident.sort_by(f64::total_cmp);
        Ok(vec![step(Program::Counting)?.held / n as f64, resident[2] / n as f64])
    };
    job(plan, &ALL, held_rows(&of), n as u64 / 250, Arc::new(run))
}

fn held_rows(of: &str) -> Vec<(String, Unit)> {
    ["bytes held", "bytes resident"].map(|what| (format!("{what} {of}"), Unit::Bytes)).to_vec()
}

/// The step between the last two readings of a child that ends by itself.
fn between(mut process: Process) -> Result<Reading> {
    process.reading()?;
    let before = process.reading()?;
    let after = process.reading()?;
    process.end()?;
    Ok(after.since(before))
}

/// What each of this many connections holds after one answer.
fn held_connections(plan: &Plan, n: usize) -> Job {
    let of = format!("per connection, of {}", Unit::Count.shown(n as f64));
    let run = move |who: &'static str| {
        if raise_descriptor_limit() < n as u64 + 100 {
            return Err(Miss::Absent(format!("SKIPPED: it takes a limit of {n} descriptors, and 100 more")));
        }
        let step = |program| {
            let mut served = Served::start(who, program, None)?;
            served.read()?;
            served.read()?;
            let _clients = served.clients(n)?;
            served.read()?;
            served.process.end()?;
            Ok(served.readings[2].since(served.readings[1]))
        };
        let (counting, plain) = (step(Program::Counting)?, step(Program::Plain)?);
        Ok(vec![counting.held / n as f64, plain.resident / n as f64])
    };
    job(plan, &SERVERS, held_rows(&of), n as u64 / 4, Arc::new(run))
}

/// What a tool counts per operation, in one child that runs all the loads.
fn programs(who: &'static str, tool: Tool, loads: &[Load]) -> Result<Vec<f64>> {
    let words = words(who, loads);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    slopes(loads, &Process::start(Program::Plain, Some(tool), &words)?.end()?)
}

fn tool_job(plan: &Plan, tool: Tool, contenders: &[&'static str], loads: &[Load]) -> Job {
    let loads = shortened(plan, loads);
    let (what, milliseconds) =
        if tool == Tool::Strace { ("system calls", 500) } else { ("instructions", 1_500) };
    let rows = loads.iter().map(|(.., of)| (format!("{what} {of}"), Unit::Count)).collect();
    in_company(plan, contenders, rows, milliseconds, Arc::new(move |who| programs(who, tool, &loads)))
}

/// A quick run takes a quarter of the long part.
fn shortened(plan: &Plan, loads: &[Load]) -> Vec<Load> {
    let quarter = |&(program, short, long, of): &Load| (program, short, short + (long - short) / 4, of);
    if plan.quick { loads.iter().map(quarter).collect() } else { loads.to_vec() }
}

/// What a tool counts per echo of a clients, with or without pauses.
fn echoes(who: &'static str, tool: Tool, connections: u64, rounds: [u64; 3], pause: Duration) -> Result<f64> {
    let mut served = Served::start(who, Program::Plain, Some(tool))?;
    served.rounds(connections as usize, rounds, pause)?;
    let parts = served.process.end()?;
    let [_, short, long] = parts[..] else {
        return Err(Miss::Wrong(format!("{} parts were counted, of 3", parts.len())));
    };
    Ok(slope((rounds[1] * connections, short), (rounds[2] * connections, long)))
}

fn calls(plan: &Plan) -> Vec<Job> {
    let long = if plan.quick { 60 } else { 510 };
    let run = move |who: &'static str| {
        let busy = echoes(who, Tool::Strace, 20, [10, 10, long], Duration::ZERO)?;
        let idle = echoes(who, Tool::Strace, 1, [10, 10, long], Duration::from_micros(300))?;
        Ok(vec![busy, idle])
    };
    let rows = ["system calls per echo, 20 busy connections", "system calls per echo, one that pauses"];
    let rows = rows.map(|name| (name.to_owned(), Unit::Count)).to_vec();
    vec![tool_job(plan, Tool::Strace, &ALL, &CALLS), job(plan, &SERVERS, rows, 800, Arc::new(run))]
}

/// Instructions per echo, when this many connections have sent before the server looks: one turn of the loop for all of
/// them. A server that is faster than its clients would find fewer, and pay for more turns.
fn work_of_echoes(who: &'static str, connections: u64, rounds: u64) -> Result<f64> {
    let mut served = Served::start(who, Program::Plain, Some(Tool::Callgrind))?;
    served.rounds_in_one_look(connections as usize, rounds)?;
    let parts = served.process.end()?;
    let [_, without, with] = parts[..] else {
        return Err(Miss::Wrong(format!("{} parts were counted, of 3", parts.len())));
    };
    Ok(slope((0, without), (rounds * connections, with)))
}

fn instructions(plan: &Plan) -> Vec<Job> {
    let rounds = if plan.quick { 50 } else { 300 };
    let run = move |who: &'static str| Ok(vec![work_of_echoes(who, 20, rounds)?]);
    let rows = vec![("instructions per echo, 20 connections".to_owned(), Unit::Count)];
    vec![
        tool_job(plan, Tool::Callgrind, &ALL, &WORK),
        tool_job(plan, Tool::Callgrind, &ALL, &CROWD),
        tool_job(plan, Tool::Callgrind, &THREE, &WORDS),
        tool_job(plan, Tool::Callgrind, &TWO, &ONCE),
        in_company(plan, &SERVERS, rows, 1_000, Arc::new(run)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_load_has_a_warm_a_short_and_a_long_part() {
        assert_eq!(words("smol", &ONCE), ["run", "smol", "oneshot:1000", "oneshot:1000", "oneshot:9000"]);
        let parts = [9_999.0, 1_000.0, 3_000_000.0 + 1_000.0, 0.0, 500.0, 10_500.0];
        assert_eq!(slopes(&MEMORY, &parts), Ok(vec![300.0, 1.0]));
    }

    #[test]
    fn a_part_that_is_missing_is_an_error() {
        assert_eq!(slopes(&ONCE, &[1.0, 2.0]), Err(Miss::Wrong("2 parts were counted, of 3".into())));
    }

    #[test]
    fn a_quick_run_has_only_rows_that_a_full_one_has() {
        let names = |quick| all(&Plan::new(quick)).into_iter().flat_map(|job| job.rows).map(|row| row.0);
        let full: Vec<String> = names(false).collect();
        names(true).for_each(|name| assert!(full.contains(&name), "{name}"));
        full.iter().enumerate().for_each(|(i, name)| assert!(!full[..i].contains(name), "{name} twice"));
    }
}
