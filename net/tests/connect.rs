//! Connecting: which address wins, when, and what is left of the other attempts; hazard 50.
//!
//! A *black hole* is a listener whose backlog is full: the kernel drops what comes, and an attempt to connect
//! neither succeeds nor fails. A *closed* address is bound, but no socket listens there: it refuses. With
//! virtual time, the quarter of a second between two attempts is exact, and takes no real time. A connection
//! over loopback is established as soon as the loop looks, or never.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "connect/faults.rs"]
mod faults;

use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use roundel::probe::{Event, Resource};
use roundel::source;
use roundel::testing::at_every_await;
use roundel::time::{now, timeout};
use roundel::{Runtime, run};
use roundel_net::{ConnectError, TcpSocket, TcpStream, lookup_host};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Socket, Type};

use common::{alone, nothing_starts, watchdog};

const DELAY: Duration = Duration::from_millis(250);

/// A listener, and its address.
fn open(host: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address without a listener. While this is kept, no other program can listen there, because the port is
/// bound.
struct Closed {
    address: SocketAddr,
    _socket: Socket,
}

fn closed() -> Closed {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&any.into()).unwrap();
    Closed { address: socket.local_addr().unwrap().as_socket().unwrap(), _socket: socket }
}

/// A black hole, for as long as its sockets are kept.
struct Hole {
    address: SocketAddr,
    _sockets: (Socket, Vec<Socket>),
}

/// When the first connection is in the backlog, there is no room for another one, however late the kernel looks at the
/// rest. (Other systems than Linux have room for three.)
fn hole(host: &str) -> Hole {
    let address: SocketAddr = format!("{host}:0").parse().unwrap();
    let socket = || Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let attempt = |number| {
        let client = socket();
        client.set_nonblocking(number > 0).unwrap();
        let _ = client.connect(&address);
        if number == 0 {
            poll(&mut [PollFd::new(&listener, PollFlags::IN)], None).unwrap();
        }
        client
    };
    let clients: Vec<Socket> = (0..4).map(attempt).collect();
    assert!(clients[3].peer_addr().is_err(), "a backlog of 0 was not full after three connections");
    Hole { address: address.as_socket().unwrap(), _sockets: (listener, clients) }
}

/// Runs `body` on virtual time without a time limit. The clock can jump only to what `body` waits for.
fn virtually<T>(body: impl Future<Output = T>) -> T {
    let _watchdog = watchdog();
    let _nothing_starts = nothing_starts();
    Runtime::builder().virtual_time(true).build().unwrap().block_on(body)
}

/// Connects, and returns how long that took, and the peer's address.
async fn outcome(to: &[SocketAddr]) -> (Duration, SocketAddr) {
    let start = now();
    let stream = TcpStream::connect(to).await.unwrap();
    assert_eq!(source::count(), 1, "the attempts that did not win are closed");
    (now() - start, stream.peer_addr().unwrap())
}

/// Checks how long a connection takes, and which address wins. A kernel under load may answer late, and then
/// the clock jumps on without the answer. So there are ten tries, with more and more time for the load to pass.
async fn leads(to: &[SocketAddr], after: Duration, there: SocketAddr) {
    for attempt in 1..10 {
        if outcome(to).await == (after, there) {
            return;
        }
        std::thread::sleep(DELAY / 10 * attempt);
    }
    assert_eq!(outcome(to).await, (after, there));
}

#[test]
fn a_refusal_costs_no_time() {
    let (_listener, address) = open("127.0.0.1");
    let (one, other) = (closed(), closed());
    virtually(async {
        leads(&[one.address, other.address, address], Duration::ZERO, address).await;
    });
}

#[test]
fn a_black_hole_costs_a_quarter_of_a_second() {
    let (_listener, address) = open("127.0.0.1");
    let (one, other, closed) = (hole("127.0.0.1"), hole("127.0.0.1"), closed());
    virtually(async {
        leads(&[one.address, address], DELAY, address).await;
        leads(&[one.address, other.address, address], 2 * DELAY, address).await;
        leads(&[one.address, closed.address, address], DELAY, address).await;
        leads(&[address, one.address], Duration::ZERO, address).await;
    });
}

#[test]
fn a_broken_family_costs_one_attempt() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: there is no IPv6 here");
        return;
    }
    let (_listener, address) = open("127.0.0.1");
    let (one, other) = (hole("[::1]"), hole("[::1]"));
    virtually(async {
        leads(&[one.address, other.address, address], DELAY, address).await;
    });
}

#[test]
fn an_attempt_goes_on_when_the_next_begins() {
    let (one, other) = (hole("127.0.0.1"), hole("127.0.0.1"));
    virtually(async {
        let both = [one.address, other.address];
        let mut connecting = pin!(TcpStream::connect(&both[..]));
        assert!(timeout(4 * DELAY, connecting.as_mut()).await.is_err());
        assert_eq!(source::count(), 2, "both are under way");
    });
}

