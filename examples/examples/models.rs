//! Five ways to do many jobs, measured: one after the other, on an event loop, in threads, in processes, and on one loop
//! for each core.
//!
//! Run it with `cargo run --release --example models`. Only Linux reports the memory and the threads.
//!
//! Facts. A wait needs no processor, and a computation needs nothing else. A model decides how many jobs may wait at
//! once, and how many may compute at once. Threads and processes have to be started, and need memory each.
//!
//! What follows. Each measurement runs in a process of its own, so that no model inherits the memory of another. Each
//! round measures all models, one after the other, so that a slow second of the machine does not hit only one of them.
//! The table has the shortest times of each model, because whatever disturbs a run only makes it longer, and the most
//! memory and threads.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use examples::args::{self, Args};
use examples::limits::raise_open_files;
use examples::println;
use roundel::time::sleep;
use roundel::workers::{self, ProcessPool};
use roundel::{run, spawn};
use rustix::time::{ClockId, clock_gettime};

const USAGE: &str = "\
usage: models [waits|computing|mix|amdahl] [OPTIONS]
  waits        jobs that wait for 10 ms each
  computing    jobs that only compute
  mix          jobs that wait for 10 ms and then compute for a while
  amdahl       a job of which only a part can be divided, by one thread and
               by one for each core
  --jobs N     how many jobs wait, alone or in the mix; default 100
  --pieces N   how many jobs compute; default 8
  --size N     how many steps each of those computes, and in the mix a tenth
               of it; default 20000000
  --rounds N   how often each model is measured; default 5
  --one MODEL  measures only sequential, event-loop, threads, processes or
               loop-per-core, once, in this process";

const MODELS: [&str; 5] = ["sequential", "event-loop", "threads", "processes", "loop-per-core"];
const WAIT: Duration = Duration::from_millis(10);
/// A build without optimisation takes ten times as long for a step, and its figures mean nothing. So it measures less.
const STEPS: usize = if cfg!(debug_assertions) { 200_000 } else { 20_000_000 };
const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 5 };

/// What is to be done: this number of jobs, each of which waits and then computes.
#[derive(Clone, Copy)]
struct Work {
    jobs: usize,
    wait: Duration,
    steps: u64,
}

/// What it has cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanos: u64,
    processor_nanos: u64,
    memory_kib: u64,
    threads: u64,
}

/// The threads that this process had when its last job began.
static THREADS: AtomicUsize = AtomicUsize::new(0);

fn compute(steps: u64) -> u64 {
    (0..steps).fold(0, |sum, n| black_box(n).wrapping_mul(n).wrapping_add(sum))
}

/// A job for a thread of its own, which may block.
fn block(work: Work, number: usize) {
    count_threads(work, number);
    if !work.wait.is_zero() {
        thread::sleep(work.wait);
    }
    black_box(compute(work.steps));
}

/// The same job for a task, which awaits.
async fn wait(work: Work, number: usize) {
    count_threads(work, number);
    if !work.wait.is_zero() {
        sleep(work.wait).await;
    }
    black_box(compute(work.steps));
}

/// The last job looks how many threads there are now.
fn count_threads(work: Work, number: usize) {
    if number + 1 == work.jobs {
        count_threads_now();
    }
}

fn count_threads_now() {
    THREADS.store(status("Threads:") as usize, Relaxed);
}

