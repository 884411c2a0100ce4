//! Connecting to whichever address answers first.

use std::io;
use std::net::SocketAddr;

use roundel::source::Direction;

use crate::names::ToAddrs;
use crate::socket::TcpSocket;
use crate::tcp::TcpStream;

pub(crate) async fn connect(to: impl ToAddrs) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in to.target()?.resolve().await? {
        match TcpSocket::for_address(address)?.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Waits until a connection that was begun is there.
pub(crate) async fn established(stream: TcpStream, _: SocketAddr) -> io::Result<TcpStream> {
    let check = |io: &mio::net::TcpStream| match io.take_error()? {
        Some(error) => Err(error),
        None => match io.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => result.map(drop),
        },
    };
    stream.source().io(Direction::Write, check).await?;
    Ok(stream)
}
