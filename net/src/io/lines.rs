//! A stream of lines.
//!
//! Contract. The lines are those of [`Reader::read_line`], but each item owns its text, so the items make a
//! [`Stream`].
//!
//! | method | cancel safe |
//! |---|---|
//! | `next` | yes: the beginning of a line stays in the reader |
//!
//! What it does not know: how a line is found.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_io::AsyncRead;

use super::error::ReadError;
use super::reader::{Reader, line};

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The lines that follow, as a stream. `next().await` gives one.
    ///
    /// ```
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let mut reader = roundel_net::io::Reader::new(&b"one\r\ntwo\n\nfour"[..]);
    ///     let mut lines = reader.lines();
    ///     let mut found = Vec::new();
    ///     while let Some(line) = lines.next().await {
    ///         found.push(line?);
    ///     }
    ///     assert_eq!(found, ["one", "two", "", "four"]);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    pub fn lines(&mut self) -> Lines<'_, R> {
        Lines { reader: self, scanned: 0 }
    }
}

/// The lines of a stream, without their ends. See [`Reader::lines`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Lines<'a, R> {
    reader: &'a mut Reader<R>,
    /// How many of the buffered bytes have been searched in vain for the end of this line.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> Lines<'_, R> {
    /// The next line; `None` at the end.
    ///
    /// After an error about one line, the next call returns the line after it.
    pub async fn next(&mut self) -> Option<Result<String, ReadError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<R: AsyncRead + Unpin> Stream for Lines<'_, R> {
    type Item = Result<String, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Lines { reader, scanned } = &mut *self;
        let found = ready!(reader.poll_piece(cx, &[b"\n"], scanned));
        *scanned = 0;
        Poll::Ready(match found {
            Err(error) => Some(Err(error)),
            Ok(None) => None,
            Ok(Some(place)) => Some(line(reader.bytes(place)).map(str::to_owned)),
        })
    }
}
