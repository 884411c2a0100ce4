//! A peer that sends and does not read, and two servers that send back what they receive.
//!
//! Facts. A connection holds a thousand bytes in each direction here. A peer that writes more has to wait until the
//! other side reads.
//!
//! What follows. A client sends 1,000 messages of 100 bytes and reads none of the answers. A server that never waits
//! for its writes holds them all. A server that waits for each write stops reading, and then the client cannot send.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, channel, spawn, time};
use roundel_net::io::{Reader, copy};
use roundel_net::testing::{Duplex, duplex};

/// Reads whatever arrives, and leaves the writing to a separate task.
async fn never_waits(stream: Duplex, held: Rc<Cell<usize>>) {
    let (stream, (sender, answers)) = (Rc::new(stream), channel::unbounded::<[u8; 100]>());
    let out = Rc::clone(&stream);
    spawn(async move {
        while let Ok(answer) = answers.recv().await {
            if copy(&answer[..], &*out).await.is_err() {
                return;
            }
        }
    })
    .detach();
    let mut reader = Reader::new(&*stream);
    while let Ok(message) = reader.read_exact(100).await {
        sender.try_send(message.try_into().expect("100 bytes")).expect("there is always room");
        held.set(held.get().max(sender.len() * 100));
    }
}

/// Reads nothing before it has written the last answer.
async fn waits(stream: Duplex, held: Rc<Cell<usize>>) {
    let mut message = [0; 100];
    let mut reader = Reader::new(&stream);
    while let Ok(bytes) = reader.read_exact(100).await {
        message.copy_from_slice(bytes);
        held.set(held.get().max(100 + reader.buffered().len()));
        copy(&message[..], &stream).await.expect("the peer is there");
    }
}

async fn slow<F: Future<Output = ()> + 'static>(
    how: &str,
    server: impl FnOnce(Duplex, Rc<Cell<usize>>) -> F,
) {
    let ((client, served), held, sent) = (duplex(1000), Rc::new(Cell::new(0)), Cell::new(0));
    let server = spawn(server(served, Rc::clone(&held)));
    let send = async {
        for _ in 0..1000 {
            copy(&[0; 100][..], &client).await.expect("the server is there");
            sent.set(sent.get() + 1);
        }
        time::sleep(Duration::from_secs(1)).await;
    };
    let _ = time::timeout(Duration::from_secs(10), send).await;
    println!("{how}: {} messages sent, {} bytes held by the server", sent.get(), held.get());
    server.cancel();
}

fn main() -> std::io::Result<()> {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build()?;
    runtime.block_on(async {
        slow("a server that never waits", never_waits).await;
        slow("a server that waits", waits).await;
    });
    Ok(())
}
