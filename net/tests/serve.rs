//! The server besieged: whatever `accept` says, whatever handlers do, and however it ends (hazards 29, 30, 51).
//!
//! Connections come in at a [`Door`], which does what the test has written down for it; so each error of `accept` happens
//! when it is to happen, and on a virtual clock "does not spin" is a number: how often the door was tried in a second.
//! What needs real bytes uses the two ends of a Unix socket, which also works on a virtual clock.

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
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use roundel::cancel::with_cleanup;
use roundel::testing::{at_every_await, settle};
use roundel::{JoinHandle, Runtime, spawn, task, time, yield_now};
use roundel_net::serve::{Accept, Outcome, Served};
use roundel_net::{UnixStream, serve};
use rustix::io::Errno;

use common::{really, virtually, watchdog};

/// A listener that does what it is told.
struct Door<S> {
    street: Rc<Street<S>>,
}

/// What is in front of the door, in the hands of the test.
struct Street<S> {
    coming: RefCell<VecDeque<io::Result<S>>>,
    /// What the door says when nobody comes; nothing: that one has to wait.
    otherwise: Cell<Option<Errno>>,
    server: RefCell<Option<Waker>>,
    /// How often the door was tried.
    tries: Cell<usize>,
    closed: Cell<bool>,
}

impl<S> Street<S> {
    fn new() -> Rc<Street<S>> {
        Rc::new(Street {
            coming: RefCell::default(),
            otherwise: Cell::default(),
            server: RefCell::default(),
            tries: Cell::default(),
            closed: Cell::default(),
        })
    }

    fn door(self: &Rc<Self>) -> Door<S> {
        Door { street: Rc::clone(self) }
    }

    fn comes(&self, stream: S) {
        self.coming.borrow_mut().push_back(Ok(stream));
        self.knock();
    }

    fn fails(&self, error: Errno) {
        self.coming.borrow_mut().push_back(Err(error.into()));
        self.knock();
    }

    /// From now on, until told otherwise.
    fn always_says(&self, error: Option<Errno>) {
        self.otherwise.set(error);
        self.knock();
    }

    fn knock(&self) {
        let server = self.server.borrow_mut().take();
        server.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> usize {
        self.coming.borrow().len()
    }

    /// How often the door is tried while this runs.
    async fn tries_during(&self, future: impl Future) -> usize {
        let before = self.tries.get();
        future.await;
        self.tries.get() - before
    }
}

impl<S> Door<S> {
    fn poll_coming(&self, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        let street = &self.street;
        street.tries.set(street.tries.get() + 1);
        if let Some(coming) = street.coming.borrow_mut().pop_front() {
            return Poll::Ready(coming);
        }
        if let Some(error) = street.otherwise.get() {
            return Poll::Ready(Err(error.into()));
        }
        *street.server.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<S> Drop for Door<S> {
    fn drop(&mut self) {
        self.street.closed.set(true);
    }
}

impl Accept for Door<Guest> {
    type Stream = Guest;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<Guest>> {
        self.poll_coming(cx)
    }

    fn watch(guest: &mut Guest, flag: Rc<Cell<bool>>) {
        guest.moves = Some(flag);
    }
}

impl Accept for Door<UnixStream> {
    type Stream = UnixStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_coming(cx)
    }

    fn watch(stream: &mut UnixStream, flag: Rc<Cell<bool>>) {
        stream.watch(flag);
    }
}

/// A connection without bytes: it knows which it is, and that it is there.
struct Guest {
    number: usize,
    house: Rc<House>,
    moves: Option<Rc<Cell<bool>>>,
}

#[derive(Default)]
struct House {
    inside: Cell<usize>,
    most: Cell<usize>,
    /// Who was there, in the order in which they left.
    left: RefCell<Vec<usize>>,
}

impl House {
    fn guest(self: &Rc<House>, number: usize) -> Guest {
        Guest { number, house: Rc::clone(self), moves: None }
    }
}

impl Guest {
    /// Bytes have moved.
    fn moves(&self) {
        self.moves.as_ref().expect("it is watched").set(true);
    }

