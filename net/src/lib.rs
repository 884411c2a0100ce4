#![doc = include_str!("../README.md")]
//! # The seam
//!
//! This crate uses only what every user of `roundel` can use: [`roundel::source::Source`] to wait, `spawn`,
//! `time`, `cancel` to stop a server's handlers, and `blocking` to look up names. So a new kind of I/O object needs no change in the runtime.

#![forbid(unsafe_code)]

#[cfg(feature = "hyper")]
pub mod hyper;
pub mod io;
pub mod pipe;
pub mod serve;
pub mod stdio;
pub mod testing;

mod connect;
mod details;
mod kernel;
mod names;
mod socket;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use connect::ConnectError;
pub use names::{Target, ToAddrs, lookup_host};
pub use pipe::pipe;
pub use serve::{serve, serve_guests};
pub use socket::TcpSocket;
pub use stream::{ByteStream, Transport};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use unix::Credentials;
pub use unix::{UnixDatagram, UnixIncoming, UnixListener, UnixStream};

/// The crate whose `Stream` our streams are, in the version that this crate uses.
pub use futures_core;
/// The crate whose `AsyncRead` and `AsyncWrite` our streams are, in the version that this crate uses.
pub use futures_io;
/// The crate whose sockets are inside of ours, in the version that this crate uses.
pub use mio;
/// The crate with all options of sockets, in the version that this crate uses.
///
/// ```
/// use roundel_net::socket2::SockRef;
/// use roundel_net::{TcpListener, TcpStream};
///
/// fn keep_alive(options: SockRef<'_>) -> std::io::Result<()> {
///     options.set_keepalive(true)
/// }
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     keep_alive(stream.options())
/// })
/// .unwrap();
/// ```
pub use socket2;
