//! Datagrams within this machine.
//!
//! Facts. None are lost, and none overtake others: a sender waits while the receiver has too many unread. But
//! a datagram that is longer than the buffer is cut, as with UDP, and an empty one is a datagram. A socket
//! without a name can send, but cannot get an answer.
//!
//! A sender waits for room in the *receiver*. The kernel reports that room only to a socket that is connected
//! to the receiver.
//!
//! What follows. [`send`](UnixDatagram::send) is woken when there is room. [`send_to`](UnixDatagram::send_to)
//! tries again after a pause that grows from one to 64 milliseconds. Where that matters, connect one socket
//! per receiver.
//!
//! Contract. As with UDP, each call moves one datagram, and all of them are cancel safe. The file that
//! [`bind`](UnixDatagram::bind) makes stays; the caller has to remove it.
//!
//! What it does not know: files.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::{self as std_net, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use roundel::source::{Direction, Source};
use socket2::{Domain, SockRef, Type};

use super::pauses::Pauses;
use crate::details;
use crate::kernel::{self, explain, lends_descriptor};

/// A socket for datagrams within this machine.
///
/// ```
/// use roundel_net::UnixDatagram;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send(b"ping").await?;
///     let mut buffer = [0; 100];
///     assert_eq!(other.recv(&mut buffer).await?, 4);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    source: Source<mio::net::UnixDatagram>,
}

impl UnixDatagram {
    /// A socket at `path`.
    ///
    /// # Errors
    ///
    /// Names the path: `AddrInUse` if there is a file already.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        let path = path.as_ref();
        let socket = kernel::open(Domain::UNIX, Type::DGRAM, None)?;
        let bound = socket2::SockAddr::unix(path).and_then(|address| socket.bind(&address));
        bound.map_err(|error| explain("bind", path.display(), &error))?;
        UnixDatagram::adopt(OwnedFd::from(socket).into())
    }

    /// A socket without a name.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::adopt(std_net::UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = std_net::UnixDatagram::pair()?;
        Ok((UnixDatagram::adopt(one)?, UnixDatagram::adopt(other)?))
    }

    /// Takes over a socket of the standard library.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn from_std(socket: std_net::UnixDatagram) -> io::Result<UnixDatagram> {
        UnixDatagram::adopt(socket)
    }

    #[track_caller]
    fn adopt(socket: std_net::UnixDatagram) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        Ok(UnixDatagram { source: details::register(mio::net::UnixDatagram::from_std(socket))? })
    }

    /// Gives the socket to the standard library, blocking again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std_net::UnixDatagram> {
        let socket = std_net::UnixDatagram::from(OwnedFd::from(self.source.into_inner()));
        socket.set_nonblocking(false)?;
        Ok(socket)
    }

    /// Chooses the peer of [`send`](UnixDatagram::send) and [`recv`](UnixDatagram::recv).
    ///
    /// # Errors
    ///
    /// Names the path: `NotFound` if there is no such file, `ConnectionRefused` if no socket is bound to it.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let connected = self.source.get_ref().connect(path);
        connected.map_err(|error| explain("connect to", path.display(), &error))
    }

    /// Sends one datagram to the peer. It waits while the peer has too many unread.
    ///
    /// # Errors
    ///
    /// The error of the system call: `ConnectionRefused` or `ConnectionReset` if the peer is gone, `NotConnected` if none
    /// was chosen.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.source.io(Direction::Write, |io| io.send(bytes)).await
    }

    /// Sends one datagram to the socket at `path`. It tries again while that socket has too many unread.
    ///
    /// # Errors
    ///
    /// The error of the system call: `NotFound` if there is no such file, `ConnectionRefused` if no socket
    /// is bound to it.
    pub async fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let path = path.as_ref();
        let mut pauses = Pauses::default();
        // Without room, an attempt is `None` and not `WouldBlock`, which would mark this socket as not writable.
        let attempt = |io: &mio::net::UnixDatagram| match io.send_to(bytes, path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            sent => sent.map(Some),
        };
        loop {
            // Poll once, which spends the budget as every operation does.
            let mut sending = self.source.io(Direction::Write, attempt);
            let sent = match poll_fn(|cx| Poll::Ready(Pin::new(&mut sending).poll(cx))).await {
                Poll::Ready(sent) => sent,
                // The socket waits for room at the peer of `send`, which does not matter here; or the budget is spent.
                Poll::Pending => {
                    give_way().await;
                    attempt(self.source.get_ref())
                }
            };
            // The kernel does not report when the receiver has room, so pause and try again.
            match sent {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(None) => pauses.next().await,
                sent => return sent.map(Option::unwrap_or_default),
            }
        }
    }

    /// Receives one datagram. If it is longer than the buffer, the rest is lost.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.io(Direction::Read, |io| io.recv(buffer)).await
    }

    /// Receives one datagram, and returns the address of its sender.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.source.io(Direction::Read, |io| io.recv_from(buffer)).await
    }

    /// Waits until there may be a datagram to receive.
    ///
    /// # Errors
    ///
    /// Only if the loop of this socket is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.source.readable().await
    }

    /// Waits until the peer of [`send`](UnixDatagram::send) may have room.
    ///
    /// # Errors
    ///
    /// As [`readable`](UnixDatagram::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.source.writable().await
    }

    /// One try of [`readable`](UnixDatagram::readable), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `readable`.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Read, |_| Ok(()))
    }

    /// One try of [`writable`](UnixDatagram::writable), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `readable`.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |_| Ok(()))
    }

    /// [`send`](UnixDatagram::send), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the peer has no room; else as `send`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.after_try(Direction::Write, self.source.get_ref().send(bytes))
    }

    /// [`recv`](UnixDatagram::recv), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing; else as `recv`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.after_try(Direction::Read, self.source.get_ref().recv(buffer))
    }

    /// Tells the source about a call that it did not make itself.
    fn after_try<T>(&self, direction: Direction, tried: io::Result<T>) -> io::Result<T> {
        if tried.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.source.would_block(direction);
        }
        tried
    }

    /// Our own address.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The error of the system call: `NotConnected` if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().peer_addr()
    }

    /// All options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }
}

lends_descriptor!(UnixDatagram, socket => socket.source.get_ref());

/// Lets other tasks run once.
async fn give_way() {
    // Set at the first poll.
    let mut is_back = false;
    let wait = poll_fn(|cx| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    wait.await;
}
