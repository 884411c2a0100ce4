//! What a report of readiness is worth, and what is lost when a read is dropped.
//!
//! Facts. A report is a hint: another reader may take the byte before you do. Giving up means dropping a future, with
//! everything that it holds.
//!
//! What follows. `hint` has two tasks that wait for one byte. `given_up` reads messages of six bytes, each within a
//! second, from a sender that pauses in the middle: once in a way that loses three bytes, and once in a way that does
//! not.

#![forbid(unsafe_code)]

use std::io;
use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, group, spawn, time, yield_now};
use roundel_net::{UnixStream, io::Reader};

const SECOND: Duration = Duration::from_secs(1);

async fn hint() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    // A new socket may have something to read. This one has nothing, and from here on both tasks have to wait.
    let _ = ours.try_read(&mut [0]).expect_err("nothing was sent");
    let ours = Rc::new(ours);
    let readers = ["first", "second"].map(|which| {
        let ours = Rc::clone(&ours);
        spawn(async move {
            ours.readable().await.expect("the loop is there");
            match ours.try_read(&mut [0]) {
                Ok(count) => println!("{which}: readable, and the read gives {count} byte"),
                Err(error) => println!("{which}: readable, and the read says {:?}", error.kind()),
            }
        })
    });
    yield_now().await;
    theirs.write_all(b"x").await?;
    group::gather(readers).await;
    Ok(())
}

/// Six bytes, a pause after the third, and six more.
async fn talk(stream: UnixStream) -> io::Result<()> {
    for part in ["abc", "defghi", "jkl"] {
        stream.write_all(part.as_bytes()).await?;
        time::sleep(SECOND * 3 / 2).await;
    }
    Ok(())
}

async fn wrong() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    spawn(talk(theirs)).detach();
    loop {
        let mut message = [0; 6];
        match time::timeout(SECOND, ours.read_exact(&mut message)).await {
            Err(_) => println!("read_exact of the stream: no message within a second"),
            Ok(read) => {
                read?;
                println!("read_exact of the stream: {}", String::from_utf8_lossy(&message));
                return Ok(());
            }
        }
    }
}

async fn right() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    spawn(talk(theirs)).detach();
    let mut reader = Reader::new(&ours);
    loop {
        match time::timeout(SECOND, reader.read_exact(6)).await {
            Err(_) => println!("read_exact of a reader: no message within a second"),
            Ok(message) => {
                println!("read_exact of a reader: {}", String::from_utf8_lossy(message?));
                return Ok(());
            }
        }
    }
}

fn main() -> io::Result<()> {
    let part = args::part(&["hint", "given_up"]);
    let runtime = Runtime::builder().virtual_time(true).build()?;
    match part.as_deref() {
        Some("given_up") => runtime.block_on(async { wrong().await.and(right().await) }),
        _ => runtime.block_on(hint()),
    }
}
