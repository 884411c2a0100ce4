//! Exhibit E: a peer sends five bytes and closes. The reader asks for up to eight at a time, until the end.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use roundel::source::{Direction, Source};
use roundel::{Runtime, time, yield_now};

/// Reads once. A read that did not fill the buffer has emptied the socket, and the source is told so.
async fn read(source: &Source<mio::net::UnixStream>) -> usize {
    let mut buffer = [0; 8];
    let read = source.io(Direction::Read, |mut stream| stream.read(&mut buffer)).await.unwrap();
    if read < buffer.len() {
        source.fell_short(Direction::Read);
    }
    read
}

fn main() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let source = Source::new(mio::net::UnixStream::from_std(ours)).unwrap();
        peer.write_all(b"hello").unwrap();
        drop(peer);
        time::sleep(Duration::from_secs(1)).await; // both are reported, as one event
        yield_now().await;
        println!("read {} bytes", read(&source).await);
        match time::timeout(Duration::from_secs(60), read(&source)).await {
            Ok(bytes) => println!("read {bytes} bytes: the end"),
            Err(_) => println!("no end after a minute"),
        }
    });
}
