//! A stream of lines.
//!
//! Contract. That of [`Reader::read_line`], as a [`Stream`] whose items own their text.
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

/// The lines of a stream, without their ends: see [`Reader::lines`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Lines<'a, R> {
    reader: &'a mut Reader<R>,
    scanned: usize,
}

impl<'a, R: AsyncRead + Unpin> Lines<'a, R> {
    pub(super) fn new(reader: &'a mut Reader<R>) -> Lines<'a, R> {
        Lines { reader, scanned: 0 }
    }

    /// The next line; `None` at the end.
    ///
    /// After an error about one line, the next call goes on with the line behind it.
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