    fn comes_in(&self) {
        let house = &self.house;
        house.inside.set(house.inside.get() + 1);
        house.most.set(house.most.get().max(house.inside.get()));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.inside.set(self.house.inside.get().saturating_sub(1));
        self.house.left.borrow_mut().push(self.number);
    }
}

/// A street, a house, and a server in a task of its own, whose handlers stay until they are told.
struct Scene {
    street: Rc<Street<Guest>>,
    house: Rc<House>,
    /// Who is to leave, by number.
    leave: Rc<RefCell<Vec<usize>>>,
    complaints: Rc<RefCell<Vec<String>>>,
}

impl Scene {
    fn new() -> Scene {
        let (leave, complaints) = (Rc::default(), Rc::default());
        Scene { street: Street::new(), house: Rc::default(), leave, complaints }
    }

    fn server(&self) -> serve::Serve<Door<Guest>, impl Fn(Guest) -> Stay + use<>> {
        let (leave, complaints) = (Rc::clone(&self.leave), Rc::clone(&self.complaints));
        let handler = move |guest: Guest| {
            let leave = Rc::clone(&leave);
            let stay = async move {
                guest.comes_in();
                while !leave.borrow().contains(&guest.number) {
                    yield_or_wait().await;
                }
            };
            Box::pin(stay) as Stay
        };
        serve(self.street.door(), handler)
            .on_trouble(move |trouble| complaints.borrow_mut().push(trouble.to_string()))
    }

    fn start(&self) -> JoinHandle<io::Result<Served>> {
        spawn(self.server().into_future())
    }

    fn comes(&self, number: usize) {
        self.street.comes(self.house.guest(number));
    }

