//! Streams without a kernel, for tests of code that uses streams.
//!
//! Facts. A protocol that works over loopback may still fail on a real network. There, a message arrives in
//! pieces, a write takes half of its bytes, and anything may have to wait. Over loopback that hardly ever
//! happens.
//!
//! What follows. [`duplex`] is a connection within the process. It is bounded, so a writer has to wait if its
//! bytes are not read, and each direction is closed by itself. [`Evil`] wraps any stream and makes it
//! misbehave: small pieces and needless waits, all from a seed, so that a failure can be repeated. On a loop
//! with virtual time, a hang shows at once.
//!
//! Contract. Bytes are not lost, changed or reordered. In each direction, at most one task waits at each end.
//!
//! | method | cancel safe |
//! |---|---|
//! | all of `AsyncRead` and `AsyncWrite` | yes: it was done, or it was not |
//!
//! What it does not know: packets, delay, and loss.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::task::poll_budget;

/// The two ends of a connection: bytes written to one end are read from the other. Each direction holds up
/// to `capacity` bytes.
///
/// ```
/// use roundel_net::{io, testing};
///
/// roundel::run(async {
///     let (client, server) = testing::duplex(16);
///     let echo = roundel::spawn(async move { io::copy(&server, &server).await });
///     io::copy(&b"hello\n"[..], &client).await?;
///     assert_eq!(io::Reader::new(&client).read_line().await?, Some("hello"));
///     drop(client);
///     assert_eq!(echo.await.unwrap()?, 6);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
///
/// # Panics
///
/// If the capacity is zero.
#[must_use]
#[track_caller]
pub fn duplex(capacity: usize) -> (Duplex, Duplex) {
    assert!(capacity > 0, "`duplex(0)`: nothing could ever be written");
    let way = || Rc::new(OneWay { capacity, state: RefCell::default() });
    let (there, back) = (way(), way());
    (Duplex { out: Rc::clone(&there), into: Rc::clone(&back) }, Duplex { out: back, into: there })
}

/// One end of a [`duplex`]. Dropping it closes both directions.
pub struct Duplex {
    out: Rc<OneWay>,
    into: Rc<OneWay>,
}

/// One direction of a [`duplex`].
struct OneWay {
    capacity: usize,
    state: RefCell<OneWayState>,
}

#[derive(Default)]
struct OneWayState {
    bytes: VecDeque<u8>,
    /// Set when the writer closes. What is on the way can still be read.
    closed: bool,
    /// Set when the reader is dropped. From then on, writing fails.
    unread: bool,
    /// Set by [`Duplex::reset`]. From then on, reading and writing fail. None of the three is ever cleared.
    reset: bool,
    /// The task that waits for bytes.
    reader: Option<Waker>,
    /// The task that waits for room.
    writer: Option<Waker>,
}

impl Duplex {
    /// Closes this end's writing. The other end reads what is on the way, and then the end. This end can
    /// still read.
    pub fn close(&self) {
        self.out.change(|state| state.closed = true);
    }

    /// Breaks the connection. From now on, reading and writing fail with `ConnectionReset` at both ends, and what was on
    /// the way is lost.
    pub fn reset(&self) {
        for way in [&self.out, &self.into] {
            way.change(|state| {
                state.bytes.clear();
                state.reset = true;
            });
        }
    }

    /// How many bytes could be read here without waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.into.state.borrow().bytes.len()
    }
}

impl OneWay {
    /// Changes the state, and wakes the tasks that wait for a change.
    fn change<R>(&self, change: impl FnOnce(&mut OneWayState) -> R) -> R {
        let (result, wakers) = {
            let mut state = self.state.borrow_mut();
            let result = change(&mut state);
            (result, [state.reader.take(), state.writer.take()])
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        result
    }

    /// Leaves a waker. The clone comes before the borrow and the drop of the old waker after it, because
    /// both are foreign code.
    fn wait(&self, cx: &Context<'_>, place: impl FnOnce(&mut OneWayState) -> &mut Option<Waker>) {
        let waker = cx.waker().clone();
        let old = place(&mut self.state.borrow_mut()).replace(waker);
        drop(old);
    }

    fn poll_read(&self, cx: &Context<'_>, parts: &mut [IoSliceMut<'_>]) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let state = self.state.borrow();
        let has_room = parts.iter().any(|part| !part.is_empty());
        if state.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        } else if state.bytes.is_empty() && !state.closed && has_room {
            drop(state);
            self.wait(cx, |state| &mut state.reader);
            return Poll::Pending;
        }
        // The borrow ends before `change`, which borrows again and wakes.
        drop(state);
        Poll::Ready(self.change(|state| {
            // One part after the other, because a `VecDeque` may give less than it has.
            let mut count = 0;
            for part in parts {
                let before = count;
                while count - before < part.len() && !state.bytes.is_empty() {
                    count += state.bytes.read(&mut part[count - before..])?;
                }
            }
            Ok(count)
        }))
    }

    fn poll_write(&self, cx: &Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let state = self.state.borrow();
        let room = self.capacity - state.bytes.len();
        if state.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        } else if state.closed || state.unread {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        } else if room == 0 && parts.iter().any(|part| !part.is_empty()) {
            drop(state);
            self.wait(cx, |state| &mut state.writer);
            return Poll::Pending;
        }
        // The borrow ends before `change`, which borrows again and wakes.
        drop(state);
        let had = self.capacity - room;
        Poll::Ready(Ok(self.change(|state| {
            for part in parts {
                let room = self.capacity - state.bytes.len();
                state.bytes.extend(&part[..part.len().min(room)]);
            }
            state.bytes.len() - had
        })))
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        self.close();
        self.into.change(|state| state.unread = true);
    }
}

impl AsyncRead for &Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.into.poll_read(cx, &mut [IoSliceMut::new(buffer)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.into.poll_read(cx, buffers)
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.into.poll_read(cx, &mut [IoSliceMut::new(buffer)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.into.poll_read(cx, buffers)
    }
}

impl AsyncWrite for &Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.out.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.out.poll_write(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.out.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.out.poll_write(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// A stream that misbehaves as badly as the traits allow. It returns `Pending` without need (and wakes at
/// once), and reads and writes a few bytes where many would be possible.
///
/// ```
/// use roundel_net::{io::Reader, testing::Evil};
///
/// roundel::run(async {
///     for seed in 0..100 {
///         let mut reader = Reader::new(Evil::new(&b"not a\r\nword is lost"[..], seed));
///         assert_eq!(reader.read_line().await?, Some("not a"));
///         assert_eq!(reader.read_line().await?, Some("word is lost"));
///     }
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct Evil<S> {
    inner: S,
    dice: u64,
}

impl<S> Evil<S> {
    /// The same seed makes the same pieces and waits.
    pub fn new(inner: S, seed: u64) -> Evil<S> {
        Evil { inner, dice: seed }
    }

    /// The stream inside.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// A number below `sides`. (SplitMix64.)
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// Returns `Pending` one time out of three.
    fn poll_trouble(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.roll(3) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// How many of `length` bytes to move: one, a few, or all.
    fn piece(&mut self, length: usize) -> usize {
        match self.roll(4) {
            0 => length.min(1),
            1 => length,
            _ => length.min(1 + self.roll(7) as usize),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Evil<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_trouble(cx));
        let count = self.piece(buffer.len());
        Pin::new(&mut self.inner).poll_read(cx, &mut buffer[..count])
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Evil<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_trouble(cx));
        let count = self.piece(bytes.len());
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..count])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_trouble(cx));
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_trouble(cx));
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
