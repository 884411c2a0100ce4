//! Jobs in other processes: their results, their ends, and what is left of them.
//!
//! A worker is this very program, which runs nothing but the test `worker_entry`. That test serves. Tests that count
//! processes or descriptors run in a separate process.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri), feature = "workers"))]

mod common;

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use roundel::workers::{self, Job, JobError, ProcessPool};
use roundel::{spawn, task, time, yield_now};
use rustix::process::{Pid, Signal, getpgrp, kill_process, test_kill_process};

use common::{alone, is_alone, really, rerun, watchdog};

const JOBS: &[(&str, Job)] = &[
    ("squares", squares),
    ("root", root),
    ("echo", |input| Ok(input.to_vec())),
    ("id", |_| Ok(std::process::id().to_string().into_bytes())),
    ("group", |_| Ok(getpgrp().to_string().into_bytes())),
    ("abort", |_| std::process::abort()),
    ("exit", |_| std::process::exit(3)),
    ("note and abort", |path| {
        note(path);
        std::process::abort()
    }),
    ("note and sleep", |path| {
        note(path);
        sleep(b"1000000")
    }),
    ("panic", |input| panic!("on purpose: {}", String::from_utf8_lossy(input))),
    ("sleep", sleep),
    ("noise", noise),
    ("endless output", |_| Ok(vec![0; (1 << 28) + 1])),
    ("descriptors", |_| run("ls", &["/proc/self/fd"])),
    ("grandchild", |_| run(std::env::current_exe().unwrap().to_str().unwrap(), GRANDCHILD)),
];

const GRANDCHILD: &[&str] = &["grandchild_entry", "--exact", "--nocapture"];

fn sum_of_squares(below: u64) -> u128 {
    (0..u128::from(below)).map(|number| number * number).sum()
}

fn squares(input: &[u8]) -> Result<Vec<u8>, String> {
    let below: u64 = text(input).parse().map_err(|error| format!("{error}"))?;
    Ok(sum_of_squares(below).to_string().into_bytes())
}

fn root(input: &[u8]) -> Result<Vec<u8>, String> {
    let number: i64 = text(input).parse().map_err(|error| format!("{error}"))?;
    if number < 0 {
        return Err(format!("{number} has no root"));
    }
    Ok((number as f64).sqrt().to_string().into_bytes())
}

fn sleep(input: &[u8]) -> Result<Vec<u8>, String> {
    std::thread::sleep(Duration::from_millis(text(input).parse().unwrap()));
    Ok(input.to_vec())
}

/// Prints, and reads its whole input.
fn noise(_: &[u8]) -> Result<Vec<u8>, String> {
    print!("printed\n\0\x7f without an end");
    io::stdout().flush().unwrap();
    let mut read = Vec::new();
    io::stdin().read_to_end(&mut read).unwrap();
    Ok(read)
}

/// A file in which jobs leave marks when they begin.
struct Mark(std::path::PathBuf);

