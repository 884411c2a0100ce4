//! Sockets for [`roundel`]: TCP, UDP, Unix sockets, pipes, the standard streams, host names, and servers.
//!
//! This crate uses only what every user of `roundel` can use: [`roundel::source::Source`] to wait, `spawn`,
//! `time`, and `blocking` to look up names. So a new kind of I/O object needs no change in the runtime.

#![forbid(unsafe_code)]

pub mod io;
pub mod pipe;
pub mod serve;
pub mod stdio;
pub mod testing;

mod connect;
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
pub use serve::serve;
pub use socket::TcpSocket;
pub use stream::{ByteStream, Transport};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use unix::Credentials;
pub use unix::{UnixDatagram, UnixIncoming, UnixListener, UnixStream};