    fn inside(&self) -> usize {
        self.house.inside.get()
    }
}

type Stay = Pin<Box<dyn Future<Output = ()>>>;

/// What a handler does that waits for the test: it looks every ten milliseconds.
async fn yield_or_wait() {
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
fn hazard_30_errors_that_belong_to_one_connection_are_passed_over() {
    for &error in BELONG_TO_ONE_CONNECTION {
        virtually(async |_| {
            let scene = Scene::new();
            let _server = scene.start();
            scene.comes(0);
            scene.street.fails(error);
            scene.comes(1);
            let start = time::now();
            settle().await;
            assert_eq!((scene.inside(), time::now()), (2, start), "{error:?}");
            assert!(scene.complaints.borrow().is_empty(), "{error:?}");
        });
    }
}

/// The last four are errors that nobody has foreseen.
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
fn hazard_29_what_is_lacking_is_waited_for_and_not_asked_for_all_the_time() {
    for &error in PASS_WITH_TIME {
        virtually(async |_| {
            let scene = Scene::new();
            let _server = scene.start();
            // That one has left before is no reason to try now.
            (0..2).for_each(|number| scene.comes(number));
            scene.leave.borrow_mut().push(1);
            settle().await;
            scene.street.always_says(Some(error));
            let tries = scene.street.tries_during(time::sleep(ONE_SECOND)).await;
            assert!((30..=41).contains(&tries), "{error:?}: {tries} tries in a second");
            assert_eq!((scene.inside(), scene.complaints.borrow().len()), (1, 1), "{error:?}");
            // Somebody else has freed one. Nobody tells the server; it looks by itself.
            scene.street.always_says(None);
            scene.comes(2);
            time::sleep(Duration::from_millis(26)).await;
            assert_eq!(scene.inside(), 2, "{error:?}");
        });
    }
}

#[test]
fn hazard_29_a_handler_that_ends_is_taken_for_a_descriptor_that_is_free() {
    for &error in PASS_WITH_TIME {
        virtually(async |_| {
            let street = Street::new();
            let (house, end) = (Rc::<House>::default(), Rc::new(roundel::sync::Event::new()));
            let told = Rc::clone(&end);
            let handler = move |guest: Guest| {
                let told = Rc::clone(&told);
                async move {
                    guest.comes_in();
                    told.wait().await;
                }
            };
            let _server = spawn(serve(street.door(), handler).on_trouble(|_| ()).into_future());
            street.comes(house.guest(0));
            settle().await;
            street.always_says(Some(error));
            time::sleep(Duration::from_millis(110)).await;
            let start = time::now();
            street.always_says(None);
            street.comes(house.guest(1));
            settle().await;
            assert_eq!(
                (house.inside.get(), street.waiting()),
                (1, 1),
                "{error:?}: it is not time to try yet"
            );
            end.set();
            settle().await;
            assert_eq!(
                (street.waiting(), time::now()),
                (0, start),
                "{error:?}: nobody noticed that one has left"
            );
        });
    }
}

#[test]
fn hazard_30_nothing_but_bad_connections_is_no_reason_to_spin() {
    for &error in BELONG_TO_ONE_CONNECTION {
        virtually(async |_| {
            let scene = Scene::new();
            let _server = scene.start();
            scene.street.always_says(Some(error));
            let tries = scene.street.tries_during(time::sleep(ONE_SECOND)).await;
            assert!((100..=41 * 101).contains(&tries), "{error:?}: {tries} tries in a second");
            assert_eq!(scene.complaints.borrow().len(), 1, "{error:?}");
            scene.street.always_says(None);
            scene.comes(0);
            time::sleep(Duration::from_millis(26)).await;
            assert_eq!(scene.inside(), 1, "{error:?}");
        });
    }
}

#[test]
fn hazard_30_a_good_connection_between_bad_ones_is_served_at_once() {
    virtually(async |_| {
        let scene = Scene::new();
        let _server = scene.start();
        for number in 0..1_000 {
            (0..99).for_each(|_| scene.street.fails(Errno::CONNABORTED));
            scene.comes(number);
        }
        let start = time::now();
        settle().await;
        assert_eq!((scene.inside(), time::now()), (1_000, start));
    });
}

#[test]
fn a_listener_that_is_none_ends_the_server() {
    for error in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP] {
        virtually(async |_| {
            let scene = Scene::new();
            let server = scene.start();
            scene.comes(0);
            settle().await;
            scene.street.fails(error);
            let ended = server.await.unwrap().unwrap_err();
            assert_eq!(ended.raw_os_error(), Some(error.raw_os_error()));
            assert_eq!((scene.inside(), scene.street.closed.get()), (0, true), "{error:?}");
        });
    }
}

#[test]
fn hazard_29_there_is_one_complaint_a_second() {
    virtually(async |_| {
        let scene = Scene::new();
        let _server = scene.start();
        (0..3).for_each(|number| scene.comes(number));
        settle().await;
        scene.street.always_says(Some(Errno::MFILE));
        time::sleep(Duration::from_millis(10_500)).await;
        let complaints = scene.complaints.borrow();
        assert_eq!(complaints.len(), 11);
        let [first, ..] = &complaints[..] else { panic!() };
        assert!(first.starts_with("cannot accept: "), "{first}");
        assert!(first.contains("; 3 connections are open"), "{first}");
    });
}

/// Runs `body` on a virtual clock, in so many random orders.
fn shuffled(seeds: u64, body: impl AsyncFn(u64)) {
    for seed in 0..seeds {
        let _watchdog = watchdog();
        let runtime = Runtime::builder().virtual_time(true).shuffle(seed).build().unwrap();
        runtime.block_on(body(seed));
    }
}

const SEEDS: u64 = 200;

#[test]
fn there_are_never_too_many_and_nobody_waits_while_there_is_room() {
    shuffled(SEEDS, async |seed| {
        let most = 1 + seed as usize % 7;
        let (street, house) = (Street::new(), Rc::<House>::default());
        let handler = |guest: Guest| async move {
            guest.comes_in();
            for _ in 0..guest.number % 4 {
                yield_now().await;
            }
            if guest.number.is_multiple_of(5) {
                time::sleep(Duration::from_millis(guest.number as u64)).await;
            }
            if guest.number.is_multiple_of(11) { Err(()) } else { Ok(()) }
        };
        let (told, end) = roundel::channel::oneshot();
        let server = serve(street.door(), handler).max_connections(most).until(end);
        let server = spawn(server.into_future());
        for number in 0..100 {
            street.comes(house.guest(number));
            if number.is_multiple_of(8) {
                yield_now().await;
            }
            assert!(house.inside.get() <= most, "seed {seed}");
        }
        settle().await;
        assert_eq!((house.inside.get(), house.most.get()), (most, most), "seed {seed}: there was room");
        while street.waiting() > 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
        told.send(()).unwrap();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.accepted, served.failed, served.panicked), (100, 10, 0), "seed {seed}");
        assert_eq!((house.most.get(), house.left.borrow().len()), (most, 100), "seed {seed}");
    });
}

