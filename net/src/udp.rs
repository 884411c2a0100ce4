//! UDP: datagrams, each of which arrives whole, or not at all, or twice.
//!
//! Facts that surprise. Each has a test of its name in `tests/udp.rs`.
//!
//! - *A datagram that is longer than the buffer is cut*, and the rest is gone; the system does not report it.
//!   Use a buffer one byte longer than the longest datagram that is allowed: a datagram that fills it was too
//!   long. None is longer than 65,507 bytes over IPv4.
//! - *An empty datagram is a datagram.* `Ok(0)` is not an end, because UDP has none.
//! - *An absent peer is an error of the next call.* If no socket listens at the peer, a connected socket gets
//!   `ConnectionRefused` from one of its next calls, which may be a receive. It gets it once for each
//!   refusal, and can be used as before. A socket that is not connected gets no such error (on Linux).
//! - *A connected socket hears its peer only*, and drops what others send.
//! - *Broadcasting has to be allowed first*; otherwise it is `PermissionDenied`.
//! - *The kernel may be out of room for what is sent* (`ENOBUFS`). The send of that datagram then returns
//!   this error. If the kernel can tell in advance that there will be room, the send waits for it.
//!
//! What follows. Each call moves one datagram. An error is returned and has no other effect: the socket can
//! be used as before.
//!
//! | method | cancel safe |
//! |---|---|
//! | `send`, `send_to`, `recv`, `recv_from`, `peek`, `peek_from`, `readable`, `writable` | yes: it was done and returned, or it was not done |
//! | `bind`, `connect` | yes: the lookup of a name is given up |
//!
//! What it does not know: what was lost on the way.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use roundel::source::{Direction, Source};
use socket2::SockRef;

use crate::details;
use crate::kernel::{explain, lends_descriptor};
use crate::names::ToAddrs;

