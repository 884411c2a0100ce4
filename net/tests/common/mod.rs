//! What several test files share: loops that notice a hang, a log of what the loop did, random numbers, processes of
//! one's own, also under `strace`.
//!
//! A hang is the failure that these tests look for most, so it must be cheap to notice. On a virtual clock it
//! costs nothing: when no task can run and no event has come, the clock jumps, and a timeout of an hour is over at
//! once. That needs I/O that arrives without delay, as between the two ends of a Unix socket; what goes over TCP is
//! run on the real clock. A loop that spins is stopped by a watchdog.

#![allow(dead_code)] // No file uses all of it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use roundel::probe::Event;
use roundel::task::TaskId;
use roundel::{Builder, Runtime, time};
use roundel_net::{TcpListener, TcpStream};

/// Aborts the process if the guard is not dropped within a minute.
pub(crate) fn watchdog() -> Watchdog {
    watchdog_of(Duration::from_secs(60))
}

/// Aborts the process if the guard is not dropped within `limit`.
pub(crate) fn watchdog_of(limit: Duration) -> Watchdog {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (done, until) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        if until.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            say(&format!("{name} hangs: it was given {limit:?}"));
            std::process::abort();
        }
    });
    Watchdog { done: Some(done), thread: Some(thread) }
}

/// See [`watchdog`].
pub(crate) struct Watchdog {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.done.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Not by `eprintln`, which the harness would keep to itself.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Everything that a loop did.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<Event>>>);

impl Log {
    fn add(&self, event: Event) {
        self.0.borrow_mut().push(event);
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| is(event)).count()
    }

    /// How often a task was polled.
    pub(crate) fn polls(&self, of: TaskId) -> usize {
        self.count(|event| matches!(event, Event::PollBegin { task } if *task == of))
    }

    /// How often the loop went to sleep in the kernel.
    pub(crate) fn parks(&self) -> usize {
        self.count(|event| matches!(event, Event::Park))
    }

    /// Forgets what was logged so far.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

fn on_virtual_time(builder: Builder, body: &impl AsyncFn(Log)) {
    let log = Log::default();
    let sink = log.clone();
    let runtime = builder.virtual_time(true).probe(move |event| sink.add(event)).build().unwrap();
    let limit = Duration::from_secs(3600);
    let done = runtime.block_on(async { time::timeout(limit, body(log)).await });
    done.expect("a hang: nothing can run, nothing has happened, and the test is not done");
}

/// Runs `body` on a virtual clock, in order and in some random orders: nothing but what is on this loop, and what
/// the kernel does at once, may matter to it. So no test beside it may start a process: that has copies of our
/// descriptors for a moment, and what we close is not closed as long.
pub(crate) fn virtually(body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    on_virtual_time(Runtime::builder(), &body);
    (0..8).for_each(|seed| on_virtual_time(Runtime::builder().shuffle(seed), &body));
}

/// Runs `body` on the real clock, where the loop really parks.
pub(crate) fn really(body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    let log = Log::default();
    let sink = log.clone();
    let runtime = Runtime::builder().probe(move |event| sink.add(event)).build().unwrap();
    let limit = Duration::from_secs(50);
    let done = runtime.block_on(async { time::timeout(limit, body(log)).await });
    done.unwrap_or_else(|_| panic!("a hang: the test was not done in {limit:?}"));
}

/// Lets everything happen that can happen: the loop looks at the OS at least three times.
pub(crate) async fn settle() {
    for _ in 0..3 {
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// Both ends of a TCP connection over loopback.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

/// A path that nobody else uses, and that is free when the guard is dropped.
pub(crate) struct Path(pub(crate) PathBuf);

pub(crate) fn path() -> Path {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("roundel-net-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
    Path(std::env::temp_dir().join(name))
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AsRef<std::path::Path> for Path {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

/// Random numbers, the same ones for the same seed (xorshift).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 11) % end as u64) as usize
    }
}

/// So many bytes that do not repeat soon.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..count).map(|_| (random.next() >> 24) as u8).collect()
}

const ALONE: &str = "ROUNDEL_TEST_ALONE";

/// A command that runs one test of this file in a process of its own; see [`alone`].
pub(crate) fn rerun(command: &mut Command, test: &str) {
    let program = std::env::current_exe().unwrap();
    command.arg(program).args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, test);
}

/// Whether this is the process that was started to run `test`, and nothing else.
pub(crate) fn is_alone(test: &str) -> bool {
    std::env::var(ALONE).is_ok_and(|name| name == test)
}

/// Runs `body` in a process of its own, where nobody else opens descriptors or handles signals. To be called from the
/// test that is named `test`.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    // `env` runs what it is given; so the program is an argument, as it is for `strace`.
    let mut command = Command::new("env");
    rerun(&mut command, test);
    expect_success(test, &command.output().unwrap());
}

fn expect_success(test: &str, output: &std::process::Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, alone: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} is not the name of the test:\n{out}");
}

/// Whether a program is there that a test needs. If not, says that the test has tested nothing.
pub(crate) fn has(test: &str, program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let works = command.status().is_ok_and(|status| status.success());
    if !works {
        say(&format!("SKIPPED: {program} is not installed, or not allowed here; {test} has tested nothing"));
    }
    works
}

/// Runs the test `name` under `strace`. What that has seen; `None` if it cannot be.
pub(crate) fn trace(name: &str, options: &[&str]) -> Option<String> {
    if !has(name, "strace", &["-o", "/dev/null", "true"]) {
        return None;
    }
    let file = path();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&file.0).args(options);
    rerun(&mut command, name);
    expect_success(name, &command.output().unwrap());
    Some(std::fs::read_to_string(&file).unwrap())
}