impl Mark {
    fn new(name: &str) -> Mark {
        let path = std::env::temp_dir().join(format!("roundel-{name}-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        Mark(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn marks(&self) -> u64 {
        fs::metadata(&self.0).unwrap().len()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn note(path: &[u8]) {
    fs::File::options().append(true).open(text(path)).unwrap().write_all(b"x").unwrap();
}

fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    Command::new(program)
        .args(arguments)
        .output()
        .map(|output| output.stdout)
        .map_err(|error| error.to_string())
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A worker runs this. In the normal test run it does nothing.
#[test]
fn worker_entry() {
    workers::serve(JOBS);
}

/// A program that a job starts is not a worker, although it has the worker's environment.
#[test]
fn grandchild_entry() {
    workers::serve(JOBS);
    print!("went on");
}

/// A worker that says hello, and then nonsense.
#[test]
fn corrupt_entry() {
    if std::env::var("ROUNDEL_WORKER").is_ok() {
        let stdin = io::stdin().as_fd().try_clone_to_owned().unwrap();
        let mut socket = UnixStream::from(stdin);
        socket.write_all(b"\x10\0\0\0\x01roundel worker 2").unwrap();
        socket.read_exact(&mut [0; 5]).unwrap();
        socket.write_all(b"\xff\xff\xff\xff\x03").unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    }
}

/// A worker that says hello. When a job comes, it exits before it begins the job.
#[test]
fn dying_entry() {
    if std::env::var("ROUNDEL_WORKER").is_ok() {
        let stdin = io::stdin().as_fd().try_clone_to_owned().unwrap();
        let mut socket = UnixStream::from(stdin);
        socket.write_all(b"\x10\0\0\0\x01roundel worker 2").unwrap();
        socket.read_exact(&mut [0; 5]).unwrap();
        std::process::exit(4);
    }
}

/// A pool whose workers run the test `entry`.
fn pool_of(entry: &'static str, size: usize) -> ProcessPool {
    workers::serve(JOBS);
    let arrange = move |command: &mut roundel::process::Command| {
        command.args([entry, "--exact", "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
    };
    ProcessPool::with(size, arrange).unwrap()
}

fn pool(size: usize) -> ProcessPool {
    pool_of("worker_entry", size)
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn children() -> usize {
    let own = std::process::id().to_string();
    let is_child = |entry: io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, after) = stat.rsplit_once(')')?;
        (after.split_whitespace().nth(1)? == own).then_some(())
    };
    fs::read_dir("/proc").unwrap().filter_map(is_child).count()
}

fn pid(id: &[u8]) -> Pid {
    Pid::from_raw(text(id).parse().unwrap()).unwrap()
}

async fn until_gone(process: Pid) {
    while test_kill_process(process).is_ok() {
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn row_94_sums_of_squares() {
    really(async |_| {
        let pool = pool(2);
        let bounds = [1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000_u64];
        let sums = pool.map("squares", bounds.map(|bound| bound.to_string())).await;
        let sums: Vec<u128> = sums.into_iter().map(|sum| text(&sum.unwrap()).parse().unwrap()).collect();
        assert_eq!(
            sums,
            [
                333332833333500000,
                2666664666667000000,
                8999995500000500000,
                21333325333334000000,
                41666654166667500000
            ]
        );
        assert_eq!(sums, bounds.map(sum_of_squares), "as if it had been done here");
    });
}

#[test]
fn row_94_an_error_concerns_its_own_job() {
    really(async |_| {
        let results = pool(2).map("root", ["-1", "2", "3"]).await;
        assert!(matches!(&results[0], Err(JobError::Failed(error)) if error == "-1 has no root"));
        assert_eq!(text(results[1].as_ref().unwrap()), "1.4142135623730951");
        assert_eq!(text(results[2].as_ref().unwrap()), "1.7320508075688772");
        assert_eq!(results[0].as_ref().unwrap_err().to_string(), "the job failed: -1 has no root");
    });
}

#[test]
fn row_94_the_order_is_that_of_the_inputs() {
    really(async |_| {
        // The later jobs are done first.
        let inputs = ["60", "40", "20", "0", "1", "2"];
        let results = pool(3).map("sleep", inputs).await;
        let results: Vec<String> =
            results.into_iter().map(|result| text(&result.unwrap()).to_owned()).collect();
        assert_eq!(results, inputs);
    });
}

#[test]
fn row_93_submitted_as_a_task() {
    really(async |_| {
        let pool = pool(1);
        assert_eq!((pool.size(), format!("{pool:?}").as_str()), (1, "ProcessPool { size: 1, .. }"));
        let jobs: Vec<_> = (0..5_u8).map(|number| spawn(pool.clone().run("echo", [number]))).collect();
        let first = spawn(pool.run("id", "")).await.unwrap().unwrap();
        drop(pool); // The jobs that are under way keep it alive.
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap().unwrap(), [number as u8]);
        }
        until_gone(pid(&first)).await;
    });
}

#[test]
fn row_93_a_worker_is_another_process_and_is_kept() {
    really(async |_| {
        let pool = pool(1);
        let id = pool.run("id", "").await.unwrap();
        assert_ne!(text(&id), std::process::id().to_string());
        assert_eq!(pool.run("id", "").await.unwrap(), id);
        let group = pool.run("group", "").await.unwrap();
        assert_ne!(text(&group), getpgrp().to_string(), "a Ctrl-C is not for workers");
        // A megabyte there and back.
        let bytes: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8).collect();
        assert!(pool.run("echo", bytes.clone()).await.unwrap() == bytes);
        assert_eq!(pool.run("echo", "").await.unwrap(), b"");
        assert_eq!(pool.run("id", "").await.unwrap(), id);
    });
}

#[test]
fn row_93_a_crash_is_an_error_of_its_own_job_and_the_worker_is_replaced() {
    really(async |_| {
        let pool = pool(2);
        let names = ["echo", "abort", "echo", "exit", "echo", "panic", "echo"];
        let jobs: Vec<_> = names.iter().map(|name| spawn(pool.run(name, *name))).collect();
        let mut results = Vec::new();
        for job in jobs {
            results.push(job.await.unwrap());
        }
        for index in [0, 2, 4, 6] {
            assert_eq!(results[index].as_ref().unwrap(), b"echo");
        }
        let status = |index: usize| match &results[index] {
            Err(JobError::WorkerDied { status }) => *status,
            other => panic!("{other:?}"),
        };
        assert_eq!((status(1).signal(), status(3).code()), (Some(6), Some(3)));
        assert!(results[1].as_ref().unwrap_err().to_string().starts_with("the worker ended in the middle"));
        assert!(matches!(&results[5], Err(JobError::Panicked(text)) if text == "on purpose: panic"));
        assert_eq!(pool.run("echo", "on").await.unwrap(), b"on");
    });
}

#[test]
fn row_93_killed_from_outside() {
    really(async |_| {
        let pool = pool(1);
        let first = pool.run("id", "").await.unwrap();
        let path = Mark::new("killed");
        let job = spawn(pool.run("note and sleep", path.text()));
        // If the worker were killed before it begins the job, that would not be an error of the job.
        while path.marks() == 0 {
            yield_now().await;
        }
        kill_process(pid(&first), Signal::KILL).unwrap();
        let error = job.await.unwrap().unwrap_err();
        assert!(matches!(error, JobError::WorkerDied { status } if status.signal() == Some(9)), "{error}");
        // If a worker dies while it is idle, no job fails.
        let second = pool.run("id", "").await.unwrap();
        assert_ne!(first, second);
        kill_process(pid(&second), Signal::KILL).unwrap();
        // The kernel lets the parent reap a process only when its last thread is gone.
        let process = format!("/proc/{}", text(&second));
        let threads = || fs::read_dir(format!("{process}/task")).unwrap().count();
        while !fs::read_to_string(format!("{process}/stat")).unwrap().contains(") Z ") || threads() > 1 {
            yield_now().await;
        }
        assert_ne!(pool.run("id", "").await.unwrap(), second);
    });
}

/// Stops all threads of a process.
async fn stop(process: Pid) {
    kill_process(process, Signal::STOP).unwrap();
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
    for thread in threads.map(|thread| thread.unwrap().path().join("stat")) {
        while !fs::read_to_string(&thread).unwrap().contains(") T ") {
            yield_now().await;
        }
    }
}

/// Stopped workers are sent jobs, which they cannot read. Then they are killed.
#[test]
fn row_93_a_worker_that_dies_before_it_has_begun_fails_no_job() {
    really(async |_| {
        let pool = pool(3);
        let idle: Vec<Vec<u8>> = pool.map("id", [""; 3]).await.into_iter().collect::<Result<_, _>>().unwrap();
        for worker in &idle {
            stop(pid(worker)).await;
        }
        let big = vec![7; 1 << 20];
        let small = spawn(pool.run("id", ""));
        let large = spawn(pool.run("echo", big.clone()));
        // The small job fits into its socket, and the large one does not.
        yield_now().await;
        for worker in &idle {
            kill_process(pid(worker), Signal::KILL).unwrap();
        }
        let found = small.await.unwrap().unwrap();
        assert!(!idle.contains(&found), "another worker did it");
        assert!(large.await.unwrap().unwrap() == big);
    });
}

/// A job that has begun may be half done, so it is not tried again.
#[test]
fn row_93_a_job_that_has_begun_is_not_tried_again() {
    really(async |_| {
        let pool = pool(2);
        let path = Mark::new("begun");
        let error = pool.run("note and abort", path.text()).await.unwrap_err();
        assert!(matches!(error, JobError::WorkerDied { status } if status.signal() == Some(6)), "{error}");
        assert_eq!(path.marks(), 1, "it was begun once");
    });
}

#[test]
fn row_93_a_job_that_no_worker_begins_is_given_up() {
    alone("row_93_a_job_that_no_worker_begins_is_given_up", || {
        really(async |_| {
            let started = std::rc::Rc::new(std::cell::Cell::new(0));
            let count = std::rc::Rc::clone(&started);
            workers::serve(JOBS);
            let arrange = move |command: &mut roundel::process::Command| {
                count.set(count.get() + 1);
                command.args(["dying_entry", "--exact", "--nocapture"]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
            };
            let error = ProcessPool::with(1, arrange).unwrap().run("echo", "").await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("3 workers, one after the other, ended before they had begun"), "{text}");
            assert!(text.contains("exit status: 4"), "{text}");
            assert_eq!(started.get(), 3);
        });
        assert_eq!(children(), 0);
    });
}

#[test]
fn row_94_a_job_that_takes_too_long_is_killed() {
    really(async |_| {
        let pool = pool(1);
        let first = pool.run("id", "").await.unwrap();
        let limit = Duration::from_millis(30);
        let error = pool.run_timeout(limit, "sleep", "1000000").await.unwrap_err();
        assert!(matches!(error, JobError::TimedOut(of) if of == limit), "{error}");
        assert_eq!(error.to_string(), "the job was not done within 30ms, and was killed");
        until_gone(pid(&first)).await;
        let second = pool.run("id", "").await.unwrap();
        // The same by a timeout around the job, and by dropping it. Jobs that still wait for a worker go on.
        let dropped = spawn(pool.run("sleep", "1000000"));
        let waiting = spawn(pool.run("id", ""));
        let given_up = spawn(pool.run("id", ""));
        yield_now().await;
        given_up.cancel();
        assert!(time::timeout(limit, pool.run("echo", "")).await.is_err());
        dropped.cancel();
        assert_ne!(waiting.await.unwrap().unwrap(), second);
        // A stopped worker, which cannot even notice that nothing waits for it any more.
        let stopped = pool.run("id", "").await.unwrap();
        stop(pid(&stopped)).await;
        pool.run_timeout(limit, "echo", "").await.unwrap_err();
        until_gone(pid(&stopped)).await;
        let map = spawn({
            let pool = pool.clone();
            async move { pool.map("sleep", ["1000000", "1000000"]).await }
        });
        while task::count() < 3 {
            yield_now().await;
        }
        map.cancel();
        assert_eq!(pool.run("echo", "free").await.unwrap(), b"free");
    });
}

#[test]
fn row_93_what_cannot_be_run_is_said() {
    really(async |_| {
        let pool = pool(1);
        let error = pool.run("squints", "").await.unwrap_err();
        assert!(matches!(&error, JobError::Unknown { name, .. } if name == "squints"));
        let text = error.to_string();
        assert!(text.starts_with("no job is called \"squints\": give it to `workers::serve`"), "{text}");
        assert!(text.contains("squares, root, echo"), "{text}");
        let error = pool.run(&"x".repeat(1 << 16), "").await.unwrap_err();
        assert!(matches!(&error, JobError::Io(error) if error.kind() == ErrorKind::InvalidInput), "{error}");
        assert_eq!(ProcessPool::new(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn row_93_a_program_that_does_not_serve() {
    alone("row_93_a_program_that_does_not_serve", || {
        let error = ProcessPool::new(1).unwrap_err();
        assert!(error.to_string().contains("call `workers::serve` with its jobs first in `main`"), "{error}");
        really(async |_| {
            let error = pool_of("no such test", 1).run("echo", "").await.unwrap_err().to_string();
            assert!(error.contains("a worker ended (exit status: 0) before it was ready"), "{error}");
        });
        assert_eq!(children(), 0);
    });
}

#[test]
fn row_93_a_worker_that_talks_nonsense() {
    alone("row_93_a_worker_that_talks_nonsense", || {
        really(async |_| {
            let pool = pool_of("corrupt_entry", 1);
            for _ in 0..2 {
                let error = pool.run("echo", "").await.unwrap_err();
                assert!(
                    matches!(&error, JobError::Io(error) if error.kind() == ErrorKind::InvalidData),
                    "{error}"
                );
                while children() > 0 {
                    time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    });
}

/// Scaled down in builds in which a quarter of a gigabyte takes long.
#[test]
fn row_93_a_result_that_is_too_long_is_an_error() {
    if cfg!(debug_assertions) {
        return;
    }
    really(async |_| {
        let error = pool(1).run("endless output", "").await.unwrap_err();
        assert!(matches!(&error, JobError::Failed(text) if text.contains("are too many")), "{error}");
    });
}

#[test]
fn row_105_a_job_may_print_and_read_and_start_programs() {
    really(async |_| {
        let pool = pool(1);
        let id = pool.run("id", "").await.unwrap();
        assert_eq!(pool.run("noise", "").await.unwrap(), b"");
        let grandchild = pool.run("grandchild", "").await.unwrap();
        assert!(text(&grandchild).contains("went on"), "{}", text(&grandchild));
        assert_eq!(pool.run("id", "").await.unwrap(), id, "the connection has not suffered");
    });
}

/// A program that a job starts gets neither the worker's socket nor any descriptor of the pool's process.
#[test]
fn hazard_42_a_workers_children_see_three_descriptors() {
    alone("hazard_42_a_workers_children_see_three_descriptors", || {
        let inherited = Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
        really(async |_| {
            let pool = pool(2);
            let seen = pool.map("descriptors", ["", ""]).await;
            for seen in seen {
                assert_eq!(text(&seen.unwrap()), text(&inherited));
            }
        });
    });
}

#[test]
fn row_93_a_pool_that_is_dropped_leaves_nothing() {
    alone("row_93_a_pool_that_is_dropped_leaves_nothing", || {
        let _watchdog = watchdog();
        roundel::run(async {
            let before = descriptors();
            for _ in 0..5 {
                let pool = pool(3);
                // Some workers are idle, and one is busy.
                for result in pool.map("sleep", ["10"; 3]).await {
                    result.unwrap();
                }
                assert_eq!(children(), 3);
                let busy = spawn(pool.run("sleep", "1000000"));
                yield_now().await;
                busy.cancel();
                drop(pool);
                while children() > 0 {
                    time::sleep(Duration::from_millis(1)).await;
                }
                drop(busy);
                assert_eq!((descriptors(), task::count()), (before, 1));
            }
        });
    });
}

/// The parent is killed, so it cannot tell its workers.
#[test]
fn row_93_workers_end_with_their_parent() {
    const NAME: &str = "row_93_workers_end_with_their_parent";
    if is_alone(NAME) {
        return really(async |_| {
            let pool = pool(2);
            let started = pool.map("sleep", ["20", "20"]).await; // Now both workers run.
            assert!(started.iter().all(Result::is_ok));
            // The pool uses the worker that it used last. So this worker tells its number, and is busy afterwards.
            let busy = pool.run("id", "").await.unwrap();
            let endless = spawn(pool.run("sleep", "1000000"));
            yield_now().await;
            let idle = pool.run("id", "").await.unwrap();
            println!("ids: {} {}", text(&idle), text(&busy));
            let _ = endless.await;
        });
    }
    let _watchdog = watchdog();
    let mut command = Command::new("env");
    rerun(&mut command, NAME);
    let mut parent = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line =
        lines.map(Result::unwrap).find_map(|line| line.split_once("ids: ").map(|(_, ids)| ids.to_owned()));
    let ids: Vec<Pid> = line.unwrap().split(' ').map(|id| pid(id.as_bytes())).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| test_kill_process(*id).is_ok()));
    // Mostly long enough for the last job to begin. If it is not, the workers must end all the same.
    std::thread::sleep(Duration::from_millis(20));
    parent.kill().unwrap();
    parent.wait().unwrap();
    roundel::run(async {
        for id in ids {
            // The zombie of an orphan may be left to an init process that does not reap it.
            let runs = || {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok();
                stat.is_some_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
            };
            while runs() {
                time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}
