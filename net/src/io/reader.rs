//! Cutting a stream into pieces: lines, records that end with a separator, or a given number of bytes.
//!
//! Facts. A read gives any number of bytes: half a line, or three and a half lines. A separator may be split
//! between two reads. The sender may be hostile, and never send a separator.
//!
//! What follows. Between the stream and its user is a buffer, in which an unfinished piece waits for its
//! rest. The buffer grows with the piece, but not beyond the limit. While nothing is buffered and nothing can
//! be read, it is back in its pile.
//!
//! Contract. The pieces are the same however the bytes arrive. A call looks at each byte once. A piece longer
//! than the limit is an error, and the next call goes on after that piece.
//!
//! | method | cancel safe |
//! |---|---|
//! | `read_until`, `read_until_any`, `read_line`, `lines`, `read_exact`, `read`, `fill` | yes, all: what has been read waits in the reader |
//!
//! What it does not know: what the pieces mean.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, IoSliceMut};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use roundel::task::{poll_budget, spend_budget};

use super::buffers::Buffers;
use super::error::ReadError;
use super::lent::Lent;

/// Reads pieces of a stream. It may own the stream, or borrow it:
///
/// ```
/// use roundel_net::{UnixStream, io::Reader};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     theirs.write_all(b"GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").await?;
///
///     let mut reader = Reader::new(&ours).with_limit(1024);
///     assert_eq!(reader.read_line().await?, Some("GET / HTTP/1.1"));
///     let header = reader.read_until(b"\r\n\r\n").await?;
///     assert_eq!(header, Some(&b"Content-Length: 4\r\n\r\n"[..]));
///     assert_eq!(reader.read_exact(4).await?, b"body");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct Reader<R> {
    inner: R,
    limit: usize,
    buffers: Buffers,
    /// The buffer. `None` while nothing is buffered, if the last read found nothing.
    chunk: Option<Lent>,
    /// The part of the chunk that was read and not given out yet.
    unread: Range<usize>,
    /// Set when a piece is too long: the separators that end it. The next piece begins after the first of them. Cleared
    /// when one is found, and by every method that reads on within the long piece.
    skipping: Option<Vec<Box<[u8]>>>,
}

/// The same limit as in asyncio.
const LIMIT: usize = 64 << 10;
/// The size of the first buffer. Most lines are shorter.
const SMALL: usize = 4 << 10;

impl<R> Reader<R> {
    /// A reader with a limit of 64 KiB and a buffer of its own, which has 4 KiB while pieces are short.
    pub fn new(inner: R) -> Reader<R> {
        let buffers = Buffers::new(SMALL);
        Reader { inner, limit: LIMIT, buffers, chunk: None, unread: 0..0, skipping: None }
    }