#[test]
fn the_next_is_served_at_once_when_one_ends() {
    virtually(async |_| {
        let scene = Scene::new();
        let server = spawn(scene.server().max_connections(2).into_future());
        (0..4).for_each(|number| scene.comes(number));
        time::sleep(ONE_SECOND).await;
        assert_eq!((scene.inside(), scene.street.waiting()), (2, 2));
        let tries = scene.street.tries_during(time::sleep(ONE_SECOND)).await;
        assert_eq!(tries, 0, "who has no room does not open the door");
        scene.leave.borrow_mut().push(0);
        time::sleep(Duration::from_millis(11)).await;
        assert_eq!(
            (scene.inside(), scene.street.waiting(), &scene.house.left.borrow()[..]),
            (2, 1, &[0][..])
        );
        assert!(scene.complaints.borrow().is_empty(), "to be full is no trouble");
        assert!(!server.is_finished());
    });
}

/// A connection that was last busy at any time is dismissed after its timeout, and no more than an eighth later.
#[test]
fn hazard_51_idle_connections_are_dismissed_on_time_and_never_early() {
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
            let (street, house) = (Street::new(), Rc::<House>::default());
            let idle_since = move |guest: Guest| async move {
                // Busy a few times, and for the last time at a place of its own within the round, or just before its end.
                // Some do nothing at all.
                let period = timeout.max(Duration::from_millis(8)) / 8;
                if !guest.number.is_multiple_of(7) {
                    for _ in 0..guest.number % 5 {
                        guest.moves();
                        time::sleep(period).await;
                    }
                    let last = period * (guest.number as u32 % 33) / 32;
                    time::sleep(last.saturating_sub(Duration::from_nanos(guest.number as u64 % 3))).await;
                    guest.moves();
                }
                let _idle = Idle { since: time::now(), timeout };
                pending::<()>().await;
            };
            let server = serve(street.door(), idle_since).idle_timeout(timeout);
            let (told, end) = roundel::channel::oneshot();
            let server = spawn(server.until(end).into_future());
            for number in 0..400 {
                street.comes(house.guest(number));
                if number.is_multiple_of(16) {
                    time::sleep(timeout / 7).await;
                }
            }
            time::sleep(timeout * 3 + Duration::from_millis(20)).await;
            assert_eq!(house.left.borrow().len(), 400);
            told.send(()).unwrap();
            let served = server.await.unwrap().unwrap();
            // The assertions of `Idle` are panics of handlers.
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
        assert!(idle >= timeout, "dismissed early, after {idle:?} of {timeout:?}");
        let late = idle - timeout;
        assert!(
            late <= (timeout / 8).max(Duration::from_millis(2)) + Duration::from_nanos(9),
            "{late:?} late"
        );
    }
}

#[test]
#[should_panic(expected = "`idle_timeout` was given zero")]
fn an_idle_timeout_of_nothing_is_refused() {
    let _ = serve(Street::<Guest>::new().door(), |_| ready(())).idle_timeout(Duration::ZERO);
}

#[test]
#[should_panic(expected = "`max_connections` was given zero")]
fn no_connections_at_all_is_refused() {
    let _ = serve(Street::<Guest>::new().door(), |_| ready(())).max_connections(0);
}