/// A number from the kernel's file about this process; 0 where there is no such file.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How long the processors have worked for this process.
fn processor_nanos() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What this process has used so far. Its memory is the most that it has ever had, without the pages of its program
/// file, because all processes of a program share these.
fn used() -> Cost {
    let memory_kib = status("VmHWM:").saturating_sub(status("RssFile:"));
    Cost { nanos: 0, processor_nanos: processor_nanos(), memory_kib, threads: THREADS.load(Relaxed) as u64 }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does the jobs with these numbers on an event loop of this thread, each in a task.
fn on_a_loop(work: Work, numbers: impl Iterator<Item = usize>) {
    run(async {
        let tasks: Vec<_> = numbers.map(|number| spawn(wait(work, number))).collect();
        for task in tasks {
            task.await.expect("no job panics");
        }
    });
}

fn in_threads(work: Work) -> io::Result<()> {
    thread::scope(|scope| {
        for number in 0..work.jobs {
            thread::Builder::new().spawn_scoped(scope, move || block(work, number))?;
        }
        Ok(())
    })
}

/// Does each job in a process of its own. Returns what these processes have used.
fn in_processes(work: Work) -> io::Result<Vec<Cost>> {
    let input = [work.wait.as_nanos().to_string(), work.steps.to_string()].join(" ");
    let outputs = run(async {
        let pool = ProcessPool::new(work.jobs)?;
        io::Result::Ok(pool.map("job", vec![input; work.jobs]).await)
    });
    count_threads_now();
    outputs?.into_iter().map(|output| Cost::read(&output.map_err(io::Error::other)?)).collect()
}

/// The job of a worker process: waits, computes, and reports what the process has used.
fn job(input: &[u8]) -> Result<Vec<u8>, String> {
    let [nanos, steps] = numbers(input)?;
    block(Work { jobs: 1, wait: Duration::from_nanos(nanos), steps }, 0);
    Ok(used().write().into_bytes())
}

/// One loop for each core. Each does its part of the jobs, and none knows of the others.
fn on_loops(work: Work) {
    thread::scope(|scope| {
        for core in 0..cores() {
            scope.spawn(move || on_a_loop(work, (core..work.jobs).step_by(cores())));
        }
    });
}

/// Does the work by one model, in this process.
fn measure(model: &str, work: Work) -> io::Result<Cost> {
    let (before, start) = (processor_nanos(), Instant::now());
    let mut others = Vec::new();
    match model {
        "sequential" => (0..work.jobs).for_each(|number| block(work, number)),
        "event-loop" => on_a_loop(work, 0..work.jobs),
        "threads" => in_threads(work)?,
        "processes" => others = in_processes(work)?,
        _ => on_loops(work),
    }
    let mut cost = Cost { nanos: start.elapsed().as_nanos() as u64, ..used() };
    cost.processor_nanos -= before;
    for other in others {
        cost.processor_nanos += other.processor_nanos;
        cost.memory_kib += other.memory_kib;
        cost.threads += other.threads;
    }
    Ok(cost)
}

/// The numbers of a text.
fn numbers<const N: usize>(text: &[u8]) -> Result<[u64; N], String> {
    let text = String::from_utf8_lossy(text);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| format!("`{}` are not {N} numbers", text.trim()))
}

impl Cost {
    fn write(self) -> String {
        [self.nanos, self.processor_nanos, self.memory_kib, self.threads].map(|n| n.to_string()).join(" ")
    }

    fn read(text: &[u8]) -> io::Result<Cost> {
        let [nanos, processor_nanos, memory_kib, threads] = numbers(text).map_err(io::Error::other)?;
        Ok(Cost { nanos, processor_nanos, memory_kib, threads })
    }
}

/// How much there is to do, as the command line says.
#[derive(Clone, Copy)]
struct Sizes {
    jobs: usize,
    pieces: usize,
    steps: u64,
}

impl Sizes {
    fn of(self, part: &str) -> Work {
        match part {
            "waits" => Work { jobs: self.jobs, wait: WAIT, steps: 0 },
            "computing" => Work { jobs: self.pieces, wait: Duration::ZERO, steps: self.steps },
            _ => Work { jobs: self.jobs, wait: WAIT, steps: self.steps / 10 },
        }
    }
}

/// Measures a model in a new process.
fn measure_apart(model: &str, part: &str, sizes: Sizes) -> io::Result<Cost> {
    let numbers = [sizes.jobs as u64, sizes.pieces as u64, sizes.steps].map(|number| number.to_string());
    let options = ["--jobs", "--pieces", "--size"].into_iter().zip(&numbers);
    let mut command = Command::new(env::current_exe()?);
    command.args([part, "--one", model]).args(options.flat_map(|(name, number)| [name, number]));
    let output = command.output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Cost::read(&output.stdout),
        false => Err(io::Error::other(format!("{model} cannot be measured: {}", complaint.trim()))),
    }
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

/// Measures all models in each round, and prints the shortest times, and the most memory and threads.
fn compare(part: &str, sizes: Sizes, rounds: usize) -> io::Result<()> {
    println!("{:14}{:>11}{:>10}{:>12}{:>13}{:>9}", "", "time", "faster", "processor", "memory", "threads");
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let round: io::Result<Vec<Cost>> =
            MODELS.iter().map(|model| measure_apart(model, part, sizes)).collect();
        measured.push(round?);
    }
    let all = |at: usize, number: fn(&Cost) -> u64| measured.iter().map(move |round| number(&round[at]));
    let least_ms = |at, number| least(all(at, number).map(|nanos| nanos as f64 / 1e6));
    let most = |at, number| all(at, number).max().unwrap_or(0);
    for (at, model) in MODELS.iter().enumerate() {
        let (time, processor) = (least_ms(at, |cost| cost.nanos), least_ms(at, |cost| cost.processor_nanos));
        let (memory, threads) = (most(at, |cost| cost.memory_kib), most(at, |cost| cost.threads));
        let faster = least_ms(0, |cost| cost.nanos) / time;
        println!("{model:14}{time:>8.1} ms{faster:>8.1} ×{processor:>9.1} ms{memory:>9} KiB{threads:>9}");
    }
    Ok(())
}

