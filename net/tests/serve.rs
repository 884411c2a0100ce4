//! The server under stress: whatever `accept` returns, whatever handlers do, and however the server ends
//! (hazards 29, 30, 51).
//!
//! Most tests use a [`FakeListener`], whose connections and errors come from the test's [`Script`]. So each
//! error of `accept` comes exactly when the test wants it. On a virtual clock, "does not spin" is a number:
//! how often the server calls `accept` in a second. Tests that need real bytes use the two ends of a Unix
//! socket, which also works on a virtual clock.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn, ready};
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::cancel::with_cleanup;
use roundel::testing::{at_every_await, settle};
use roundel::{JoinHandle, Runtime, spawn, task, time, yield_now};
use roundel_net::serve::{Accept, Outcome, Served};
use roundel_net::{UnixStream, serve};
use rustix::io::Errno;

use common::{really, virtually, watchdog};

/// A listener that does what its script says.
struct FakeListener<S> {
    script: Rc<Script<S>>,
}

/// The connections and errors of a [`FakeListener`]. The test writes them.
struct Script<S> {
    queue: RefCell<VecDeque<io::Result<S>>>,
    /// The error of `accept` while the queue is empty. `None`: `accept` waits.
    error: Cell<Option<Errno>>,
    server: RefCell<Option<Waker>>,
    /// How often the server called `accept`.
    accepts: Cell<usize>,
    closed: Cell<bool>,
}

impl<S> Script<S> {
    fn new() -> Rc<Script<S>> {
        Rc::new(Script {
            queue: RefCell::default(),
            error: Cell::default(),
            server: RefCell::default(),
            accepts: Cell::default(),
            closed: Cell::default(),
        })
    }

    fn listener(self: &Rc<Self>) -> FakeListener<S> {
        FakeListener { script: Rc::clone(self) }
    }

    fn connects(&self, stream: S) {
        self.queue.borrow_mut().push_back(Ok(stream));
        self.wake();
    }

    fn fails(&self, error: Errno) {
        self.queue.borrow_mut().push_back(Err(error.into()));
        self.wake();
    }

    /// From now on, `accept` fails with this error when the queue is empty. `None`: it waits again.
    fn fails_with(&self, error: Option<Errno>) {
        self.error.set(error);
        self.wake();
    }

    fn wake(&self) {
        let server = self.server.borrow_mut().take();
        server.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    /// How often the server calls `accept` while `future` runs.
    async fn accepts_during(&self, future: impl Future) -> usize {
        let before = self.accepts.get();
        future.await;
        self.accepts.get() - before
    }
}

impl<S> FakeListener<S> {
    fn poll_queue(&self, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        let script = &self.script;
        script.accepts.set(script.accepts.get() + 1);
        if let Some(next) = script.queue.borrow_mut().pop_front() {
            return Poll::Ready(next);
        }
        if let Some(error) = script.error.get() {
            return Poll::Ready(Err(error.into()));
        }
        *script.server.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<S> Drop for FakeListener<S> {
    fn drop(&mut self) {
        self.script.closed.set(true);
    }
}

impl Accept for FakeListener<FakeStream> {
    type Stream = FakeStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<FakeStream>> {
        self.poll_queue(cx)
    }

    fn watch(stream: &mut FakeStream, flag: Rc<Cell<bool>>) {
        stream.flag = Some(flag);
    }
}

impl Accept for FakeListener<UnixStream> {
    type Stream = UnixStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_queue(cx)
    }

    fn watch(stream: &mut UnixStream, flag: Rc<Cell<bool>>) {
        stream.watch(flag);
    }
}

/// A connection without bytes. It has a number, and counts itself in a tally.
struct FakeStream {
    number: usize,
    tally: Rc<Tally>,
    flag: Option<Rc<Cell<bool>>>,
}

/// How many streams are open, and which were closed.
#[derive(Default)]
struct Tally {
    open: Cell<usize>,
    most: Cell<usize>,
    /// The numbers of the closed streams, in the order in which they were closed.
    closed: RefCell<Vec<usize>>,
}

impl Tally {
    fn stream(self: &Rc<Tally>, number: usize) -> FakeStream {
        FakeStream { number, tally: Rc::clone(self), flag: None }
    }
}

impl FakeStream {
    /// Does what a real stream does when bytes move.
    fn move_bytes(&self) {
        self.flag.as_ref().expect("it is watched").set(true);
    }

