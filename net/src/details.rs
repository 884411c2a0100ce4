//! What a trace says of a socket: its descriptor and its addresses.
//!
//! Facts. A person who looks at a loop knows a socket by its peer, and the loop knows it by a number. To ask for an address
//! is a system call, so nothing is asked unless the loop is watched.
//!
//! What it does not know: what becomes of it.

use std::fmt::Display;
use std::io;
use std::os::fd::AsRawFd;

use roundel::source::{Details, Source};

/// A source that can say what it is.
pub(crate) trait Described: mio::event::Source + AsRawFd {
    /// Its own address, and that of its peer, as far as there are any.
    fn addresses(&self) -> [Option<String>; 2];
}

/// Registers a source with the running loop, and says what it is if the loop is watched.
#[track_caller]
pub(crate) fn register<S: Described>(io: S) -> io::Result<Source<S>> {
    let source = Source::new(io)?;
    describe(&source);
    Ok(source)
}

/// Says again what a source is, because it has got an address or a peer.
pub(crate) fn describe<S: Described>(source: &Source<S>) {
    source.describe(|io| {
        let [local, peer] = io.addresses();
        Details { descriptor: Some(io.as_raw_fd()), local, peer }
    });
}

fn text<A: Display>(address: io::Result<A>) -> Option<String> {
    address.ok().map(|address| address.to_string())
}

/// The address of a Unix socket: a path, if it has one.
fn path(address: io::Result<std::os::unix::net::SocketAddr>) -> Option<String> {
    address.ok()?.as_pathname().map(|path| path.display().to_string())
}

impl Described for mio::net::TcpStream {
    fn addresses(&self) -> [Option<String>; 2] {
        [text(self.local_addr()), text(self.peer_addr())]
    }
}

impl Described for mio::net::TcpListener {
    fn addresses(&self) -> [Option<String>; 2] {
        [text(self.local_addr()), None]
    }
}

impl Described for mio::net::UdpSocket {
    fn addresses(&self) -> [Option<String>; 2] {
        [text(self.local_addr()), text(self.peer_addr())]
    }
}

impl Described for mio::net::UnixStream {
    fn addresses(&self) -> [Option<String>; 2] {
        [path(self.local_addr()), path(self.peer_addr())]
    }
}

impl Described for mio::net::UnixListener {
    fn addresses(&self) -> [Option<String>; 2] {
        [path(self.local_addr()), None]
    }
}

impl Described for mio::net::UnixDatagram {
    fn addresses(&self) -> [Option<String>; 2] {
        [path(self.local_addr()), path(self.peer_addr())]
    }
}

impl Described for mio::unix::pipe::Sender {
    fn addresses(&self) -> [Option<String>; 2] {
        [None, None]
    }
}

impl Described for mio::unix::pipe::Receiver {
    fn addresses(&self) -> [Option<String>; 2] {
        [None, None]
    }
}