#[test]
fn hazard_51_who_is_busy_or_has_let_go_of_its_stream_stays() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let done = Rc::new(Cell::new(0));
        let count = Rc::clone(&done);
        let handler = move |guest: Guest| {
            let count = Rc::clone(&count);
            async move {
                match guest.number {
                    0 => {
                        drop(guest);
                        time::sleep(ONE_SECOND * 20).await;
                    }
                    _ => {
                        for _ in 0..20 {
                            time::sleep(ONE_SECOND).await;
                            guest.moves();
                        }
                    }
                }
                count.set(count.get() + 1);
            }
        };
        let until = time::sleep(ONE_SECOND * 30);
        let server = serve(street.door(), handler).idle_timeout(ONE_SECOND).until(until);
        let server = spawn(server.into_future());
        (0..2).for_each(|number| street.comes(house.guest(number)));
        let served = server.await.unwrap().unwrap();
        assert_eq!((done.get(), served.idle), (2, 0));
    });
}

type Busy = Pin<Box<dyn Future<Output = io::Result<()>>>>;

type Way = (&'static str, fn(UnixStream) -> Busy);

/// Ways to move a byte every so often, for longer than the timeout: what the handler does, and what its peer does.
fn ways_to_be_busy() -> Vec<Way> {
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
fn hazard_51_whoever_moves_bytes_in_any_way_is_busy() {
    for (name, handler) in ways_to_be_busy() {
        virtually(async |_| {
            let street = Street::new();
            let (ours, theirs) = UnixStream::pair().unwrap();
            street.comes(ours);
            let drip = async {
                for _ in 0..30 {
                    let _ = theirs.write(b"y").await;
                    time::sleep(ONE_SECOND / 4).await;
                }
            };
            let server = serve(street.door(), handler).idle_timeout(ONE_SECOND);
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

/// Stuck: the peer does not read, or does not write, and the handler is in the middle of it.
#[test]
fn hazard_51_whoever_is_stuck_is_idle() {
    let stuck: [fn(UnixStream) -> Busy; 3] = [
        |it| Box::pin(async move { it.write_all(&vec![0; 10 << 20]).await }),
        |it| Box::pin(async move { it.read(&mut [0]).await.map(drop) }),
        // To ask whether there is something is not to move it.
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
            let street = Street::new();
            let (ours, theirs) = UnixStream::pair().unwrap();
            street.comes(ours);
            let server = serve(street.door(), handler).idle_timeout(ONE_SECOND);
            let server = spawn(server.until(time::sleep(ONE_SECOND * 3)).into_future());
            time::sleep(Duration::from_millis(1_130)).await;
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).await.unwrap();
            assert_eq!(server.await.unwrap().unwrap().idle, 1);
        });
    }
}

/// What a handler does that takes its time.
async fn linger(time: Duration) {
    time::sleep(time).await;
}

#[test]
fn handlers_may_finish_within_the_grace_period() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let handler = |guest: Guest| linger(ONE_SECOND * guest.number as u32);
        let server = serve(street.door(), handler).grace(Duration::from_millis(4_500));
        (1..=10).for_each(|number| street.comes(house.guest(number)));
        let start = time::now();
        let served = server.until(time::sleep(Duration::from_millis(100))).await.unwrap();
        assert_eq!((served.accepted, served.cut_off), (10, 6), "those of 5 to 10 seconds");
        assert_eq!(time::now() - start, Duration::from_millis(4_600));
        assert!(street.closed.get());
    });
}

#[test]
fn the_door_is_closed_as_soon_as_the_end_is_asked_for() {
    virtually(async |_| {
        let scene = Scene::new();
        let server = spawn(scene.server().until(time::sleep(ONE_SECOND)).into_future());
        scene.comes(0);
        time::sleep(Duration::from_millis(999)).await;
        assert!(!scene.street.closed.get());
        time::sleep(Duration::from_millis(2)).await;
        assert_eq!((scene.street.closed.get(), scene.inside(), server.is_finished()), (true, 1, false));
    });
}

#[test]
fn who_has_finished_is_not_waited_for() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let server = serve(street.door(), |guest: Guest| linger(ONE_SECOND * guest.number as u32));
        (1..=3).for_each(|number| street.comes(house.guest(number)));
        let start = time::now();
        let served = server.grace(Duration::MAX).until(yield_now()).await.unwrap();
        assert_eq!((served.accepted, served.cut_off, time::now() - start), (3, 0, ONE_SECOND * 3));
    });
}