    /// Refuses pieces of more than `limit` bytes, their separators included.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Reader<R> {
        assert!(limit > 0, "`Reader::with_limit(0)`: every piece would be too long");
        self.limit = limit;
        self
    }

    /// Takes its buffer from a pile that many readers share, and holds none while it waits for a piece to begin.
    #[must_use]
    pub fn sharing(mut self, buffers: &Buffers) -> Reader<R> {
        self.buffers = buffers.clone();
        self
    }

    /// The longest that a piece may be.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes that were read from the stream and not given out yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.bytes(self.unread.clone())
    }

    /// The size of its buffer. It is zero before the first read, and at most the limit plus one byte, or the
    /// size of one of its [`Buffers`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.chunk.as_ref().map_or(0, Lent::size)
    }

    /// Gives out the next `count` bytes of what is buffered.
    ///
    /// # Panics
    ///
    /// If fewer are buffered.
    #[track_caller]
    pub fn consume(&mut self, count: usize) {
        let there = self.unread.len();
        assert!(count <= there, "`Reader::consume({count})`: only {there} bytes are buffered");
        self.skipping = None;
        self.give(count);
    }

    /// The stream. Bytes that are read from it directly come after those that are
    /// [`buffered`](Reader::buffered).
    #[must_use]
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// As [`get_ref`](Reader::get_ref).
    #[must_use]
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The stream, and the bytes that were read from it and not given out.
    #[must_use]
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let rest = self.buffered().to_vec();
        (self.inner, rest)
    }

    pub(super) fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| &chunk[place])
    }

    fn give(&mut self, count: usize) -> Range<usize> {
        let given = self.unread.start..self.unread.start + count;
        self.unread.start = given.end;
        given
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next piece, with the separator that ends it. At the end of the stream: the rest without a
    /// separator, if there is any; then `None`.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitExceeded`] if the piece is longer than the limit. The next call of this or of
    /// [`read_line`](Reader::read_line) skips all of it. To read on within it instead, call
    /// [`read`](Reader::read), [`read_exact`](Reader::read_exact) or [`consume`](Reader::consume).
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[track_caller]
    pub fn read_until(
        &mut self,
        separator: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Option<&[u8]>, ReadError>> {
        assert!(!separator.as_ref().is_empty(), "`Reader::read_until` was given an empty separator");
        async move {
            let mut scanned = 0;
            let found = poll_fn(|cx| self.poll_piece(cx, &[separator.as_ref()], &mut scanned)).await?;
            Ok(found.map(|place| self.bytes(place)))
        }
    }

    /// As [`read_until`](Reader::read_until) with several separators: the one that ends first counts.
    ///
    /// # Errors
    ///
    /// As `read_until`.
    ///
    /// # Panics
    ///
    /// If a separator is empty, or there is none.
    #[track_caller]
    pub fn read_until_any(
        &mut self,
        separators: &[&[u8]],
    ) -> impl Future<Output = Result<Option<&[u8]>, ReadError>> {
        let is_fine = !separators.is_empty() && separators.iter().all(|separator| !separator.is_empty());
        assert!(is_fine, "`Reader::read_until_any` was given an empty separator, or none");
        async move {
            let mut scanned = 0;
            let found = poll_fn(|cx| self.poll_piece(cx, separators, &mut scanned)).await?;
            Ok(found.map(|place| self.bytes(place)))
        }
    }

    /// The next line, without its end, which is `\n` or `\r\n`. The last line need not have one. `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`read_until`](Reader::read_until); and [`ReadError::NotUtf8`], after which the next line can be read. For
    /// lines of bytes, use `read_until(b"\n")`.
    pub async fn read_line(&mut self) -> Result<Option<&str>, ReadError> {
        let mut scanned = 0;
        match poll_fn(|cx| self.poll_piece(cx, &[b"\n"], &mut scanned)).await? {
            None => Ok(None),
            Some(place) => line(self.bytes(place)).map(Some),
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] if the stream ends too early. [`ReadError::LimitExceeded`], at once, if
    /// `count` is more than the limit, because `count` often comes from a stranger.
    pub async fn read_exact(&mut self, count: usize) -> Result<&[u8], ReadError> {
        if count > self.limit {
            return Err(ReadError::LimitExceeded { limit: self.limit, partial: Vec::new() });
        }
        self.skipping = None;
        spend_budget().await;
        // Read until enough is buffered. If the stream ends first, the error gives out what there is.
        while self.unread.len() < count {
            if poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                let partial = self.buffered().to_vec();
                self.give(partial.len());
                return Err(ReadError::Incomplete { expected: count, partial });
            }
        }
        let place = self.give(count);
        Ok(self.bytes(place))
    }

    /// Some bytes: those that are buffered, or else bytes from the stream. Returns zero at the end.
    ///
    /// # Errors
    ///
    /// The stream's error.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, buffer)).await
    }

    /// Reads more bytes and appends them to what is [`buffered`](Reader::buffered), for a parser that needs
    /// more. Returns how many; zero at the end.
    ///
    /// ```
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let mut reader = roundel_net::io::Reader::new(&b"[one][two]"[..]);
    ///     let end = loop {
    ///         match reader.buffered().iter().position(|byte| *byte == b']') {
    ///             Some(end) => break end,
    ///             None => assert_ne!(reader.fill().await?, 0),
    ///         }
    ///     };
    ///     assert_eq!(&reader.buffered()[1..end], b"one");
    ///     reader.consume(end + 1);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitExceeded`] if more than the limit is buffered already; or the stream's error.
    pub async fn fill(&mut self) -> Result<usize, ReadError> {
        if self.unread.len() > self.limit {
            return Err(ReadError::LimitExceeded { limit: self.limit, partial: Vec::new() });
        }
        Ok(poll_fn(|cx| self.poll_fill(cx)).await?)
    }

    /// Gives out the next piece: where it is in the buffer. `scanned` says how many bytes have been searched
    /// in vain, zero at first. The caller keeps it, because only the caller knows that it still looks for
    /// the same separators.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        separators: &[&[u8]],
        scanned: &mut usize,
    ) -> Poll<Result<Option<Range<usize>>, ReadError>> {
        ready!(poll_budget(cx));
        // A piece that was too long ends before the next one begins.
        ready!(self.poll_skip(cx))?;
        loop {
            // The limit holds also when the separator is buffered already.
            let there = self.buffered();
            let allowed = &there[..there.len().min(self.limit)];
            if let Some(end) = find(allowed, separators, *scanned) {
                return Poll::Ready(Ok(Some(self.give(end))));
            }
            // Too long: the caller gets the beginning, and the next call skips the rest.
            if there.len() > self.limit {
                let error = ReadError::LimitExceeded { limit: self.limit, partial: allowed.to_vec() };
                self.skipping = Some(separators.iter().map(|separator| Box::from(*separator)).collect());
                return Poll::Ready(Err(error));
            }
            // Read more. What was searched is not searched again. At the end, the rest is the last piece.
            *scanned = there.len();
            if ready!(self.poll_fill(cx))? == 0 {
                let rest = self.unread.len();
                return Poll::Ready(Ok((rest > 0).then(|| self.give(rest))));
            }
        }
    }

    /// Discards what remains of a piece that was too long.
    fn poll_skip(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(separators) = &self.skipping {
            // The last bytes may be the beginning of a separator, so they are kept until more is read.
            let uncertain = separators.iter().map(|separator| separator.len() - 1).max().unwrap_or(0);
            if let Some(end) = find(self.buffered(), separators, 0) {
                self.skipping = None;
                self.give(end);
                break;
            }
            self.give(self.unread.len().saturating_sub(uncertain));
            if ready!(self.poll_fill(cx))? == 0 {
                self.skipping = None;
                self.give(self.unread.len());
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more bytes and appends them to the buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Each read spends budget, because one piece may need many reads, and some streams never wait.
        ready!(poll_budget(cx));
        let mut chunk = self.chunk.take().unwrap_or_else(|| Lent::new(Some(&self.buffers)));
        self.make_room(&mut chunk);
        // While the stream is polled, which is foreign code, the chunk is a local.
        let end = self.unread.end;
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut chunk.room()[end..]);
        if let Poll::Ready(Ok(count)) = read {
            chunk.set_filled(end + count);
            self.unread.end = end + count;
        }
        // A chunk with nothing in it goes back to its pile.
        if !self.unread.is_empty() {
            self.chunk = Some(chunk);
        }
        read
    }

    /// Gives out what is buffered, as far as there is room for it.
    fn take_into(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.unread.len().min(buffer.len());
        let place = self.give(count);
        buffer[..count].copy_from_slice(self.bytes(place));
        count
    }

    /// Makes room by moving what is unread to the front. If it is at the front already, the buffer grows.
    fn make_room(&mut self, chunk: &mut Lent) {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        if self.unread.end < chunk.size() {
            return;
        }
        if self.unread.start > 0 {
            chunk.room().copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        } else {
            // One byte more than the limit shows whether a piece is too long. The buffer grows beyond that
            // only to skip to a separator that is itself longer than the limit.
            let size = chunk.size();
            chunk.grow((2 * size).min(self.limit.saturating_add(1)).max(size + 1));
        }
    }
}