    fn open(&self) {
        let tally = &self.tally;
        tally.open.set(tally.open.get() + 1);
        tally.most.set(tally.most.get().max(tally.open.get()));
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.tally.open.set(self.tally.open.get().saturating_sub(1));
        self.tally.closed.borrow_mut().push(self.number);
    }
}

/// A script, a tally, and a server whose handlers run until the test ends them.
struct Fixture {
    script: Rc<Script<FakeStream>>,
    tally: Rc<Tally>,
    /// The numbers of the streams whose handlers have to end.
    ending: Rc<RefCell<Vec<usize>>>,
    reports: Rc<RefCell<Vec<String>>>,
}

impl Fixture {
    fn new() -> Fixture {
        let (ending, reports) = (Rc::default(), Rc::default());
        Fixture { script: Script::new(), tally: Rc::default(), ending, reports }
    }

    fn server(&self) -> serve::Serve<FakeListener<FakeStream>, impl Fn(FakeStream) -> Stay + use<>> {
        let (ending, reports) = (Rc::clone(&self.ending), Rc::clone(&self.reports));
        let handler = move |stream: FakeStream| {
            let ending = Rc::clone(&ending);
            let stay = async move {
                stream.open();
                while !ending.borrow().contains(&stream.number) {
                    short_wait().await;
                }
            };
            Box::pin(stay) as Stay
        };
        serve(self.script.listener(), handler)
            .on_trouble(move |trouble| reports.borrow_mut().push(trouble.to_string()))
    }

    fn start(&self) -> JoinHandle<io::Result<Served>> {
        spawn(self.server().into_future())
    }

    fn connects(&self, number: usize) {
        self.script.connects(self.tally.stream(number));
    }

    fn open(&self) -> usize {
        self.tally.open.get()
    }
}

type Stay = Pin<Box<dyn Future<Output = ()>>>;

/// How a handler waits for the test: it looks every ten milliseconds.
async fn short_wait() {
    time::sleep(Duration::from_millis(10)).await;
}

const ONE_SECOND: Duration = Duration::from_secs(1);

const BELONG_TO_ONE_CONNECTION: &[Errno] = &[
    Errno::CONNABORTED,
    Errno::PROTO,
    Errno::INTR,
    Errno::NETDOWN,
    Errno::NETUNREACH,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::NOPROTOOPT,
    Errno::TIMEDOUT,
    Errno::PERM,
];

#[test]
fn hazard_30_errors_that_belong_to_one_connection_are_skipped() {
    for &error in BELONG_TO_ONE_CONNECTION {
        virtually(async |_| {
            let fixture = Fixture::new();
            let _server = fixture.start();
            fixture.connects(0);
            fixture.script.fails(error);
            fixture.connects(1);
            let start = time::now();
            settle().await;
            assert_eq!((fixture.open(), time::now()), (2, start), "{error:?}");
            assert!(fixture.reports.borrow().is_empty(), "{error:?}");
        });
    }
}

/// The last four are errors that the server does not expect.
const PASS_WITH_TIME: &[Errno] = &[
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::IO,
    Errno::NOSPC,
    Errno::ACCESS,
    Errno::NOSYS,
];

#[test]
fn hazard_29_a_server_without_descriptors_pauses_and_does_not_spin() {
    for &error in PASS_WITH_TIME {
        virtually(async |_| {
            let fixture = Fixture::new();
            let _server = fixture.start();
            // A connection that ended before the pause is no reason to try again at once.
            (0..2).for_each(|number| fixture.connects(number));
            fixture.ending.borrow_mut().push(1);
            settle().await;
            fixture.script.fails_with(Some(error));
            let accepts = fixture.script.accepts_during(time::sleep(ONE_SECOND)).await;
            assert!((30..=41).contains(&accepts), "{error:?}: {accepts} calls of `accept` in a second");
            assert_eq!((fixture.open(), fixture.reports.borrow().len()), (1, 1), "{error:?}");
            // Another part of the program has freed a descriptor. The server gets no wake for that; it tries
            // by itself.
            fixture.script.fails_with(None);
            fixture.connects(2);
            time::sleep(Duration::from_millis(26)).await;
            assert_eq!(fixture.open(), 2, "{error:?}");
        });
    }
}

#[test]
fn hazard_29_a_pause_ends_when_a_handler_ends() {
    for &error in PASS_WITH_TIME {
        virtually(async |_| {
            let script = Script::new();
            let (tally, end) = (Rc::<Tally>::default(), Rc::new(roundel::sync::Event::new()));
            let told = Rc::clone(&end);
            let handler = move |stream: FakeStream| {
                let told = Rc::clone(&told);
                async move {
                    stream.open();
                    told.wait().await;
                }
            };
            let _server = spawn(serve(script.listener(), handler).on_trouble(|_| ()).into_future());
            script.connects(tally.stream(0));
            settle().await;
            script.fails_with(Some(error));
            time::sleep(Duration::from_millis(110)).await;
            let start = time::now();
            script.fails_with(None);
            script.connects(tally.stream(1));
            settle().await;
            assert_eq!((tally.open.get(), script.waiting()), (1, 1), "{error:?}: the pause is not over yet");
            end.set();
            settle().await;
            assert_eq!(
                (script.waiting(), time::now()),
                (0, start),
                "{error:?}: the server missed that a connection has ended"
            );
        });
    }
}

#[test]
fn hazard_30_a_server_with_only_bad_connections_does_not_spin() {
    for &error in BELONG_TO_ONE_CONNECTION {
        virtually(async |_| {
            let fixture = Fixture::new();
            let _server = fixture.start();
            fixture.script.fails_with(Some(error));
            let accepts = fixture.script.accepts_during(time::sleep(ONE_SECOND)).await;
            assert!(
                (100..=41 * 101).contains(&accepts),
                "{error:?}: {accepts} calls of `accept` in a second"
            );
            assert_eq!(fixture.reports.borrow().len(), 1, "{error:?}");
            fixture.script.fails_with(None);
            fixture.connects(0);
            time::sleep(Duration::from_millis(26)).await;
            assert_eq!(fixture.open(), 1, "{error:?}");
        });
    }
}

#[test]
fn hazard_30_a_good_connection_between_bad_ones_is_served_at_once() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let _server = fixture.start();
        for number in 0..1_000 {
            (0..99).for_each(|_| fixture.script.fails(Errno::CONNABORTED));
            fixture.connects(number);
        }
        let start = time::now();
        settle().await;
        assert_eq!((fixture.open(), time::now()), (1_000, start));
    });
}

