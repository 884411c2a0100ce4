//! A stream of bytes, whatever it runs over: TCP, a Unix socket, one end of a pipe.
//!
//! Facts. A read gives between one byte and as many as asked for; zero bytes mean the end. A write takes
//! between one byte and all of them. A short read over TCP, one that did not fill its buffer, has emptied the
//! socket. A short write has filled it. The next try would block, so there is no need to ask. But a read from
//! a Unix socket ends where the peer has sent a descriptor along, and a read from a pipe may end where a
//! packet does. There, only `WouldBlock` says that nothing is left.
//!
//! What follows. Each operation is tried at once, and waits only if the kernel has said that it would block.
//! Everything works on `&self`, so one task may read while another writes, and a stream never has to be
//! split. This type buffers nothing: what `write` has returned is with the kernel, and what was not read is
//! still there.
//!
//! An idle connection need not hold a buffer. There are two ways. Wait with
//! [`readable`](ByteStream::readable) and then use [`try_read`](ByteStream::try_read). Or use
//! [`read_chunk`](ByteStream::read_chunk), which takes a buffer from a pile that all connections share, and
//! only once there are bytes to put into it.
//!
//! | method | cancel safe |
//! |---|---|
//! | `readable`, `writable`, `read`, `read_vectored`, `read_buf`, `read_chunk`, `peek`, `write`, `write_vectored` | yes: it was done and returned, or it was not done |
//! | `read_to_end` | yes: what was read is in the vector |
//! | `read_exact` | no: what was read is in the buffer, but the caller cannot tell how much |
//! | `write_all` | no: the caller cannot tell how much was written |
//!
//! What it does not know: addresses, and what the bytes mean.

mod traits;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use roundel::source::{Direction, Reading, Source, Writing};
use roundel::task::{poll_budget, spend_budget};
use rustix::buffer::spare_capacity;

use crate::details::{self, Described};
use crate::io::{Buffers, Chunk};

/// A non-blocking stream of bytes on the running loop. Programs call it [`TcpStream`](crate::TcpStream),
/// [`UnixStream`](crate::UnixStream), [`pipe::Sender`](crate::pipe::Sender) or
/// [`pipe::Receiver`](crate::pipe::Receiver); this type has what they have in common.
///
/// All methods take `&self`. Dropping the stream closes it.
pub struct ByteStream<S: mio::event::Source> {
    source: Source<S>,
    /// Set at each transfer, never cleared here: a server that looks for idle streams clears it. `None` if nothing does.
    busy: Option<Rc<Cell<bool>>>,
    /// Whether a short read means that the socket is empty: true for TCP, false for Unix sockets and pipes.
    short_is_all: bool,
}

/// The operations for which each kind of stream has a system call of its own.
pub trait Transport: mio::event::Source {
    /// Tells the peer that nothing more will be written. The peer reads the end after the last byte.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    fn close_writing(&self) -> io::Result<()>;

    /// Writes several buffers with one system call. If the peer is gone, this raises no signal.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// How much [`ByteStream::read_to_end`] reads at most for each operation of a poll's budget.
const STRETCH: u64 = 1 << 16;
/// No system takes more buffers at once.
const IOV_MAX: usize = 1024;
/// How much room [`ByteStream::read_buf`] gives a full vector at least. The vector doubles, if that is more.
const LEAST_ROOM: usize = 64;

impl<S: mio::event::Source> ByteStream<S> {
    /// Registers a stream, which must be non-blocking already.
    #[track_caller]
    pub(crate) fn new(io: S) -> io::Result<ByteStream<S>>
    where
        S: Described,
    {
        Ok(ByteStream { source: details::register(io)?, busy: None, short_is_all: false })
    }

    /// As [`new`](ByteStream::new), for a stream that a short read has emptied.
    #[track_caller]
    pub(crate) fn new_plain(io: S) -> io::Result<ByteStream<S>>
    where
        S: Described,
    {
        Ok(ByteStream { source: details::register(io)?, busy: None, short_is_all: true })
    }

    pub(crate) fn source(&self) -> &Source<S> {
        &self.source
    }

    pub(crate) fn into_inner(self) -> S {
        self.source.into_inner()
    }