/// Where the first separator ends. The bytes before `scanned` were searched before.
fn find(bytes: &[u8], separators: &[impl AsRef<[u8]>], scanned: usize) -> Option<usize> {
    separators.iter().filter_map(|separator| find_one(bytes, separator.as_ref(), scanned)).min()
}

fn find_one(bytes: &[u8], separator: &[u8], scanned: usize) -> Option<usize> {
    let last = *separator.last()?;
    let mut at = scanned;
    while at < bytes.len() {
        // Only `skip_until` gives access to the standard library's fast search for a byte. It cannot fail,
        // because it reads from a slice.
        at += (&bytes[at..]).skip_until(last).unwrap_or(0);
        if bytes[..at].ends_with(separator) {
            return Some(at);
        }
    }
    None
}

/// The text of a line without its end.
pub(super) fn line(bytes: &[u8]) -> Result<&str, ReadError> {
    let line = match bytes.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => bytes,
    };
    str::from_utf8(line).map_err(|cause| ReadError::NotUtf8 { line: line.to_vec(), cause })
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        self.skipping = None;
        if self.unread.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        Poll::Ready(Ok(self.take_into(buffer)))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        self.skipping = None;
        if self.unread.is_empty() {
            return Pin::new(&mut self.inner).poll_read_vectored(cx, buffers);
        }
        Poll::Ready(Ok(buffers.iter_mut().map(|buffer| self.take_into(buffer)).sum()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for Reader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(poll_budget(cx));
        let reader = self.get_mut();
        if reader.unread.is_empty() {
            ready!(reader.poll_fill(cx))?;
        }
        Poll::Ready(Ok(reader.buffered()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().consume(count);
    }
}

/// Writing goes directly to the stream. So a proxy can read a first line and then copy the rest both ways.
impl<R: AsyncWrite + Unpin> AsyncWrite for Reader<R> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl<R: fmt::Debug> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .field("buffered", &self.unread.len())
            .finish_non_exhaustive()
    }
}