#[test]
fn a_broken_listener_ends_the_server() {
    for error in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP] {
        virtually(async |_| {
            let fixture = Fixture::new();
            let server = fixture.start();
            fixture.connects(0);
            settle().await;
            fixture.script.fails(error);
            let ended = server.await.unwrap().unwrap_err();
            assert_eq!(ended.raw_os_error(), Some(error.raw_os_error()));
            assert_eq!((fixture.open(), fixture.script.closed.get()), (0, true), "{error:?}");
        });
    }
}

#[test]
fn hazard_29_there_is_one_report_a_second() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let _server = fixture.start();
        (0..3).for_each(|number| fixture.connects(number));
        settle().await;
        fixture.script.fails_with(Some(Errno::MFILE));
        time::sleep(Duration::from_millis(10_500)).await;
        let reports = fixture.reports.borrow();
        assert_eq!(reports.len(), 11);
        let [first, ..] = &reports[..] else { panic!() };
        assert!(first.starts_with("cannot accept: "), "{first}");
        assert!(first.contains("; 3 connections are open"), "{first}");
    });
}

/// Runs `body` on a virtual clock, in one random order for each seed.
fn shuffled(seeds: u64, body: impl AsyncFn(u64)) {
    for seed in 0..seeds {
        let _watchdog = watchdog();
        let runtime = Runtime::builder().virtual_time(true).shuffle(seed).build().unwrap();
        runtime.block_on(body(seed));
    }
}

const SEEDS: u64 = 200;

#[test]
fn there_are_never_too_many_and_none_waits_while_there_is_room() {
    shuffled(SEEDS, async |seed| {
        let most = 1 + seed as usize % 7;
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let handler = |stream: FakeStream| async move {
            stream.open();
            for _ in 0..stream.number % 4 {
                yield_now().await;
            }
            if stream.number.is_multiple_of(5) {
                time::sleep(Duration::from_millis(stream.number as u64)).await;
            }
            if stream.number.is_multiple_of(11) { Err(()) } else { Ok(()) }
        };
        let (told, end) = roundel::channel::oneshot();
        let server = serve(script.listener(), handler).max_connections(most).until(end);
        let server = spawn(server.into_future());
        for number in 0..100 {
            script.connects(tally.stream(number));
            if number.is_multiple_of(8) {
                yield_now().await;
            }
            assert!(tally.open.get() <= most, "seed {seed}");
        }
        settle().await;
        assert_eq!((tally.open.get(), tally.most.get()), (most, most), "seed {seed}: there was room");
        while script.waiting() > 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
        told.send(()).unwrap();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.accepted, served.failed, served.panicked), (100, 10, 0), "seed {seed}");
        assert_eq!((tally.most.get(), tally.closed.borrow().len()), (most, 100), "seed {seed}");
    });
}

#[test]
fn the_next_is_served_at_once_when_one_ends() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let server = spawn(fixture.server().max_connections(2).into_future());
        (0..4).for_each(|number| fixture.connects(number));
        time::sleep(ONE_SECOND).await;
        assert_eq!((fixture.open(), fixture.script.waiting()), (2, 2));
        let accepts = fixture.script.accepts_during(time::sleep(ONE_SECOND)).await;
        assert_eq!(accepts, 0, "a full server does not call `accept`");
        fixture.ending.borrow_mut().push(0);
        time::sleep(Duration::from_millis(11)).await;
        assert_eq!(
            (fixture.open(), fixture.script.waiting(), &fixture.tally.closed.borrow()[..]),
            (2, 1, &[0][..])
        );
        assert!(fixture.reports.borrow().is_empty(), "a full server reports no trouble");
        assert!(!server.is_finished());
    });
}

