//! A stream of bytes, whatever it runs over: TCP, a Unix socket, one end of a pipe.
//!
//! Facts. A read gives between one byte and as many as asked for; none at all means the end. A write takes
//! between one byte and all of them. A read over TCP that came back with less than it had room for has emptied the
//! socket, and a write that took less than it was given has filled it: the next try would block, and there
//! is no need to ask. But a read from a Unix socket ends where the peer has sent a descriptor along, and a read from a
//! pipe may end where a packet does: there only `WouldBlock` tells that it is empty.
//!
//! What follows. Each operation is tried at once and waits only for what the kernel has said is not there.
//! Everything works on `&self`, so one task may read while another writes, and nothing has to be split.
//! Nothing is buffered here: what `write` has returned is with the kernel, what was not read is still there.
//!
//! An idle connection need not hold a buffer. Either wait with [`readable`](ByteStream::readable) and then
//! use [`try_read`](ByteStream::try_read); or take the buffer from a pool that all connections share, at the
//! moment when there is something to put into it: [`read_chunk`](ByteStream::read_chunk).
//!
//! | method | cancel safe |
//! |---|---|
//! | `readable`, `writable`, `read`, `read_vectored`, `read_chunk`, `peek`, `write`, `write_vectored` | yes: it was done and returned, or it was not done |
//! | `read_to_end` | yes: what was read is in the vector |
//! | `read_exact` | no: what was read is in the buffer, but nobody knows how much |
//! | `write_all` | no: nobody knows how much was written |
//!
//! What it does not know: addresses, and what the bytes mean.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::source::{Direction, Reading, Source, Writing};
use roundel::task::{poll_budget, spend_budget};

use crate::io::{Buffers, Chunk};

/// A non-blocking stream of bytes on the running loop. Programs call it [`TcpStream`](crate::TcpStream),
/// [`UnixStream`](crate::UnixStream), [`pipe::Sender`](crate::pipe::Sender) or
/// [`pipe::Receiver`](crate::pipe::Receiver); what all of those can do is here.
///
/// All methods take `&self`. Dropping the stream closes it.
pub struct ByteStream<S: mio::event::Source> {
    source: Source<S>,
    /// Set at each transfer, never cleared here: a server that looks for idle streams clears it. `None` if nothing does.
    busy: Option<Rc<Cell<bool>>>,
    /// Whether a short read means that the socket is empty: true for TCP, false for Unix sockets and pipes.
    short_is_all: bool,
}

/// What the operating system calls differently for each kind of stream.
pub trait Transport: mio::event::Source {
    /// Tells the peer that nothing more will be written: it reads the end after the last byte.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn close_writing(&self) -> io::Result<()>;

    /// Writes several buffers with one system call, and without a signal if nobody reads.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What [`ByteStream::read_to_end`] adds at most for one piece of a poll's budget.
const STRETCH: u64 = 1 << 16;
/// More buffers no system takes at once.
const IOV_MAX: usize = 1024;

impl<S: mio::event::Source> ByteStream<S> {
    /// Registers what must be non-blocking already.
    #[track_caller]
    pub(crate) fn new(io: S) -> io::Result<ByteStream<S>> {
        Ok(ByteStream { source: Source::new(io)?, busy: None, short_is_all: false })
    }

    /// As [`new`](ByteStream::new), for what has been emptied by a read that is short.
    #[track_caller]
    pub(crate) fn new_plain(io: S) -> io::Result<ByteStream<S>> {
        Ok(ByteStream { source: Source::new(io)?, busy: None, short_is_all: true })
    }

    pub(crate) fn source(&self) -> &Source<S> {
        &self.source
    }

    pub(crate) fn into_inner(self) -> S {
        self.source.into_inner()
    }

    /// From now on `busy` is set whenever bytes have been read or written. For those who implement
    /// [`Accept`](crate::serve::Accept).
    pub fn watch(&mut self, busy: Rc<Cell<bool>>) {
        self.busy = Some(busy);
    }

    /// Waits until reading is worth a try. Nothing is held meanwhile but this future.
    ///
    /// # Errors
    ///
    /// Only if the loop of this stream is gone. What is wrong with the stream is said by the read.
    pub async fn readable(&self) -> io::Result<()> {
        self.source.readable().await
    }

    /// Waits until writing is worth a try.
    ///
    /// # Errors
    ///
    /// As [`readable`](ByteStream::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.source.writable().await
    }

    /// Says what a transfer tells about the next one.
    #[inline(always)]
    fn after_transfer(&self, direction: Direction, moved: usize, wanted: usize) {
        if moved < wanted && (self.short_is_all || direction == Direction::Write) {
            self.source.fell_short(direction);
        }
        self.mark_busy();
    }

    /// Bytes have moved.
    #[inline(always)]
    fn mark_busy(&self) {
        if let Some(busy) = &self.busy {
            busy.set(true);
        }
    }

