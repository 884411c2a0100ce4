//! What several test files share: what `testkit` has, sources with their other end in hand, and a waker that counts.

#![allow(dead_code)] // No file uses all of it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Wake, Waker};

use mio::event;
use roundel::Runtime;
use roundel::source::{Direction, Source};

#[allow(unused_imports)]
pub(crate) use testkit::alone::{alone, is_alone, nothing_starts, output, rerun};
#[allow(unused_imports)]
pub(crate) use testkit::{Log, Unwatched, on_virtual_time, really, settle, watchdog, watchdog_of};

/// Runs `body` on a virtual clock.
pub(crate) fn virtually(body: impl AsyncFn(Log)) {
    if !cfg!(miri) {
        on_virtual_time(Runtime::builder(), &body);
    }
    // A loop that looks for deadlocks is watched, and takes other ways than most loops do.
    on_virtual_time(Runtime::builder().detect_deadlocks(false), &body);
}

/// Runs `body` on a virtual clock, in order and in some random orders, and on the real clock.
pub(crate) fn everywhere(body: impl AsyncFn(Log)) {
    virtually(&body);
    for seed in 0..if cfg!(miri) { 2 } else { 8 } {
        on_virtual_time(Runtime::builder().shuffle(seed).detect_deadlocks(seed.is_multiple_of(2)), &body);
    }
    // Here, too, the body may rely on it that what it closes is closed at once.
    let _nothing_starts = nothing_starts();
    really(body);
}

/// A Unix socket as a source, and its other end. That end is non-blocking, and the test uses it directly.
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
    // Another program may have connected to the port, which was that program's own a moment ago.
    let own = theirs.local_addr().unwrap();
    let is_own = |(_, peer): &(_, std::net::SocketAddr)| *peer == own;
    let (ours, _) = std::iter::repeat_with(|| listener.accept().unwrap()).find(is_own).unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Source::new(mio::net::TcpStream::from_std(ours)).unwrap(), theirs)
}

/// Reads once, as a stream does. If the read did not fill the buffer, the source is told so.
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

/// A waker that counts its wakes. Tests use it to poll a future by hand.
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

    /// How many clones of the waker exist, without the one that `new` has made.
    pub(crate) fn clones(self: &Arc<Flag>) -> usize {
        Arc::strong_count(self) - 2
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