#[test]
fn who_comes_after_the_end_finds_the_door_closed() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        (0..3).for_each(|number| street.comes(house.guest(number)));
        let server = serve(street.door(), |_| ready(())).until(ready(()));
        assert_eq!(server.await.unwrap(), Served::default());
        assert_eq!((street.tries.get(), street.closed.get(), street.waiting()), (0, true, 3));
    });
}

/// A handler whose cleanup takes a second, and says when it is done.
fn tidy(done: &Rc<Cell<usize>>) -> impl Fn(Guest) -> Stay + 'static {
    let done = Rc::clone(done);
    move |guest| {
        let done = Rc::clone(&done);
        let cleanup = async move || {
            time::sleep(ONE_SECOND).await;
            done.set(done.get() + 1);
        };
        Box::pin(async move {
            let body = async {
                let _guest = guest;
                pending::<()>().await;
            };
            with_cleanup(body, cleanup).await;
        })
    }
}

#[test]
fn cleanups_of_handlers_are_awaited() {
    virtually(async |_| {
        let (street, house, done) = (Street::new(), Rc::<House>::default(), Rc::default());
        let server = serve(street.door(), tidy(&done)).grace(ONE_SECOND).until(time::sleep(ONE_SECOND));
        (0..3).for_each(|number| street.comes(house.guest(number)));
        let start = time::now();
        let served = server.await.unwrap();
        assert_eq!((served.cut_off, done.get(), time::now() - start), (3, 3, ONE_SECOND * 3));
    });
}

#[test]
fn cleanups_of_those_who_were_idle_are_awaited() {
    virtually(async |_| {
        let (street, house, done) = (Street::new(), Rc::<House>::default(), Rc::default());
        let idle = Duration::from_millis(800);
        let server = serve(street.door(), tidy(&done)).idle_timeout(idle);
        (0..3).for_each(|number| street.comes(house.guest(number)));
        let served = server.until(time::sleep(ONE_SECOND)).await.unwrap();
        assert_eq!((served.idle, served.cut_off, done.get()), (3, 0, 3));
    });
}

#[test]
fn cleanups_are_awaited_when_the_listener_breaks() {
    virtually(async |_| {
        let (street, house, done) = (Street::new(), Rc::<House>::default(), Rc::default());
        let server = spawn(serve(street.door(), tidy(&done)).into_future());
        (0..3).for_each(|number| street.comes(house.guest(number)));
        settle().await;
        street.fails(Errno::BADF);
        assert_eq!(server.await.unwrap().unwrap_err().raw_os_error(), Some(Errno::BADF.raw_os_error()));
        assert_eq!(done.get(), 3);
    });
}

#[test]
fn a_server_that_is_dropped_takes_its_handlers_along() {
    virtually(async |_| {
        let scene = Scene::new();
        let server = scene.start();
        (0..5).for_each(|number| scene.comes(number));
        settle().await;
        let tasks = task::count();
        server.cancel();
        assert_eq!((scene.inside(), scene.street.closed.get(), tasks - task::count()), (0, true, 6));
    });
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor");
        }
    }
}

impl Outcome for Bomb {
    fn has_failed(&self) -> bool {
        false
    }
}

struct Unsure;

impl Outcome for Unsure {
    fn has_failed(&self) -> bool {
        panic!("an outcome")
    }
}

/// Serves ten with `handler`, and then one whose handler is to be none of the server's worries.
fn ten_panics<F: Future<Output: Outcome> + 'static>(
    name: &str,
    handler: impl Fn(Guest) -> F + Copy + 'static,
) {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        (0..10).for_each(|number| street.comes(house.guest(number)));
        let server = async { serve(street.door(), handler).until(settle()).await };
        let tasks = task::count();
        let served = server.await.unwrap();
        assert_eq!((served.accepted, served.panicked, served.failed), (10, 10, 0), "{name}");
        assert_eq!((house.left.borrow().len(), task::count()), (10, tasks), "{name}");
    });
}

fn blow(when: &str) {
    panic!("{when}");
}