    /// From now on, the stream sets `busy` whenever bytes have been read or written. Use it to implement
    /// [`Accept`](crate::serve::Accept).
    pub fn watch(&mut self, busy: Rc<Cell<bool>>) {
        self.busy = Some(busy);
    }

    /// Waits until there may be something to read. Only this future is held meanwhile, no buffer.
    ///
    /// # Errors
    ///
    /// Only if the loop of this stream is gone. The read reports what is wrong with the stream.
    pub async fn readable(&self) -> io::Result<()> {
        self.source.readable().await
    }

    /// Waits until there may be room to write.
    ///
    /// # Errors
    ///
    /// As [`readable`](ByteStream::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.source.writable().await
    }

    /// One try of [`readable`](ByteStream::readable), for a `poll` function of your own.
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let (ours, theirs) = roundel_net::UnixStream::pair()?;
    ///     poll_fn(|cx| theirs.poll_writable(cx)).await?;
    ///     theirs.try_write(b"ping")?;
    ///     poll_fn(|cx| ours.poll_readable(cx)).await?;
    ///     assert_eq!(ours.try_read(&mut [0; 100])?, 4);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As `readable`.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Read, |_| Ok(()))
    }

    /// One try of [`writable`](ByteStream::writable), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `writable`.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |_| Ok(()))
    }

    /// Tells the source whether the next transfer would block.
    #[inline(always)]
    fn after_transfer(&self, direction: Direction, moved: usize, wanted: usize) {
        if moved < wanted && (self.short_is_all || direction == Direction::Write) {
            self.source.fell_short(direction);
        }
        self.mark_busy();
    }

    /// Records that bytes have moved.
    #[inline(always)]
    fn mark_busy(&self) {
        if let Some(busy) = &self.busy {
            busy.set(true);
        }
    }

    /// Tells the source about a transfer that it did not make itself.
    fn after_try(&self, direction: Direction, wanted: usize, tried: io::Result<usize>) -> io::Result<usize> {
        match &tried {
            Ok(moved) => self.after_transfer(direction, *moved, wanted),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.source.would_block(direction),
            Err(_) => {}
        }
        tried
    }
}

impl<S: mio::event::Source> ByteStream<S>
where
    for<'a> &'a S: Read,
{
    /// Reads some bytes. Returns zero at the end.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[inline]
    pub fn read<'a>(&'a self, buffer: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + use<'a, S> {
        self.source.io(Reading, move |mut io| {
            let count = io.read(buffer)?;
            self.after_transfer(Direction::Read, count, buffer.len());
            Ok(count)
        })
    }

    /// Reads some bytes and fills several buffers in order.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let most = buffers.len().min(IOV_MAX);
        let buffers = &mut buffers[..most];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = self.source.io(Reading, |mut io| io.read_vectored(buffers)).await?;
        self.after_transfer(Direction::Read, count, wanted);
        Ok(count)
    }

    /// Reads some bytes and appends them to a vector, into the room that it has. That room need not be zeroed
    /// first, as a slice would. A vector without room gets some. Returns zero at the end.
    ///
    /// ```
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let (ours, theirs) = roundel_net::UnixStream::pair()?;
    ///     let mut bytes = Vec::with_capacity(1024);
    ///     theirs.write_all(b"hello").await?;
    ///     ours.read_buf(&mut bytes).await?;
    ///     theirs.write_all(b", again").await?;
    ///     ours.read_buf(&mut bytes).await?;
    ///     assert_eq!(bytes, b"hello, again");
    ///     assert_eq!(bytes.capacity(), 1024);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the system call; then the vector is as it was.
    pub async fn read_buf(&self, bytes: &mut Vec<u8>) -> io::Result<usize>
    where
        S: AsFd,
    {
        let read = |io: &S| {
            if bytes.len() == bytes.capacity() {
                bytes.reserve(LEAST_ROOM);
            }
            let wanted = bytes.capacity() - bytes.len();
            let count = rustix::io::read(io, spare_capacity(bytes))?;
            self.after_transfer(Direction::Read, count, wanted);
            Ok(count)
        };
        self.source.io(Reading, read).await
    }

    /// Reads into a buffer from `buffers`, which is taken only when there is something to read. An empty
    /// chunk is the end.
    ///
    /// ```
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let (ours, theirs) = roundel_net::UnixStream::pair()?;
    ///     let buffers = roundel_net::io::Buffers::default();
    ///     theirs.write_all(b"hello").await?;
    ///     assert_eq!(&*ours.read_chunk(&buffers).await?, b"hello");
    ///     drop(theirs);
    ///     assert!(ours.read_chunk(&buffers).await?.is_empty());
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[inline]
    pub fn read_chunk<'a>(
        &'a self,
        buffers: &'a Buffers,
    ) -> impl Future<Output = io::Result<Chunk<'a>>> + use<'a, S> {
        self.source.io(Reading, move |mut io| {
            buffers.fill(|buffer| {
                let count = io.read(buffer)?;
                self.after_transfer(Direction::Read, count, buffer.len());
                Ok(count)
            })
        })
    }

    /// Fills the buffer.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends too early; then the buffer begins with the bytes that came.
    pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        spend_budget().await;
        while !buffer.is_empty() {
            match self.read(buffer).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Reads until the end, and returns how many bytes that were. There is no limit. For input from
    /// strangers, use [`io::Reader`](crate::io::Reader), which has one.
    ///
    /// # Errors
    ///
    /// The error of the system call; what was read before is in the vector.
    pub async fn read_to_end(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let before = bytes.len();
        loop {
            // Each try reads a bounded stretch, so that an endless stream spends its budget.
            let read = |io: &S| {
                let had = bytes.len();
                let read = io.take(STRETCH).read_to_end(bytes);
                // Also before a `WouldBlock`, bytes may have been read.
                if bytes.len() > had {
                    self.mark_busy();
                }
                read
            };
            if (self.source.io(Reading, read).await? as u64) < STRETCH {
                return Ok(bytes.len() - before);
            }
        }
    }

    /// Reads without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing to read; else the error of the system call.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let tried = self.source.get_ref().read(buffer);
        self.after_try(Direction::Read, buffer.len(), tried)
    }
}