    /// After a try that went past the loop.
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
    /// Reads some bytes; none (`Ok(0)`) at the end.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[inline]
    pub fn read<'a>(&'a self, buffer: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + use<'a, S> {
        self.source.io(Reading, move |mut io| {
            let count = io.read(buffer)?;
            self.after_transfer(Direction::Read, count, buffer.len());
            Ok(count)
        })
    }

    /// Reads some bytes into several buffers, in their order.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let most = buffers.len().min(IOV_MAX);
        let buffers = &mut buffers[..most];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = self.source.io(Reading, |mut io| io.read_vectored(buffers)).await?;
        self.after_transfer(Direction::Read, count, wanted);
        Ok(count)
    }

    /// Reads into a buffer that is taken from `buffers` only when there is something to read. An empty chunk
    /// is the end.
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
    /// What the system says.
    #[inline]
    pub fn read_chunk<'a>(
        &'a self,
        buffers: &'a Buffers,
    ) -> impl Future<Output = io::Result<Chunk<'a>>> + use<'a, S> {
        self.source.io(Reading, move |mut io| {
            let chunk = buffers.fill(|buffer| io.read(buffer))?;
            self.after_transfer(Direction::Read, chunk.len(), buffers.size());
            Ok(chunk)
        })
    }

    /// Fills the buffer.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; then the buffer begins with what there was.
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

    /// Reads until the end. Returns how much that was. There is no limit: for what strangers send, see
    /// [`io::Lines`](crate::io::Lines).
    ///
    /// # Errors
    ///
    /// What the system says; what was read before is in the vector.
    pub async fn read_to_end(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let before = bytes.len();
        loop {
            // Each try reads a bounded stretch, so that an endless stream spends its budget.
            let read = |io: &S| {
                let had = bytes.len();
                let read = io.take(STRETCH).read_to_end(bytes);
                // What was read before a `WouldBlock` is in the vector, too.
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
    /// `WouldBlock` if there is nothing to read; else what the system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let tried = self.source.get_ref().read(buffer);
        self.after_try(Direction::Read, buffer.len(), tried)
    }
}

impl<S: Transport> ByteStream<S>
where
    for<'a> &'a S: Write,
{
    /// Writes some of the bytes, and says how many.
    ///
    /// # Errors
    ///
    /// What the system says: `BrokenPipe` or `ConnectionReset` when nobody will read them.
    #[inline]
    pub fn write<'a>(&'a self, bytes: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a, S> {
        self.source.io(Writing, move |mut io| {
            let count = io.write(bytes)?;
            self.after_transfer(Direction::Write, count, bytes.len());
            Ok(count)
        })
    }

    /// Writes some of the bytes of several buffers, in their order.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let buffers = &buffers[..buffers.len().min(IOV_MAX)];
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = self.source.io(Writing, |io| io.send_vectored(buffers)).await?;
        self.after_transfer(Direction::Write, count, wanted);
        Ok(count)
    }

    /// Writes all of the bytes. It waits while the peer is slow: that is what keeps memory flat.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[inline]
    pub fn write_all<'a>(&'a self, mut bytes: &'a [u8]) -> impl Future<Output = io::Result<()>> + use<'a, S> {
        let is_nothing = bytes.is_empty();
        let mut writing = self.source.io(Writing, move |mut io| {
            let count = io.write(bytes)?;
            self.after_transfer(Direction::Write, count, count);
            bytes = &bytes[count..];
            match count {
                0 => Err(ErrorKind::WriteZero.into()),
                _ if bytes.is_empty() => Ok(()),
                // It is full. The kernel has noted that we wait for room, as if it had said so.
                _ => Err(ErrorKind::WouldBlock.into()),
            }
        });
        // For nothing, room is not waited for.
        poll_fn(move |cx| if is_nothing { poll_budget(cx).map(Ok) } else { Pin::new(&mut writing).poll(cx) })
    }

    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; else what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let tried = self.source.get_ref().write(bytes);
        self.after_try(Direction::Write, bytes.len(), tried)
    }
}

impl<S: mio::event::Source> AsyncRead for &ByteStream<S>
where
    for<'a> &'a S: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.source.poll_io(cx, Direction::Read, |mut io| io.read(buffer));
        read.map_ok(|count| {
            self.after_transfer(Direction::Read, count, buffer.len());
            count
        })
    }
}

impl<S: mio::event::Source> AsyncRead for ByteStream<S>
where
    for<'a> &'a S: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }
}

impl<S: Transport> AsyncWrite for &ByteStream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.source.poll_io(cx, Direction::Write, |mut io| io.write(bytes));
        written.map_ok(|count| {
            self.after_transfer(Direction::Write, count, bytes.len());
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // What is written is with the kernel.
    }

    /// The peer reads the end. Reading goes on; dropping the stream closes all of it.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.get_ref().close_writing())
    }
}

impl<S: Transport> AsyncWrite for ByteStream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

impl<S: mio::event::Source + fmt::Debug> fmt::Debug for ByteStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.get_ref().fmt(f)
    }
}