#[test]
fn a_panic_concerns_nobody_else() {
    ten_panics("at once", |_| async { blow("at once") });
    ten_panics("later", |_| async {
        yield_now().await;
        blow("later");
    });
    ten_panics("in the closure", |guest: Guest| -> std::future::Ready<()> {
        panic!("number {}", guest.number)
    });
    ten_panics("in a destructor", |guest| async move {
        let _both = (Bomb, guest);
    });
    ten_panics("in what it returned, when asked", |_| ready(Unsure));
    ten_panics("in what it returned, when dropped", |_| ready(Bomb));
    ten_panics("after a cleanup", |_| with_cleanup(async { blow("first") }, async || yield_now().await));
}

#[test]
fn a_panic_when_cancelled_concerns_nobody_else() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        (0..10).for_each(|number| street.comes(house.guest(number)));
        let handler = |guest: Guest| async move {
            let _bomb = guest.number.is_multiple_of(2).then(|| Bomb);
            pending::<()>().await;
        };
        let served = serve(street.door(), handler).grace(ONE_SECOND).until(settle()).await.unwrap();
        assert_eq!((served.accepted, served.cut_off, served.panicked), (10, 10, 5));
        assert_eq!(house.left.borrow().len(), 10);
    });
}

#[test]
fn what_was_served_is_counted() {
    shuffled(SEEDS, async |seed| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let handler = |guest: Guest| async move {
            match guest.number % 6 {
                0 => Ok(()),
                1 => Err("at once"),
                2 => {
                    yield_now().await;
                    Err("later")
                }
                3 => panic!("number {}", guest.number),
                4 => pending().await, // idle
                _ => loop {
                    guest.moves();
                    time::sleep(ONE_SECOND / 3).await;
                },
            }
        };
        let server = serve(street.door(), handler).idle_timeout(ONE_SECOND);
        let server = server.grace(ONE_SECOND).until(time::sleep(ONE_SECOND * 5));
        (0..600).for_each(|number| street.comes(house.guest(number)));
        let served = server.await.unwrap();
        let counts = [served.accepted, served.failed, served.panicked, served.idle, served.cut_off];
        assert_eq!(counts, [600, 200, 100, 100, 100], "seed {seed}");
        assert_eq!(house.left.borrow().len(), 600, "seed {seed}");
    });
}

/// The server's future is dropped wherever it can be: nobody is left behind.
#[test]
fn a_server_can_be_dropped_at_every_await() {
    virtually(async |_| {
        let places = at_every_await(async |cut| {
            let scene = Scene::new();
            let tasks = task::count();
            let server = scene.server().max_connections(2).idle_timeout(ONE_SECOND).grace(ONE_SECOND);
            let story = spawn({
                let (street, house) = (Rc::clone(&scene.street), Rc::clone(&scene.house));
                async move {
                    for number in 0..3 {
                        street.comes(house.guest(number));
                        time::sleep(ONE_SECOND / 5).await;
                    }
                    street.fails(Errno::CONNABORTED);
                    street.always_says(Some(Errno::MFILE));
                    time::sleep(ONE_SECOND / 5).await;
                    street.always_says(None);
                    time::sleep(ONE_SECOND * 2).await;
                    street.comes(house.guest(3));
                }
            });
            let served = cut.run(server.until(time::sleep(ONE_SECOND * 3)).into_future()).await;
            assert_eq!((scene.inside(), scene.street.closed.get()), (0, true));
            if let Some(served) = served {
                assert_eq!((served.as_ref().unwrap().accepted, served.unwrap().idle), (4, 4));
            }
            story.cancel();
            assert_eq!(task::count(), tasks);
        })
        .await;
        assert!(places > 20, "only {places} places");
    });
}

#[test]
fn a_server_may_be_an_arm_of_a_select() {
    virtually(async |_| {
        let scene = Scene::new();
        (0..3).for_each(|number| scene.comes(number));
        let look = async {
            time::sleep(ONE_SECOND).await;
            assert_eq!(scene.inside(), 3);
        };
        roundel::group::select! {
            served = scene.server().into_future() => panic!("{served:?}"),
            () = look => {}
        }
        assert_eq!((scene.inside(), scene.street.closed.get()), (0, true));
    });
}