/// Whenever a connection was busy last, its handler is cancelled after the timeout, and at most an eighth
/// late.
#[test]
fn hazard_51_idle_connections_are_cancelled_on_time_and_never_early() {
    let timeouts = [
        Duration::from_nanos(1),
        Duration::from_micros(1_900),
        Duration::from_millis(3),
        Duration::from_millis(8),
        Duration::from_nanos(1_000_000_007),
        Duration::from_secs(60),
    ];
    for timeout in timeouts {
        virtually(async move |_| {
            let (script, tally) = (Script::new(), Rc::<Tally>::default());
            let idle_since = move |stream: FakeStream| async move {
                // Busy a few times. The last time is at a different moment of the period for each stream, or
                // just before the period's end. Some are never busy.
                let period = timeout.max(Duration::from_millis(8)) / 8;
                if !stream.number.is_multiple_of(7) {
                    for _ in 0..stream.number % 5 {
                        stream.move_bytes();
                        time::sleep(period).await;
                    }
                    let last = period * (stream.number as u32 % 33) / 32;
                    time::sleep(last.saturating_sub(Duration::from_nanos(stream.number as u64 % 3))).await;
                    stream.move_bytes();
                }
                let _idle = Idle { since: time::now(), timeout };
                pending::<()>().await;
            };
            let server = serve(script.listener(), idle_since).idle_timeout(timeout);
            let (told, end) = roundel::channel::oneshot();
            let server = spawn(server.until(end).into_future());
            for number in 0..400 {
                script.connects(tally.stream(number));
                if number.is_multiple_of(16) {
                    time::sleep(timeout / 7).await;
                }
            }
            time::sleep(timeout * 3 + Duration::from_millis(20)).await;
            assert_eq!(tally.closed.borrow().len(), 400);
            told.send(()).unwrap();
            let served = server.await.unwrap().unwrap();
            // An assertion in `Idle` that fails is a panic of a handler, and counted.
            assert_eq!((served.accepted, served.idle, served.cut_off, served.panicked), (400, 400, 0, 0));
        });
    }
}

struct Idle {
    since: std::time::Instant,
    timeout: Duration,
}

impl Drop for Idle {
    fn drop(&mut self) {
        let (idle, timeout) = (time::now() - self.since, self.timeout);
        assert!(idle >= timeout, "cancelled early, after {idle:?} of {timeout:?}");
        let late = idle - timeout;
        assert!(
            late <= (timeout / 8).max(Duration::from_millis(2)) + Duration::from_nanos(9),
            "{late:?} late"
        );
    }
}

#[test]
#[should_panic(expected = "`idle_timeout` was given zero")]
fn an_idle_timeout_of_zero_is_refused() {
    let _ = serve(Script::<FakeStream>::new().listener(), |_| ready(())).idle_timeout(Duration::ZERO);
}

#[test]
#[should_panic(expected = "`max_connections` was given zero")]
fn a_limit_of_zero_connections_is_refused() {
    let _ = serve(Script::<FakeStream>::new().listener(), |_| ready(())).max_connections(0);
}

#[test]
fn hazard_51_a_handler_that_is_busy_or_has_dropped_its_stream_is_not_idle() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let done = Rc::new(Cell::new(0));
        let count = Rc::clone(&done);
        let handler = move |stream: FakeStream| {
            let count = Rc::clone(&count);
            async move {
                match stream.number {
                    0 => {
                        drop(stream);
                        time::sleep(ONE_SECOND * 20).await;
                    }
                    _ => {
                        for _ in 0..20 {
                            time::sleep(ONE_SECOND).await;
                            stream.move_bytes();
                        }
                    }
                }
                count.set(count.get() + 1);
            }
        };
        let until = time::sleep(ONE_SECOND * 30);
        let server = serve(script.listener(), handler).idle_timeout(ONE_SECOND).until(until);
        let server = spawn(server.into_future());
        (0..2).for_each(|number| script.connects(tally.stream(number)));
        let served = server.await.unwrap().unwrap();
        assert_eq!((done.get(), served.idle), (2, 0));
    });
}

type Busy = Pin<Box<dyn Future<Output = io::Result<()>>>>;