/// The pieces into which a job is divided for Amdahl's law.
const PIECES: usize = 16;

/// Computes this number of pieces.
fn compute_pieces(pieces: usize, steps: u64) {
    for _ in 0..pieces {
        black_box(compute(steps));
    }
}

/// How long a job takes of which `serial` pieces cannot be divided, and the others are divided among `threads`.
fn divided(serial: usize, threads: usize, steps: u64) -> f64 {
    let start = Instant::now();
    compute_pieces(serial, steps);
    thread::scope(|scope| {
        for thread in 0..threads {
            let mine = (serial..PIECES).skip(thread).step_by(threads).count();
            scope.spawn(move || compute_pieces(mine, steps));
        }
    });
    start.elapsed().as_secs_f64()
}

/// How many times faster a job is on this number of cores, if this share of it cannot be divided.
fn law(serial: f64, cores: usize) -> f64 {
    1.0 / (serial + (1.0 - serial) / cores as f64)
}

/// Measures how much faster a job is on all cores, and prints the law beside it.
fn amdahl(steps: u64, rounds: usize) {
    println!("a job of {PIECES} pieces, by one thread and by {}", cores());
    println!("cannot be divided{:>12}{:>14}{:>10}{:>10}", "one thread", "a thread/core", "faster", "the law");
    for serial in [0, 4, 8, 12] {
        let times: Vec<[f64; 2]> =
            (0..rounds).map(|_| [1, cores()].map(|threads| divided(serial, threads, steps / 4))).collect();
        let [one, all] = [0, 1].map(|at| least(times.iter().map(|round| round[at])) * 1e3);
        let faster = one / all;
        let (share, law) = (100 * serial / PIECES, law(serial as f64 / PIECES as f64, cores()));
        println!("{share:>15} %{one:>10.1} ms{all:>11.1} ms{faster:>8.2} ×{law:>8.2} ×");
    }
    println!("what the law allows if a quarter cannot be divided, on this number of cores");
    for cores in [1, 2, 4, 8, 16, 64] {
        let faster = law(0.25, cores);
        println!("{cores:>15} {faster:>6.2} × {}", "█".repeat((faster * 10.0) as usize));
    }
}

/// Measures one model in this process, and prints what another run of this program reads.
fn measure_here(args: Args, model: &str, work: Work) -> io::Result<()> {
    if !MODELS.contains(&model) {
        args.refuse(&format!("no model is called `{model}`: one of {}", MODELS.join(", ")));
    }
    args.finish();
    raise_open_files();
    println!("{}", measure(model, work)?.write());
    Ok(())
}

fn show(mut args: Args) -> io::Result<()> {
    let (jobs, pieces) = (args.count("--jobs", 100), args.count("--pieces", 8));
    let sizes = Sizes { jobs, pieces, steps: args.count("--size", STEPS) as u64 };
    let (rounds, one) = (args.count("--rounds", ROUNDS), args.option::<String>("--one"));
    let part = args.word(&["waits", "computing", "mix", "amdahl"]);
    if let Some(model) = one {
        return measure_here(args, &model, sizes.of(part.as_deref().unwrap_or("waits")));
    }
    args.finish();
    let shows = |name: &str| part.as_deref().is_none_or(|part| part == name);
    for (name, title) in [
        ("waits", format!("{jobs} waits of 10 ms")),
        ("computing", format!("{pieces} jobs that compute, {} steps each", sizes.steps)),
        ("mix", format!("{jobs} waits of 10 ms, and then {} steps each", sizes.steps / 10)),
    ] {
        if shows(name) {
            println!("── {name}: {title}");
            compare(name, sizes, rounds)?;
        }
    }
    if shows("amdahl") {
        println!("── amdahl: what cannot be divided limits the gain");
        amdahl(sizes.steps, rounds);
    }
    Ok(())
}

fn main() -> ExitCode {
    workers::serve(&[("job", job)]); // In a worker, this does not return.
    args::end(show(Args::new(USAGE)))
}