#[test]
fn a_report_that_panics_is_the_servers_end() {
    virtually(async |_| {
        let scene = Scene::new();
        let server = scene.server().on_trouble(|trouble| panic!("{} are too many", trouble.connections));
        let server = spawn(server.into_future());
        scene.comes(0);
        scene.street.fails(Errno::MFILE);
        let payload = server.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "1 are too many");
        assert_eq!((scene.inside(), scene.street.closed.get()), (0, true));
    });
}

/// A handler may do with its server's street what it likes: nothing of the server's is borrowed.
#[test]
fn a_handler_may_knock_at_its_own_door() {
    virtually(async |_| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let again = (Rc::clone(&street), Rc::clone(&house));
        let handler = move |guest: Guest| {
            if guest.number < 100 {
                again.0.comes(again.1.guest(guest.number + 1));
            }
            ready(())
        };
        street.comes(house.guest(0));
        let served = serve(street.door(), handler).max_connections(1).until(time::sleep(ONE_SECOND)).await;
        assert_eq!(served.unwrap().accepted, 101);
    });
}

/// A listener that has always another one: the others get their turns, and the handlers, too.
#[test]
fn hazard_53_a_storm_of_connections_leaves_room_for_others() {
    struct Storm(Rc<House>);
    impl Accept for Storm {
        type Stream = Guest;
        fn poll_stream(&self, _: &mut Context<'_>) -> Poll<io::Result<Guest>> {
            Poll::Ready(Ok(self.0.guest(0)))
        }
    }
    virtually(async |_| {
        let house = Rc::<House>::default();
        let server = serve(Storm(Rc::clone(&house)), |guest: Guest| async move { guest.comes_in() });
        let server = spawn(server.into_future());
        for turn in 0..100 {
            yield_now().await;
            let most = house.most.get();
            assert!(most <= 1, "{most} at once in turn {turn}");
            assert!(task::count() < 1_000, "{} tasks in turn {turn}", task::count());
        }
        assert!(house.left.borrow().len() > 1_000);
        server.cancel();
    });
}

/// The loop is held for longer than the timeout. What the others have sent meanwhile counts.
#[test]
fn hazard_51_a_handler_that_holds_the_loop_makes_nobody_else_idle() {
    really(async |_| {
        let street = Street::new();
        let timeout = Duration::from_millis(400);
        let handler = move |stream: UnixStream| async move {
            let mut byte = [0];
            while stream.read(&mut byte).await? > 0 {
                if byte == *b"!" {
                    std::thread::sleep(timeout * 2);
                }
            }
            io::Result::Ok(())
        };
        let server = serve(street.door(), handler).idle_timeout(timeout);
        let (told, end) = roundel::channel::oneshot();
        let server = spawn(server.until(end).into_future());
        let mut clients = Vec::new();
        for _ in 0..10 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            street.comes(ours);
            clients.push(theirs);
        }
        clients[0].write_all(b"!").await.unwrap();
        for _ in 0..3 {
            for client in &clients {
                client.write_all(b".").await.unwrap();
            }
            time::sleep(timeout / 4).await;
        }
        drop(clients);
        told.send(()).unwrap();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.accepted, served.idle, served.failed), (10, 0, 0));
    });
}

/// The descriptor of a connection is closed before the server hears of its end: who waits for one finds it.
#[test]
fn hazard_29_a_stream_is_closed_before_its_end_is_told() {
    shuffled(SEEDS, async |seed| {
        let (street, house) = (Street::new(), Rc::<House>::default());
        let handler = |guest: Guest| async move {
            guest.comes_in();
            // Whatever ends it: it ends by itself, panics, or is cancelled as idle.
            match guest.number % 3 {
                0 => time::sleep(ONE_SECOND / 3).await,
                1 => panic!("number {}", guest.number),
                _ => pending().await,
            }
        };
        let server = serve(street.door(), handler).max_connections(1).idle_timeout(ONE_SECOND);
        (0..30).for_each(|number| street.comes(house.guest(number)));
        let served = server.until(time::sleep(ONE_SECOND * 60)).await.unwrap();
        assert_eq!((served.accepted, house.most.get()), (30, 1), "seed {seed}");
    });
}
