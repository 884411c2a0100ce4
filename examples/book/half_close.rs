//! A peer that has said everything, and still listens.
//!
//! Facts. A connection has two directions, and each ends by itself. A read of no bytes says that nothing more will come
//! from there. It does not say that the peer has gone.
//!
//! What follows. A client asks, ends its direction, and listens. The answer takes a second. Meanwhile one server
//! watches whether the client is still there, and takes the end of the stream for the end of the client. The other does
//! not.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, group, spawn, time};
use roundel_net::io::{Reader, copy};
use roundel_net::testing::{Duplex, duplex};

async fn answer(stream: &Duplex) {
    time::sleep(Duration::from_secs(1)).await;
    copy(&b"the answer"[..], stream).await.expect("the peer is there");
}

/// This takes the end of the stream for the end of the peer.
async fn leaves_with_the_question(stream: Duplex) {
    let mut reader = Reader::new(&stream);
    reader.read_line().await.expect("a question");
    let mut byte = [0];
    group::select! {
        _ = reader.read(&mut byte) => {},
        _ = answer(&stream) => {},
    }
}

async fn stays_for_the_answer(stream: Duplex) {
    Reader::new(&stream).read_line().await.expect("a question");
    answer(&stream).await;
}

async fn half<F: Future<Output = ()> + 'static>(how: &str, server: impl FnOnce(Duplex) -> F) {
    let (client, served) = duplex(1000);
    spawn(server(served)).detach();
    copy(&b"the question\n"[..], &client).await.expect("the server is there");
    client.close();
    let mut heard = Vec::new();
    let mut reader = Reader::new(&client);
    while let Ok(byte) = reader.read_exact(1).await {
        heard.push(byte[0]);
    }
    println!("{how}: the client hears {:?}", String::from_utf8_lossy(&heard));
}

fn main() -> std::io::Result<()> {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build()?;
    runtime.block_on(async {
        half("the end is good-bye", leaves_with_the_question).await;
        half("the end is the end of the question", stays_for_the_answer).await;
    });
    Ok(())
}