#[test]
fn a_late_failure_does_not_end_another_attempt() {
    let _watchdog = watchdog();
    // An address where no other program listens, because it would get the port when the first hole is gone.
    let host = if cfg!(target_os = "linux") { "127.0.34.1" } else { "127.0.0.1" };
    run(async {
        let (dying, slow) = (hole(host), hole(host));
        let both = [dying.address, slow.address];
        let connecting = roundel::spawn(async move { outcome(&both).await.1 });
        while source::count() < 2 {
            roundel::time::sleep(DELAY / 10).await;
        }
        // The kernel sends each first packet again after a second. Then one attempt is refused, and there is
        // room for the other, whichever of the hole's own clients come before it.
        drop(dying);
        let listener = &slow._sockets.0;
        listener.set_nonblocking(true).unwrap();
        let mut accepted = Vec::new();
        while !connecting.is_finished() {
            accepted.extend(listener.accept());
            roundel::time::sleep(DELAY / 50).await;
        }
        assert_eq!(connecting.await.unwrap(), both[1]);
    });
}

/// How many waits for a timer began while `body` ran.
fn sleeps(body: impl Future<Output = ()>) -> usize {
    let _watchdog = watchdog();
    let count = Rc::<Cell<usize>>::default();
    let counted = Rc::clone(&count);
    let is_sleep = |event: &Event| matches!(event, Event::WaitOn { on: Resource::Timer(_), .. });
    let sink = move |event| counted.set(counted.get() + usize::from(is_sleep(&event)));
    Runtime::builder().virtual_time(true).probe(sink).build().unwrap().block_on(body);
    count.get()
}

