//! What a server needs: a listener that gives it streams, and handlers that say whether they failed.
//!
//! Contract. A program may implement [`Accept`] for a listener of its own, for example one that does a TLS handshake.
//!
//! What it does not know: the server.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::guest::Peer;
use crate::stream::ByteStream;
use crate::tcp::{TcpListener, TcpStream};
use crate::unix::{UnixListener, UnixStream};

/// A listener, for [`serve`](crate::serve()).
pub trait Accept {
    /// A connection.
    type Stream: 'static;

    /// Accepts a connection. If there is none, it leaves a waker and returns `Pending`.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;

    /// As [`poll_stream`](Accept::poll_stream), and tells from where the connection came. The server calls only this; without
    /// an implementation, the peer is unknown.
    ///
    /// # Errors
    ///
    /// As `poll_stream`.
    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Peer)>> {
        self.poll_stream(cx).map_ok(|stream| (stream, Peer::Unknown))
    }

    /// Makes the kernel send small writes at once, or not. See [`Serve::nodelay`](super::Serve::nodelay). Without an
    /// implementation, it does nothing.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    fn set_nodelay(stream: &Self::Stream, nodelay: bool) -> io::Result<()> {
        let _ = (stream, nodelay);
        Ok(())
    }

    /// Makes the stream set this flag whenever bytes have moved. An implementation that cannot do that drops `flag`;
    /// the connection then never counts as idle.
    fn watch(stream: &mut Self::Stream, flag: Rc<Cell<bool>>) {
        let _ = (stream, flag);
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, Peer)>> {
        self.poll_accept(cx).map_ok(|(stream, peer)| (stream, Peer::Ip(peer)))
    }

    fn set_nodelay(stream: &TcpStream, nodelay: bool) -> io::Result<()> {
        stream.set_nodelay(nodelay)
    }

    fn watch(stream: &mut TcpStream, flag: Rc<Cell<bool>>) {
        ByteStream::watch(stream, flag);
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Peer)>> {
        self.poll_accept(cx).map_ok(|(stream, peer)| (stream, Peer::Unix(peer)))
    }

    fn watch(stream: &mut UnixStream, flag: Rc<Cell<bool>>) {
        ByteStream::watch(stream, flag);
    }
}

/// What a handler may return: nothing, or a `Result`. The server counts the errors.
pub trait Outcome {
    /// Whether it is an error.
    fn has_failed(&self) -> bool;
}

impl Outcome for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }
}