/// A socket for datagrams. All methods take `&self`: any number of tasks may send and receive.
///
/// ```
/// use roundel_net::UdpSocket;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
///     one.send_to(b"ping", other.local_addr()?).await?;
///     let mut buffer = [0; 1500];
///     let (count, from) = other.recv_from(&mut buffer).await?;
///     assert_eq!((&buffer[..count], from), (b"ping".as_slice(), one.local_addr()?));
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    source: Source<mio::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds the first of the addresses that can be bound. Port 0 is any free port.
    ///
    /// # Errors
    ///
    /// Names the address: `AddrInUse` if another socket has it, `PermissionDenied` for a port that only the
    /// administrator may use.
    pub async fn bind(at: impl ToAddrs) -> io::Result<UdpSocket> {
        let bind =
            |address| mio::net::UdpSocket::bind(address).map_err(|error| explain("bind", address, &error));
        UdpSocket::new(at.target()?.first(bind).await?)
    }

    #[track_caller]
    fn new(socket: mio::net::UdpSocket) -> io::Result<UdpSocket> {
        Ok(UdpSocket { source: details::register(socket)? })
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
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        socket.set_nonblocking(true)?;
        UdpSocket::new(mio::net::UdpSocket::from_std(socket))
    }

    /// Gives the socket to the standard library, blocking again.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        let socket = std::net::UdpSocket::from(std::os::fd::OwnedFd::from(self.source.into_inner()));
        socket.set_nonblocking(false)?;
        Ok(socket)
    }

    /// Chooses the peer of [`send`](UdpSocket::send) and [`recv`](UdpSocket::recv): the first of the
    /// addresses to which there is a route. This sends nothing. It may be called again with another peer.
    ///
    /// # Errors
    ///
    /// Names the address if there is no route to it.
    pub async fn connect(&self, to: impl ToAddrs) -> io::Result<()> {
        let connect = |address| {
            let connected = self.source.get_ref().connect(address);
            connected.map_err(|error| explain("connect to", address, &error))
        };
        to.target()?.first(connect).await?;
        details::describe(&self.source);
        Ok(())
    }

    /// Sends one datagram to the peer that was chosen with [`connect`](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// The error of the system call: `ConnectionRefused` if an earlier datagram was refused, `EMSGSIZE` if
    /// the bytes do not fit into one datagram, `NotConnected` (or `EDESTADDRREQ`) without a peer.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.source.io(Direction::Write, |io| io.send(bytes)).await
    }

    /// Sends one datagram. This takes an address and no name: look up a name once, with
    /// [`lookup_host`](crate::lookup_host), and not for each datagram.
    ///
    /// # Errors
    ///
    /// As [`send`](UdpSocket::send); `PermissionDenied` for a broadcast that was not allowed.
    pub async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.source.io(Direction::Write, |io| io.send_to(bytes, to)).await
    }

    /// Receives one datagram. If it is longer than the buffer, the rest is lost.
    ///
    /// # Errors
    ///
    /// The error of the system call: `ConnectionRefused` if the peer refused an earlier datagram.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.io(Direction::Read, |io| io.recv(buffer)).await
    }

    /// Receives one datagram, and returns the address of its sender.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.source.io(Direction::Read, |io| io.recv_from(buffer)).await
    }

    /// As [`recv`](UdpSocket::recv), but the whole datagram stays in the queue.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.io(Direction::Read, |io| io.peek(buffer)).await
    }

    /// As [`recv_from`](UdpSocket::recv_from), but the whole datagram stays in the queue.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.source.io(Direction::Read, |io| io.peek_from(buffer)).await
    }

    /// Waits until there may be a datagram to receive. (There may still be none, because the kernel checks a
    /// datagram's checksum only when it is received.)
    ///
    /// # Errors
    ///
    /// Only if the loop of this socket is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.source.readable().await
    }

    /// Waits until there may be room to send.
    ///
    /// # Errors
    ///
    /// As [`readable`](UdpSocket::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.source.writable().await
    }

    /// One try of [`readable`](UdpSocket::readable), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `readable`.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Read, |_| Ok(()))
    }

    /// One try of [`writable`](UdpSocket::writable), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `readable`.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |_| Ok(()))
    }

    /// [`send`](UdpSocket::send), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; else as `send`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.after_try(Direction::Write, self.source.get_ref().send(bytes))
    }

    /// [`send_to`](UdpSocket::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; else as `send_to`.
    pub fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.after_try(Direction::Write, self.source.get_ref().send_to(bytes, to))
    }

    /// [`recv`](UdpSocket::recv), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing; else as `recv`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.after_try(Direction::Read, self.source.get_ref().recv(buffer))
    }

    /// [`recv_from`](UdpSocket::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing; else as `recv_from`.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.after_try(Direction::Read, self.source.get_ref().recv_from(buffer))
    }

    /// Tells the source about a call that it did not make itself.
    fn after_try<T>(&self, direction: Direction, tried: io::Result<T>) -> io::Result<T> {
        if tried.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.source.would_block(direction);
        }
        tried
    }

    /// One try of [`send_to`](UdpSocket::send_to), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `send_to`.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.source.poll_io(cx, Direction::Write, |io| io.send_to(bytes, to))
    }

    /// One try of [`recv_from`](UdpSocket::recv_from), for a `poll` function of your own.
    ///
    /// # Errors
    ///
    /// As `recv_from`.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.source.poll_io(cx, Direction::Read, |io| io.recv_from(buffer))
    }

    /// Whether it may send broadcasts.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.source.get_ref().set_broadcast(allowed)
    }

    /// See [`set_broadcast`](UdpSocket::set_broadcast).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.source.get_ref().broadcast()
    }

    /// How many routers a datagram may pass. Multicasts have a number of their own.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.source.get_ref().set_ttl(hops)
    }

    /// See [`set_ttl`](UdpSocket::set_ttl).
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn ttl(&self) -> io::Result<u32> {
        self.source.get_ref().ttl()
    }

    /// Receives what is sent to a group. `interface` is the address of the network interface; all zeros mean
    /// any.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.source.get_ref().join_multicast_v4(&group, &interface)
    }

    /// Receives what is sent to a group. `interface` is the number of the network interface; zero means any.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.get_ref().join_multicast_v6(&group, interface)
    }

    /// Leaves a group, with the arguments with which it was joined.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.source.get_ref().leave_multicast_v4(&group, &interface)
    }

    /// Leaves a group, with the arguments with which it was joined.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.get_ref().leave_multicast_v6(&group, interface)
    }

    /// Whether members of a group on this machine receive what we send to it.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_multicast_loop_v4(&self, back: bool) -> io::Result<()> {
        self.source.get_ref().set_multicast_loop_v4(back)
    }

    /// How many routers a multicast may pass, plus one. The default is one: it stays in the local network.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.source.get_ref().set_multicast_ttl_v4(hops)
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

    /// All other options, through `socket2`.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }
}

lends_descriptor!(UdpSocket, socket => socket.source.get_ref());
