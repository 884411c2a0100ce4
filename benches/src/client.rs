//! A client that is the same for all servers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A server that has not answered within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// `connections` connections, on which `rounds` messages each go there and back: all are written, then all are
/// read, and so on. How long each round took, until the server did not answer any more.
pub fn client(
    to: SocketAddr,
    connections: usize,
    rounds: u64,
    size: usize,
    pause: Duration,
) -> Vec<Duration> {
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| TcpStream::connect(to).unwrap()).collect();
    for stream in &streams {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let (message, mut answer) = (vec![b'x'; size], vec![0; size]);
    let round = |_| {
        std::thread::sleep(pause);
        let start = Instant::now();
        streams.iter_mut().for_each(|stream| stream.write_all(&message).unwrap());
        for stream in &mut streams {
            stream.read_exact(&mut answer).ok()?;
            assert_eq!(answer, message);
        }
        Some(start.elapsed())
    };
    (0..rounds).map_while(round).collect()
}