type BusyHandler = (&'static str, fn(UnixStream) -> Busy);

/// Ways to move a byte four times a second, for longer than the timeout, with each method of a stream.
fn ways_to_be_busy() -> Vec<BusyHandler> {
    async fn every_so_often(mut action: impl AsyncFnMut() -> io::Result<()>) -> io::Result<()> {
        for _ in 0..30 {
            action().await?;
            time::sleep(ONE_SECOND / 4).await;
        }
        Ok(())
    }
    vec![
        ("read", |it| {
            Box::pin(async move { every_so_often(async || it.read(&mut [0; 1]).await.map(drop)).await })
        }),
        ("read_exact", |it| Box::pin(async move { it.read_exact(&mut [0; 30]).await })),
        ("read_to_end", |it| Box::pin(async move { it.read_to_end(&mut Vec::new()).await.map(drop) })),
        ("read_vectored", |it| {
            Box::pin(async move {
                let (mut one, mut two) = ([0; 1], [0; 1]);
                let mut both = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
                every_so_often(async || it.read_vectored(&mut both).await.map(drop)).await
            })
        }),
        ("try_read", |it| {
            Box::pin(async move {
                every_so_often(async || {
                    it.readable().await?;
                    it.try_read(&mut [0; 1]).map(drop)
                })
                .await
            })
        }),
        ("poll_read", |mut it| {
            Box::pin(async move {
                for _ in 0..30 {
                    poll_fn(|cx| Pin::new(&mut it).poll_read(cx, &mut [0; 1])).await?;
                }
                Ok(())
            })
        }),
        ("write", |it| {
            Box::pin(async move { every_so_often(async || it.write(b"x").await.map(drop)).await })
        }),
        ("write_all", |it| Box::pin(async move { every_so_often(async || it.write_all(b"xy").await).await })),
        ("write_vectored", |it| {
            Box::pin(async move {
                every_so_often(async || it.write_vectored(&[IoSlice::new(b"x")]).await.map(drop)).await
            })
        }),
        ("try_write", |it| {
            Box::pin(async move { every_so_often(async || it.try_write(b"x").map(drop)).await })
        }),
        ("poll_write", |mut it| {
            Box::pin(async move {
                for _ in 0..30 {
                    poll_fn(|cx| Pin::new(&mut it).poll_write(cx, b"x")).await?;
                    time::sleep(ONE_SECOND / 4).await;
                }
                Ok(())
            })
        }),
    ]
}

#[test]
fn hazard_51_each_way_to_move_bytes_counts_as_busy() {
    for (name, handler) in ways_to_be_busy() {
        virtually(async |_| {
            let script = Script::new();
            let (ours, theirs) = UnixStream::pair().unwrap();
            script.connects(ours);
            let drip = async {
                for _ in 0..30 {
                    let _ = theirs.write(b"y").await;
                    time::sleep(ONE_SECOND / 4).await;
                }
            };
            let server = serve(script.listener(), handler).idle_timeout(ONE_SECOND);
            let (told, end) = roundel::channel::oneshot();
            let server = spawn(server.until(end).into_future());
            drip.await;
            drop(theirs);
            settle().await;
            told.send(()).unwrap();
            let served = server.await.unwrap().unwrap();
            assert_eq!((served.accepted, served.idle, served.failed), (1, 0, 0), "{name}");
        });
    }
}

/// Stuck: the peer does not read, or does not write, while the handler waits for it.
#[test]
fn hazard_51_a_stuck_handler_is_idle() {
    let stuck: [fn(UnixStream) -> Busy; 3] = [
        |it| Box::pin(async move { it.write_all(&vec![0; 10 << 20]).await }),
        |it| Box::pin(async move { it.read(&mut [0]).await.map(drop) }),
        // A try that finds nothing moves no bytes.
        |it| {
            Box::pin(async move {
                loop {
                    assert_eq!(it.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
                    time::sleep(ONE_SECOND / 10).await;
                }
            })
        },
    ];
    for handler in stuck {
        virtually(async |_| {
            let script = Script::new();
            let (ours, theirs) = UnixStream::pair().unwrap();
            script.connects(ours);
            let server = serve(script.listener(), handler).idle_timeout(ONE_SECOND);
            let server = spawn(server.until(time::sleep(ONE_SECOND * 3)).into_future());
            time::sleep(Duration::from_millis(1_130)).await;
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).await.unwrap();
            assert_eq!(server.await.unwrap().unwrap().idle, 1);
        });
    }
}

/// A handler that runs for this long.
async fn finish_after(time: Duration) {
    time::sleep(time).await;
}

#[test]
fn handlers_may_finish_within_the_grace_period() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let handler = |stream: FakeStream| finish_after(ONE_SECOND * stream.number as u32);
        let server = serve(script.listener(), handler).grace(Duration::from_millis(4_500));
        (1..=10).for_each(|number| script.connects(tally.stream(number)));
        let start = time::now();
        let served = server.until(time::sleep(Duration::from_millis(100))).await.unwrap();
        assert_eq!((served.accepted, served.cut_off), (10, 6), "those that run for 5 to 10 seconds");
        assert_eq!(time::now() - start, Duration::from_millis(4_600));
        assert!(script.closed.get());
    });
}

