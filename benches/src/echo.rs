//! An echo server in the words of each contender, and a client that is the same for all.
//!
//! Fairness. Each server is what its own users would write: `TCP_NODELAY`, a buffer of 16 KiB, read, write it all. The
//! bare loop on `mio` is what is left when there is no runtime: a `match` on the token. It writes at once and does not
//! know what to do if the kernel's buffer is full, which in these programs it never is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Who can serve.
pub const SERVERS: [&str; 5] = ["mio", "roundel", "tokio", "smol", "monoio"];
const BUFFER: usize = 16 << 10;
/// What a hot task does between two wakes of itself.
const BURN: Duration = Duration::from_micros(20);

/// Serves for ever; `hot` tasks burn 20 µs, wake themselves, and so on.
pub fn serve(name: &str, listener: TcpListener, hot: usize) {
    listener.set_nonblocking(true).unwrap();
    match name {
        "mio" => mio_loop(listener),
        "roundel" => roundel(listener, hot),
        "tokio" => tokio(listener, hot),
        "smol" => smol(listener, hot),
        "monoio" => monoio(listener, hot),
        other => panic!("no server is called {other}"),
    }
}

async fn burn_and_wake() {
    loop {
        let start = Instant::now();
        while start.elapsed() < BURN {
            std::hint::spin_loop();
        }
        crate::SelfWake::new().await;
    }
}

fn roundel(listener: TcpListener, hot: usize) {
    use roundel_net::io::Buffers;
    use roundel_net::{TcpListener, TcpStream, serve};

    async fn echo(stream: TcpStream, buffers: Buffers) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let bytes = stream.read_chunk(&buffers).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            stream.write_all(&bytes).await?;
        }
    }

    ::roundel::run(async move {
        (0..hot).for_each(|_| ::roundel::spawn(burn_and_wake()).detach());
        let buffers = Buffers::new(BUFFER);
        let listener = TcpListener::from_std(listener).unwrap();
        serve(listener, move |stream| echo(stream, buffers.clone())).await.unwrap();
    });
}

fn tokio(listener: TcpListener, hot: usize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn echo(mut stream: tokio::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count]).await?;
        }
    }

    crate::tokio::block_on(async move {
        (0..hot).for_each(|_| drop(tokio::spawn(burn_and_wake())));
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
}

fn smol(listener: TcpListener, hot: usize) {
    use async_io::Async;
    use futures_lite::{AsyncReadExt, AsyncWriteExt};

    async fn echo(mut stream: Async<TcpStream>) -> io::Result<()> {
        stream.get_ref().set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count]).await?;
        }
    }

    crate::smol::block_on(async move {
        (0..hot).for_each(|_| crate::smol::spawn(burn_and_wake()).detach());
        let listener = Async::new(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            crate::smol::spawn(echo(stream)).detach();
        }
    });
}

fn monoio(listener: TcpListener, hot: usize) {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

    async fn echo(mut stream: monoio::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let (count, read) = stream.read(buffer).await;
            if count? == 0 {
                return Ok(());
            }
            let (written, read) = stream.write_all(read).await;
            written?;
            buffer = read;
            buffer.clear();
        }
    }

    crate::monoio::block_on(async move {
        (0..hot).for_each(|_| drop(monoio::spawn(burn_and_wake())));
        let listener = monoio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            drop(monoio::spawn(echo(stream)));
        }
    });
}

fn mio_loop(listener: TcpListener) {
    use mio::{Events, Interest, Poll, Token, net};

    const LISTENER: Token = Token(usize::MAX);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1024));
    let mut listener = net::TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut streams = slab::Slab::<net::TcpStream>::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let entry = streams.vacant_entry();
                    poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE).unwrap();
                    entry.insert(stream);
                }
                continue;
            }
            let key = event.token().0;
            if !echo_what_is_there(&mut streams[key], &mut buffer) {
                poll.registry().deregister(&mut streams[key]).unwrap();
                streams.remove(key);
            }
        }
    }
}

/// A short read has emptied the socket. Whether the connection goes on.
fn echo_what_is_there(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => {
                stream.write_all(&buffer[..count]).unwrap();
                if count < buffer.len() {
                    return true;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

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