impl<S: Transport> ByteStream<S>
where
    for<'a> &'a S: Write,
{
    /// Writes some of the bytes, and returns how many.
    ///
    /// # Errors
    ///
    /// The error of the system call: `BrokenPipe` or `ConnectionReset` if the peer is gone.
    #[inline]
    pub fn write<'a>(&'a self, bytes: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a, S> {
        self.source.io(Writing, move |mut io| {
            let count = io.write(bytes)?;
            self.after_transfer(Direction::Write, count, bytes.len());
            Ok(count)
        })
    }

    /// Writes some of the bytes of several buffers, in order.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let buffers = &buffers[..buffers.len().min(IOV_MAX)];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = self.source.io(Writing, |io| io.send_vectored(buffers)).await?;
        self.after_transfer(Direction::Write, count, wanted);
        Ok(count)
    }

    /// Writes all of the bytes. It waits while the peer is slow, so unsent bytes do not pile up in memory.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    #[inline]
    pub fn write_all<'a>(&'a self, mut bytes: &'a [u8]) -> impl Future<Output = io::Result<()>> + use<'a, S> {
        let is_nothing = bytes.is_empty();
        let mut writing = self.source.io(Writing, move |mut io| {
            let count = io.write(bytes)?;
            self.mark_busy();
            // Nearly always the socket takes all at once, and there is nothing to keep for another try.
            if count == bytes.len() {
                return Ok(());
            }
            bytes = &bytes[count..];
            // After a short write the socket is full, and the kernel will report room as after a `WouldBlock`.
            let error = if count == 0 { ErrorKind::WriteZero } else { ErrorKind::WouldBlock };
            Err(error.into())
        });
        // Zero bytes need no room, so they do not wait for it.
        poll_fn(move |cx| if is_nothing { poll_budget(cx).map(Ok) } else { Pin::new(&mut writing).poll(cx) })
    }

    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; else the error of the system call.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let tried = self.source.get_ref().write(bytes);
        self.after_try(Direction::Write, bytes.len(), tried)
    }
}

impl<S: mio::event::Source + fmt::Debug> fmt::Debug for ByteStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.get_ref().fmt(f)
    }
}