#[test]
fn the_listener_is_closed_as_soon_as_the_end_is_asked_for() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let server = spawn(fixture.server().until(time::sleep(ONE_SECOND)).into_future());
        fixture.connects(0);
        time::sleep(Duration::from_millis(999)).await;
        assert!(!fixture.script.closed.get());
        time::sleep(Duration::from_millis(2)).await;
        assert_eq!((fixture.script.closed.get(), fixture.open(), server.is_finished()), (true, 1, false));
    });
}

#[test]
fn the_server_ends_when_its_last_handler_does() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let server =
            serve(script.listener(), |stream: FakeStream| finish_after(ONE_SECOND * stream.number as u32));
        (1..=3).for_each(|number| script.connects(tally.stream(number)));
        let start = time::now();
        let served = server.grace(Duration::MAX).until(yield_now()).await.unwrap();
        assert_eq!((served.accepted, served.cut_off, time::now() - start), (3, 0, ONE_SECOND * 3));
    });
}

#[test]
fn after_the_end_no_connection_is_accepted() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        (0..3).for_each(|number| script.connects(tally.stream(number)));
        let server = serve(script.listener(), |_| ready(())).until(ready(()));
        assert_eq!(server.await.unwrap(), Served::default());
        assert_eq!((script.accepts.get(), script.closed.get(), script.waiting()), (0, true, 3));
    });
}

/// A handler with a cleanup that takes a second and is counted when it is done.
fn cleaning(done: &Rc<Cell<usize>>) -> impl Fn(FakeStream) -> Stay + 'static {
    let done = Rc::clone(done);
    move |stream| {
        let done = Rc::clone(&done);
        let cleanup = async move || {
            time::sleep(ONE_SECOND).await;
            done.set(done.get() + 1);
        };
        Box::pin(async move {
            let body = async {
                let _stream = stream;
                pending::<()>().await;
            };
            with_cleanup(body, cleanup).await;
        })
    }
}

#[test]
fn cleanups_of_handlers_are_awaited() {
    virtually(async |_| {
        let (script, tally, done) = (Script::new(), Rc::<Tally>::default(), Rc::default());
        let server =
            serve(script.listener(), cleaning(&done)).grace(ONE_SECOND).until(time::sleep(ONE_SECOND));
        (0..3).for_each(|number| script.connects(tally.stream(number)));
        let start = time::now();
        let served = server.await.unwrap();
        assert_eq!((served.cut_off, done.get(), time::now() - start), (3, 3, ONE_SECOND * 3));
    });
}

#[test]
fn cleanups_of_idle_handlers_are_awaited() {
    virtually(async |_| {
        let (script, tally, done) = (Script::new(), Rc::<Tally>::default(), Rc::default());
        let idle = Duration::from_millis(800);
        let server = serve(script.listener(), cleaning(&done)).idle_timeout(idle);
        (0..3).for_each(|number| script.connects(tally.stream(number)));
        let served = server.until(time::sleep(ONE_SECOND)).await.unwrap();
        assert_eq!((served.idle, served.cut_off, done.get()), (3, 0, 3));
    });
}

#[test]
fn cleanups_are_awaited_when_the_listener_breaks() {
    virtually(async |_| {
        let (script, tally, done) = (Script::new(), Rc::<Tally>::default(), Rc::default());
        let server = spawn(serve(script.listener(), cleaning(&done)).into_future());
        (0..3).for_each(|number| script.connects(tally.stream(number)));
        settle().await;
        script.fails(Errno::BADF);
        assert_eq!(server.await.unwrap().unwrap_err().raw_os_error(), Some(Errno::BADF.raw_os_error()));
        assert_eq!(done.get(), 3);
    });
}

#[test]
fn dropping_a_server_cancels_its_handlers() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let server = fixture.start();
        (0..5).for_each(|number| fixture.connects(number));
        settle().await;
        let tasks = task::count();
        server.cancel();
        assert_eq!((fixture.open(), fixture.script.closed.get(), tasks - task::count()), (0, true, 6));
    });
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor");
        }
    }
}

impl Outcome for PanicsOnDrop {
    fn has_failed(&self) -> bool {
        false
    }
}

struct PanicsWhenAsked;

impl Outcome for PanicsWhenAsked {
    fn has_failed(&self) -> bool {
        panic!("an outcome")
    }
}

/// Serves ten connections with `handler`, whose panics must not disturb the server.
fn ten_panics<F: Future<Output: Outcome> + 'static>(
    name: &str,
    handler: impl Fn(FakeStream) -> F + Copy + 'static,
) {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        (0..10).for_each(|number| script.connects(tally.stream(number)));
        let server = async { serve(script.listener(), handler).until(settle()).await };
        let tasks = task::count();
        let served = server.await.unwrap();
        assert_eq!((served.accepted, served.panicked, served.failed), (10, 10, 0), "{name}");
        assert_eq!((tally.closed.borrow().len(), task::count()), (10, tasks), "{name}");
    });
}

