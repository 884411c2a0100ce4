//! Many clients in one thread, for a server that is counted.
//!
//! Facts. A count does not depend on the speed of the clients, but on how much a server finds each time it looks.
//!
//! What follows. In a round all clients write, and then all of them read. Connections are made one after the other, and
//! each has been answered before the next one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that has not answered within this time, even under valgrind, never will.
const PATIENCE: Duration = Duration::from_secs(100);
/// The size in all rows that are about messages and not about their size.
const SIZE: usize = 64;
const MESSAGE: [u8; SIZE] = [b'x'; SIZE];

/// The connections.
pub struct Clients(Vec<TcpStream>);

impl Clients {
    /// Connects this many clients; each has been answered once.
    ///
    /// # Errors
    ///
    /// If a connection cannot be made, or has no answer.
    pub fn new(to: SocketAddr, count: usize) -> io::Result<Clients> {
        let one = |_| {
            let stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut clients = Clients(vec![stream]);
            clients.rounds(1, Duration::ZERO)?;
            Ok(clients.0.remove(0))
        };
        Ok(Clients((0..count).map(one).collect::<io::Result<_>>()?))
    }

    /// Each client sends a message and gets it back, this many times, with a pause before each round.
    ///
    /// # Errors
    ///
    /// If an answer does not come, or is wrong.
    pub fn rounds(&mut self, rounds: u64, pause: Duration) -> io::Result<()> {
        for _ in 0..rounds {
            std::thread::sleep(pause);
            self.send()?;
            self.receive()?;
        }
        Ok(())
    }

    /// Each client sends a message.
    ///
    /// # Errors
    ///
    /// If a connection is broken.
    pub fn send(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|stream| stream.write_all(&MESSAGE))
    }

    /// Each client gets its message back.
    ///
    /// # Errors
    ///
    /// If an answer does not come, or is wrong.
    pub fn receive(&mut self) -> io::Result<()> {
        for stream in &mut self.0 {
            let mut answer = [0; SIZE];
            stream.read_exact(&mut answer)?;
            if answer != MESSAGE {
                return Err(io::Error::other("the answer is not what was sent"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server of one connection that changes one byte.
    fn liar() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut bytes = [0; SIZE];
            stream.read_exact(&mut bytes).unwrap();
            bytes[7] = b'y';
            stream.write_all(&bytes).unwrap();
        });
        address
    }

    #[test]
    fn a_wrong_answer_is_found() {
        let error = Clients::new(liar(), 1).err().expect("an error");
        assert!(error.to_string().contains("not what was sent"), "{error}");
    }
}