#[test]
fn one_address_needs_no_timer() {
    let (_listener, address) = open("127.0.0.1");
    let hole = hole("127.0.0.1");
    assert_eq!(sleeps(async { drop(TcpStream::connect(address).await.unwrap()) }), 0);
    let once = |to: Vec<SocketAddr>| async move {
        let mut connecting = pin!(TcpStream::connect(to));
        for _ in 0..10 {
            assert!(connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            roundel::yield_now().await;
        }
    };
    assert_eq!(sleeps(once(vec![hole.address])), 0);
    assert_eq!(sleeps(once(vec![hole.address, address])), 1, "so this test can count timers");
}

#[test]
fn an_error_names_the_target_and_every_attempt() {
    virtually(async {
        let (closed, closed_too) = (closed(), closed());
        let (one, other) = (closed.address, closed_too.address);
        let error = TcpStream::connect([one, other]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let refused = io::Error::from_raw_os_error(error_of(&error).raw_os_error().unwrap());
        let text = format!("cannot connect to {one} or {other}: {one}: {refused}; {other}: {refused}");
        assert_eq!(error.to_string(), text);
        let why = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(why.attempts().iter().map(|(address, _)| *address).collect::<Vec<_>>(), [one, other]);

        let text = format!("localhost:{}", one.port());
        let error = TcpStream::connect(text.as_str()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot connect to {text}: ")), "{error}");
        assert!(error.contains(&format!(" {one}: {refused}")), "{error}");
        let error = TcpStream::connect(one).await.unwrap_err().to_string();
        assert_eq!(error, format!("cannot connect to {one}: {refused}"), "nothing is said twice");

        let error = TcpStream::connect(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("no address"), "{error}");
        assert_eq!(source::count(), 0);
    });
}

/// The error of the system for such an attempt.
fn error_of(error: &io::Error) -> &io::Error {
    error.source().unwrap().downcast_ref().unwrap()
}

#[test]
fn a_name_that_is_not_found_is_named() {
    virtually(async {
        // A name so long that a resolver refuses it without asking a server.
        for name in ["a".repeat(300), "\u{fc}".repeat(200)] {
            let error = TcpStream::connect((name.as_str(), 80)).await.unwrap_err();
            assert!(error.to_string().starts_with(&format!("cannot look up {name}: ")), "{error}");
            assert_eq!(error.to_string().contains("xn--"), !name.is_ascii());
            assert!(error.source().is_some());
        }
        let error = TcpStream::connect("::1").await.unwrap_err();
        assert!(error.to_string().contains("[::1]:7000"), "{error}");
    });
}

#[test]
fn a_name_leads_to_a_connection() {
    let (_listener, address) = open("127.0.0.1");
    virtually(async {
        let stream = TcpStream::connect(("localhost", address.port())).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let found = lookup_host(format!("localhost:{}", address.port())).await.unwrap();
        assert!(found.contains(&address), "{found:?}");
    });
}

/// How many threads this process has.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_literal_address_never_leaves_the_loop() {
    alone("a_literal_address_never_leaves_the_loop", || {
        let (_listener, address) = open("127.0.0.1");
        run(async {
            let before = threads();
            let found = lookup_host(address.to_string()).await.unwrap();
            assert_eq!(found, [address]);
            assert_eq!(lookup_host(("::1", 1)).await.unwrap(), ["[::1]:1".parse().unwrap()]);
            TcpStream::connect(address.to_string()).await.unwrap();
            TcpStream::connect(address).await.unwrap();
            assert_eq!(threads(), before, "an address needs no thread");
            lookup_host("localhost:1").await.unwrap();
            assert!(threads() > before, "so this test would have seen a thread");
        });
    });
}

/// A lookup runs although all threads for jobs are busy.
#[test]
fn lookups_and_jobs_have_separate_threads() {
    let runtime = roundel::Runtime::builder().max_blocking_threads(1).build().unwrap();
    let _watchdog = watchdog();
    runtime.block_on(async {
        let (done, until) = std::sync::mpsc::channel::<()>();
        let job = roundel::blocking::unblock(move || until.recv());
        let limit = Duration::from_secs(100);
        let found = roundel::time::timeout(limit, lookup_host("localhost:1")).await;
        assert!(found.expect("the lookup waits for a job that waits for the lookup").is_ok());
        drop(done);
        assert!(job.await.unwrap().is_err());
    });
}

#[test]
fn readiness_without_a_connection_is_not_success() {
    let hole = hole("127.0.0.1");
    run(async {
        // A new socket counts as ready, so the first poll finds one that is not connected. The second poll
        // has no cause at all.
        let socket = TcpSocket::for_address(hole.address).unwrap();
        let (mut one, mut other) =
            (pin!(socket.connect(hole.address)), pin!(TcpStream::connect(hole.address)));
        for _ in 0..100 {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(one.as_mut().poll(&mut cx).is_pending() && other.as_mut().poll(&mut cx).is_pending());
        }
    });
}

#[test]
fn cancelled_at_any_await_it_leaves_nothing() {
    let (_listener, address) = open("127.0.0.1");
    let hole = hole("127.0.0.1");
    virtually(async {
        let places = at_every_await(async |cut| {
            let stream = cut.run(TcpStream::connect([hole.address, hole.address, address])).await;
            assert_eq!(source::count(), usize::from(stream.is_some()));
            drop(stream);
            assert_eq!(source::count(), 0);
        })
        .await;
        assert!(places >= 5, "before the first poll, and around two waits: {places}");
        at_every_await(async |cut| {
            let _ = cut.run(TcpStream::connect(("localhost", address.port()))).await;
            assert_eq!(source::count(), 0);
        })
        .await;
    });
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(target_os = "linux")]
const MANY: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };

#[cfg(target_os = "linux")]
#[test]
fn hazard_50_cancelled_connects_leave_no_descriptor() {
    alone("hazard_50_cancelled_connects_leave_no_descriptor", || {
        let (listener, address) = open("127.0.0.1");
        let hole = hole("127.0.0.1");
        virtually(async {
            let before = descriptors();
            for _ in 0..MANY {
                let result = timeout(DELAY, TcpStream::connect([hole.address, hole.address])).await;
                assert!(result.is_err());
            }
            // Cancelled when the connection is established, but before the future is polled.
            for _ in 0..MANY {
                let mut connecting = pin!(TcpStream::connect([hole.address, address]));
                let mut cx = Context::from_waker(Waker::noop());
                assert!(connecting.as_mut().poll(&mut cx).is_pending());
            }
            assert_eq!((descriptors(), source::count()), (before, 0));
        });
        drop(listener);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn hazard_50_cancelled_lookups_leave_nothing() {
    alone("hazard_50_cancelled_lookups_leave_nothing", || {
        let _watchdog = watchdog();
        run(async {
            lookup_host("localhost:1").await.unwrap();
            let before = descriptors();
            for round in 0..MANY {
                let mut looking = pin!(lookup_host("localhost:1"));
                let _ = looking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if round % 7 == 0 {
                    roundel::yield_now().await; // Some lookups have begun, or are done and dropped with their result.
                }
            }
            let mut connecting = pin!(TcpStream::connect("localhost:1"));
            let _ = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            // The pool does lookups in order. When this one is done, none of the earlier ones waits any
            // more.
            lookup_host("localhost:1").await.unwrap();
            assert!(threads() < 1000, "{} threads", threads());
            let settled = (0..10_000).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                descriptors() == before
            });
            assert!(settled, "{} descriptors, and there were {before}", descriptors());
            assert_eq!(source::count(), 0);
        });
    });
}

#[test]
fn without_descriptors_the_error_says_so() {
    alone("without_descriptors_the_error_says_so", || {
        let (listener, address) = open("127.0.0.1");
        run(async {
            let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).take(1 << 20).collect();
            let error = TcpStream::connect([address, address]).await.unwrap_err();
            assert!(error.to_string().contains("Too many open files"), "{error}");
            assert_eq!(error.to_string().matches(&address.to_string()).count(), 4, "{error}");
            assert!(TcpSocket::for_address(address).is_err());
            assert_eq!(source::count(), 0);
            drop(all);
            TcpStream::connect(address).await.unwrap();
        });
        assert!(listener.accept().is_ok());
        assert!(StdStream::connect(address).is_ok());
    });
}
