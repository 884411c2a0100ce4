//! What the kernel reports, when, and what it does not report: hazards 32 to 38, and the budget of hazard 13.
//!
//! Reports are edge-triggered. If one is lost, misread or credited to the wrong source, a task sleeps for ever, or
//! spins. So the tests force each unlucky order. Data arrives *inside* an operation that is about to return
//! `WouldBlock`. The end of a stream comes in the same report as its last bytes. A descriptor's number is reused in the
//! middle of a batch. The test itself holds the other end of each socket and uses it directly, so nothing is left to
//! chance. `testkit` explains how a test notices a hang.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;
#[path = "io/edges.rs"]
mod edges;
#[path = "io/ends.rs"]
mod ends;
#[cfg(target_os = "linux")]
#[path = "io/files.rs"]
mod files;
#[path = "io/stale.rs"]
mod stale;
#[cfg(target_os = "linux")]
#[path = "io/urgent.rs"]
mod urgent;

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use mio::net::UnixStream;
use roundel::source::{self, AsyncFd, Direction, Source};
use roundel::{Runtime, spawn, yield_now};

use common::{Flag, everywhere, nothing_starts, read, unix, virtually};

/// Writes until there is no room. Returns how many bytes were written.
fn fill(mut stream: impl Write) -> usize {
    let mut total = 0;
    loop {
        match stream.write(&[0; 4096]) {
            Ok(count) => total += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads until there is nothing left. Returns how many bytes there were.
fn drain(mut stream: impl Read) -> usize {
    let (mut total, mut buffer) = (0, vec![0; 65536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits for one byte.
fn one_byte(source: &Source<UnixStream>) -> impl Future<Output = io::Result<usize>> + Unpin {
    source.io(Direction::Read, |mut stream: &UnixStream| stream.read(&mut [0]))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

// Hazard 13: a source that is always ready.

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_13_a_socket_with_much_to_read_gives_way() {
    everywhere(async |log| {
        let (ours, theirs) = unix();
        let total = fill(&theirs).min(20_000);
        let reader = spawn(async move {
            for _ in 0..total {
                read(&ours, &mut [0]).await.unwrap();
            }
        });
        let id = reader.id();
        let mut turns = 0;
        while !reader.is_finished() {
            yield_now().await;
            turns += 1;
        }
        assert!(log.polls(id) >= total / 128, "{total} bytes in {} polls", log.polls(id));
        assert!(turns >= total / 128 / 8, "{turns} turns beside {} polls", log.polls(id));
    });
}

// A source without its loop.

const GONE: &str =
    "the runtime that this source belongs to was dropped: make the source on a runtime that lives";

fn is_gone<T>(poll: Poll<io::Result<T>>) -> bool {
    matches!(poll, Poll::Ready(Err(error)) if error.to_string() == GONE)
}

#[test]
fn a_source_that_outlives_its_runtime_works_until_it_would_have_to_wait() {
    let _nothing_starts = nothing_starts();
    let runtime = Runtime::new().unwrap();
    let (ours, mut theirs) = runtime.block_on(async { unix() });
    drop(runtime);
    let (flag, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    theirs.write_all(b"x").unwrap();
    assert!(matches!(poll(&mut one_byte(&ours), &waker), Poll::Ready(Ok(1))));
    assert!(is_gone(ours.poll_io(&mut cx, Direction::Read, |mut stream| stream.read(&mut [0]))));
    assert!(is_gone(poll(&mut one_byte(&ours), &waker)));
    assert!(is_gone(poll(&mut ours.readable(), &waker)));
    assert!(matches!(poll(&mut ours.writable(), &waker), Poll::Ready(Ok(()))));
    let wrote = ours.poll_io(&mut cx, Direction::Write, |mut stream| stream.write(b"y"));
    assert!(matches!(wrote, Poll::Ready(Ok(1))));
    assert_eq!((flag.wakes(), flag.clones()), (0, 0));
    drop(ours);
    assert_eq!(drain(&theirs), 1);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "it is closed");
}

#[test]
fn a_source_of_a_runtime_that_is_gone_says_so_on_another() {
    let runtime = Runtime::new().unwrap();
    let (ours, _theirs) = runtime.block_on(async { unix() });
    let (pipe, _writer) = io::pipe().unwrap();
    let pipe = runtime.block_on(async { AsyncFd::new(pipe).unwrap() });
    drop(runtime);
    virtually(async |_| {
        assert_eq!(pipe.readable().await.unwrap_err().to_string(), GONE);
        assert_eq!(one_byte(&ours).await.unwrap_err().to_string(), GONE);
        assert_eq!(source::count(), 0, "it does not belong here");
    });
    let inner = ours.into_inner();
    virtually(async |_| {
        let fresh = AsyncFd::new(&inner).unwrap();
        assert_eq!(source::count(), 1);
        assert_eq!(
            fresh
                .io(Direction::Write, |stream| {
                    let mut stream: &UnixStream = stream;
                    stream.write(b"x")
                })
                .await
                .unwrap(),
            1
        );
    });
}

#[test]
fn a_source_outside_a_loop_is_refused_with_a_sentence() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(AsyncFd::new(&ours)))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        message,
        "`AsyncFd::new` was called outside a roundel loop: call it from inside `roundel::run` or `Runtime::block_on`"
    );
    assert_eq!(source::count(), 0);
}
