//! What several test files share: loops that notice a hang, a log of what the loop did, sockets with their
//! other end in hand, processes of one's own.
//!
//! A hang is the failure that these tests look for most, so it must be cheap to notice. On a virtual clock
//! it costs nothing: when no task can run and no event has come, the clock jumps, and a timeout of an hour
//! is over at once. That needs I/O that arrives without delay, as between the two ends of a Unix socket;
//! what goes over TCP is run on the real clock. A loop that spins is stopped by a watchdog.

#![allow(dead_code)] // No file uses all of it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event;
use roundel::probe::Event;
use roundel::source::{Direction, Source};
use roundel::task::TaskId;
use roundel::{Builder, Runtime, time};

/// Aborts the process if the guard is not dropped within half a minute.
pub(crate) fn watchdog() -> Watchdog {
    watchdog_of(Duration::from_secs(30))
}

/// Aborts the process if the guard is not dropped within `limit`.
pub(crate) fn watchdog_of(limit: Duration) -> Watchdog {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (done, until) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        if until.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not by `eprintln`: the harness would keep it to itself, and is about to be aborted.
            let _ = io::stderr().write_all(format!("{name} hangs: it was given {limit:?}\n").as_bytes());
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

/// Everything that a loop did.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<Event>>>);

impl Log {
    pub(crate) fn add(&self, event: Event) {
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

    /// What the kernel reported: for each report, whether it concerned reading and writing.
    pub(crate) fn reports(&self) -> Vec<(bool, bool)> {
        let report = |event: &Event| match event {
            Event::SourceReady { readable, writable, .. } => Some((*readable, *writable)),
            _ => None,
        };
        self.0.borrow().iter().filter_map(report).collect()
    }

    /// Forgets what was logged so far.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Runs `body` on a loop that is built so, whose clock is virtual, and where a hang is noticed at once.
fn on_virtual_time(builder: Builder, body: &impl AsyncFn(Log)) {
    let log = Log::default();
    let sink = log.clone();
    let runtime = builder.virtual_time(true).probe(move |event| sink.add(event)).build().unwrap();
    let limit = Duration::from_secs(3600);
    let done = runtime.block_on(async { time::timeout(limit, body(log)).await });
    done.expect("a hang: nothing can run, nothing has happened, and the test is not done");
}

/// Runs `body` on a virtual clock.
pub(crate) fn virtually(body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    on_virtual_time(Runtime::builder(), &body);
}

/// Runs `body` on the real clock, where the loop really parks.
pub(crate) fn really(body: impl AsyncFn(Log)) {
    let _watchdog = watchdog();
    let log = Log::default();
    let sink = log.clone();
    let runtime = Runtime::builder().probe(move |event| sink.add(event)).build().unwrap();
    let limit = Duration::from_secs(20);
    let done = runtime.block_on(async { time::timeout(limit, body(log)).await });
    done.unwrap_or_else(|_| panic!("a hang: the test was not done in {limit:?}"));
}

/// Runs `body` on a virtual clock, in order and in some random orders, and on the real clock.
pub(crate) fn everywhere(body: impl AsyncFn(Log)) {
    virtually(&body);
    for seed in 0..8 {
        let _watchdog = watchdog();
        on_virtual_time(Runtime::builder().shuffle(seed), &body);
    }
    really(body);
}

/// Lets everything happen that can happen. On a virtual clock that is exact: time passes only when nothing
/// else can. On the real one the loop looks at the OS at least three times.
pub(crate) async fn settle() {
    for _ in 0..3 {
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// A Unix socket as a source, and its other end, non-blocking, for the test to act on directly.
pub(crate) fn unix() -> (Source<mio::net::UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Source::new(mio::net::UnixStream::from_std(ours)).unwrap(), theirs)
}

/// The same with TCP, over loopback.
pub(crate) fn tcp() -> (Source<mio::net::TcpStream>, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Source::new(mio::net::TcpStream::from_std(ours)).unwrap(), theirs)
}

/// Reads once, as a stream does: a read that could have been longer says so.
pub(crate) async fn read<S>(source: &Source<S>, buffer: &mut [u8]) -> io::Result<usize>
where
    S: event::Source,
    for<'a> &'a S: Read,
{
    let count = source.io(Direction::Read, |mut stream| stream.read(buffer)).await?;
    if count < buffer.len() {
        source.fell_short(Direction::Read);
    }
    Ok(count)
}

/// Writes everything, as a stream does.
pub(crate) async fn write_all<S>(source: &Source<S>, mut bytes: &[u8]) -> io::Result<()>
where
    S: event::Source,
    for<'a> &'a S: Write,
{
    while !bytes.is_empty() {
        let count = source.io(Direction::Write, |mut stream| stream.write(bytes)).await?;
        if count < bytes.len() {
            source.fell_short(Direction::Write);
        }
        bytes = &bytes[count..];
    }
    Ok(())
}

/// A waker that counts, for polling a future by hand.
#[derive(Default)]
pub(crate) struct Flag(AtomicUsize);

impl Flag {
    pub(crate) fn new() -> (Arc<Flag>, Waker) {
        let flag = Arc::<Flag>::default();
        (Arc::clone(&flag), Waker::from(flag))
    }

    /// How often it was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// How many wakers there are besides the one that `new` has made.
    pub(crate) fn clones(self: &Arc<Flag>) -> usize {
        Arc::strong_count(self) - 2
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
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

/// Runs `body` in a process of its own, where nobody else opens descriptors, starts threads or allocates.
/// To be called from the test that is named `test`.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    // `env` runs what it is given; so the program is an argument, as it is for `strace`.
    let mut command = Command::new("env");
    rerun(&mut command, test);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, alone: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} is not the name of the test:\n{out}");
}