fn fail(when: &str) {
    panic!("{when}");
}

#[test]
fn a_panic_affects_no_other_handler() {
    ten_panics("at once", |_| async { fail("at once") });
    ten_panics("later", |_| async {
        yield_now().await;
        fail("later");
    });
    ten_panics("in the closure", |stream: FakeStream| -> std::future::Ready<()> {
        panic!("number {}", stream.number)
    });
    ten_panics("in a destructor", |stream| async move {
        let _both = (PanicsOnDrop, stream);
    });
    ten_panics("in the outcome, when asked", |_| ready(PanicsWhenAsked));
    ten_panics("in the outcome, when dropped", |_| ready(PanicsOnDrop));
    ten_panics("after a cleanup", |_| with_cleanup(async { fail("first") }, async || yield_now().await));
}

#[test]
fn a_panic_of_a_cancelled_handler_affects_no_other() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        (0..10).for_each(|number| script.connects(tally.stream(number)));
        let handler = |stream: FakeStream| async move {
            let _panics = stream.number.is_multiple_of(2).then(|| PanicsOnDrop);
            pending::<()>().await;
        };
        let served = serve(script.listener(), handler).grace(ONE_SECOND).until(settle()).await.unwrap();
        assert_eq!((served.accepted, served.cut_off, served.panicked), (10, 10, 5));
        assert_eq!(tally.closed.borrow().len(), 10);
    });
}

#[test]
fn what_was_served_is_counted() {
    shuffled(SEEDS, async |seed| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let handler = |stream: FakeStream| async move {
            match stream.number % 6 {
                0 => Ok(()),
                1 => Err("at once"),
                2 => {
                    yield_now().await;
                    Err("later")
                }
                3 => panic!("number {}", stream.number),
                4 => pending().await, // idle
                _ => loop {
                    stream.move_bytes();
                    time::sleep(ONE_SECOND / 3).await;
                },
            }
        };
        let server = serve(script.listener(), handler).idle_timeout(ONE_SECOND);
        let server = server.grace(ONE_SECOND).until(time::sleep(ONE_SECOND * 5));
        (0..600).for_each(|number| script.connects(tally.stream(number)));
        let served = server.await.unwrap();
        let counts = [served.accepted, served.failed, served.panicked, served.idle, served.cut_off];
        assert_eq!(counts, [600, 200, 100, 100, 100], "seed {seed}");
        assert_eq!(tally.closed.borrow().len(), 600, "seed {seed}");
    });
}

/// The server's future is dropped at each of its awaits. No stream and no task is left.
#[test]
fn a_server_can_be_dropped_at_every_await() {
    virtually(async |_| {
        let places = at_every_await(async |cut| {
            let fixture = Fixture::new();
            let tasks = task::count();
            let server = fixture.server().max_connections(2).idle_timeout(ONE_SECOND).grace(ONE_SECOND);
            let feeder = spawn({
                let (script, tally) = (Rc::clone(&fixture.script), Rc::clone(&fixture.tally));
                async move {
                    for number in 0..3 {
                        script.connects(tally.stream(number));
                        time::sleep(ONE_SECOND / 5).await;
                    }
                    script.fails(Errno::CONNABORTED);
                    script.fails_with(Some(Errno::MFILE));
                    time::sleep(ONE_SECOND / 5).await;
                    script.fails_with(None);
                    time::sleep(ONE_SECOND * 2).await;
                    script.connects(tally.stream(3));
                }
            });
            let served = cut.run(server.until(time::sleep(ONE_SECOND * 3)).into_future()).await;
            assert_eq!((fixture.open(), fixture.script.closed.get()), (0, true));
            if let Some(served) = served {
                assert_eq!((served.as_ref().unwrap().accepted, served.unwrap().idle), (4, 4));
            }
            feeder.cancel();
            assert_eq!(task::count(), tasks);
        })
        .await;
        assert!(places > 20, "only {places} places");
    });
}

#[test]
fn a_server_may_be_an_arm_of_a_select() {
    virtually(async |_| {
        let fixture = Fixture::new();
        (0..3).for_each(|number| fixture.connects(number));
        let look = async {
            time::sleep(ONE_SECOND).await;
            assert_eq!(fixture.open(), 3);
        };
        roundel::group::select! {
            served = fixture.server().into_future() => panic!("{served:?}"),
            () = look => {}
        }
        assert_eq!((fixture.open(), fixture.script.closed.get()), (0, true));
    });
}

