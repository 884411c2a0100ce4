//! Clients that send nothing, clients that send little, and which of them a timeout disconnects.
//!
//! Facts. A connection costs something as long as it is open, whether bytes arrive or not. A client may send a byte now
//! and then, so that it is never idle, and never finish a question.
//!
//! What follows. The server has an idle timeout of 8 s. It disconnects a silent client. Only a deadline for the whole
//! question disconnects a client that drips. The clock is virtual; the sockets are real.

#![forbid(unsafe_code)]

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::{Runtime, group, time};
use roundel_net::{TcpListener, TcpStream, io::Reader, serve};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Answers questions of one line. Each has to be complete within `patience`.
async fn answer(stream: TcpStream, patience: Duration) -> io::Result<()> {
    let mut reader = Reader::new(&stream);
    while let Some(_question) =
        time::timeout(patience, reader.read_line()).await.map_err(io::Error::other)??
    {
        stream.write_all(b"42\n").await?;
    }
    Ok(())
}

/// Sends `text` every six seconds, and prints when the server has hung up.
async fn guest(who: &str, text: &str, address: SocketAddr, start: Instant) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let talk = async {
        while stream.write_all(text.as_bytes()).await.is_ok() {
            time::sleep(seconds(6)).await;
        }
    };
    let hear = async { while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {} };
    group::select! {
        _ = hear => println!("    {who}: sent away after {} s", (time::now() - start).as_secs()),
        _ = async { talk.await; pending::<()>().await } => {},
        () = time::sleep(seconds(60)) => println!("    {who}: still there after 60 s"),
    }
    Ok(())
}

async fn idle(patience: Duration) -> io::Result<()> {
    println!("a question may take {} s:", patience.as_secs());
    let (listener, start) = (TcpListener::bind("127.0.0.1:0").await?, time::now());
    let address = listener.local_addr()?;
    let server = serve(listener, move |stream| answer(stream, patience)).idle_timeout(seconds(8));
    let guests = [("silent", ""), ("drips", "?"), ("asks", "what is six times seven?\n")];
    let guests = guests.map(|(who, text)| guest(who, text, address, start));
    server.until(group::gather(guests)).await.map(drop)
}

fn main() -> io::Result<()> {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build()?;
    runtime.block_on(async {
        idle(seconds(3600)).await?;
        idle(seconds(10)).await
    })
}