#[test]
fn a_report_that_panics_ends_the_server() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let server = fixture.server().on_trouble(|trouble| panic!("{} are too many", trouble.connections));
        let server = spawn(server.into_future());
        fixture.connects(0);
        fixture.script.fails(Errno::MFILE);
        let payload = server.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "1 are too many");
        assert_eq!((fixture.open(), fixture.script.closed.get()), (0, true));
    });
}

/// A handler may use its server's script while it is called, because the server borrows nothing then.
#[test]
fn a_handler_may_connect_to_its_own_server() {
    virtually(async |_| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let again = (Rc::clone(&script), Rc::clone(&tally));
        let handler = move |stream: FakeStream| {
            if stream.number < 100 {
                again.0.connects(again.1.stream(stream.number + 1));
            }
            ready(())
        };
        script.connects(tally.stream(0));
        let served =
            serve(script.listener(), handler).max_connections(1).until(time::sleep(ONE_SECOND)).await;
        assert_eq!(served.unwrap().accepted, 101);
    });
}

/// A listener with an endless queue: other tasks and the handlers run all the same.
#[test]
fn hazard_53_a_flood_of_connections_lets_others_run() {
    struct Flood(Rc<Tally>);
    impl Accept for Flood {
        type Stream = FakeStream;
        fn poll_stream(&self, _: &mut Context<'_>) -> Poll<io::Result<FakeStream>> {
            Poll::Ready(Ok(self.0.stream(0)))
        }
    }
    virtually(async |_| {
        let tally = Rc::<Tally>::default();
        let server = serve(Flood(Rc::clone(&tally)), |stream: FakeStream| async move { stream.open() });
        let server = spawn(server.into_future());
        for turn in 0..100 {
            yield_now().await;
            let most = tally.most.get();
            assert!(most <= 1, "{most} at once in turn {turn}");
            assert!(task::count() < 1_000, "{} tasks in turn {turn}", task::count());
        }
        assert!(tally.closed.borrow().len() > 1_000);
        server.cancel();
    });
}

/// The loop is blocked for longer than the timeout. Bytes that other clients sent meanwhile count.
#[test]
fn hazard_51_a_handler_that_blocks_the_loop_makes_no_other_idle() {
    really(async |_| {
        let timeout = Duration::from_millis(400);
        loop {
            let start = Instant::now();
            let idle = idle_beside_a_handler_that_blocks(timeout).await;
            // Two timeouts for the block, and half of one for the pauses. If this took three quarters more, the clients
            // may really have been idle, because another program had the processor.
            if idle == 0 || start.elapsed() < timeout * 13 / 4 {
                return assert_eq!(idle, 0);
            }
        }
    });
}

/// How many of ten clients count as idle, while one has a handler that blocks the loop for twice the timeout.
async fn idle_beside_a_handler_that_blocks(timeout: Duration) -> u64 {
    let script = Script::new();
    let handler = move |stream: UnixStream| async move {
        let mut byte = [0];
        while stream.read(&mut byte).await? > 0 {
            if byte == *b"!" {
                std::thread::sleep(timeout * 2);
            }
        }
        io::Result::Ok(())
    };
    let server = serve(script.listener(), handler).idle_timeout(timeout);
    let (told, end) = roundel::channel::oneshot();
    let server = spawn(server.until(end).into_future());
    let mut clients = Vec::new();
    for _ in 0..10 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        script.connects(ours);
        clients.push(theirs);
    }
    clients[0].write_all(b"!").await.unwrap();
    for _ in 0..3 {
        for client in &clients {
            // This fails after the other end was cancelled as idle, which is counted.
            let _ = client.write_all(b".").await;
        }
        time::sleep(timeout / 4).await;
    }
    drop(clients);
    told.send(()).unwrap();
    let served = server.await.unwrap().unwrap();
    assert_eq!((served.accepted, served.failed), (10, 0));
    served.idle
}

/// A connection's descriptor is closed before the server learns that the handler has ended. So a server that
/// waits for a descriptor finds it.
#[test]
fn hazard_29_a_stream_is_closed_before_the_server_learns_of_it() {
    shuffled(SEEDS, async |seed| {
        let (script, tally) = (Script::new(), Rc::<Tally>::default());
        let handler = |stream: FakeStream| async move {
            stream.open();
            // A handler ends in one of three ways: by itself, with a panic, or cancelled as idle.
            match stream.number % 3 {
                0 => time::sleep(ONE_SECOND / 3).await,
                1 => panic!("number {}", stream.number),
                _ => pending().await,
            }
        };
        let server = serve(script.listener(), handler).max_connections(1).idle_timeout(ONE_SECOND);
        (0..30).for_each(|number| script.connects(tally.stream(number)));
        let served = server.until(time::sleep(ONE_SECOND * 60)).await.unwrap();
        assert_eq!((served.accepted, tally.most.get()), (30, 1), "seed {seed}");
    });
}
