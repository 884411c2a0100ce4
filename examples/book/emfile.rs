//! A server that has run out of descriptors, and three ways to react.
//!
//! Facts. Four clients connect, and two can be accepted: after that, this process may open no more files. `accept`
//! fails, but the other clients are still in the queue, so the listener is still ready. Each client stays for a second,
//! and leaves.
//!
//! What follows. Trying again at once means trying for ever. Here no client ever leaves meanwhile, because the clock is
//! virtual and moves only when the loop has nothing to do. Waiting for the next report means waiting for the next
//! client. `serve` tries again when a client has gone. The program counts the tries; it lowers the limit of descriptors
//! for this process alone.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream as Stranger};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use examples::{args, println};
use mio::net::{TcpListener, TcpStream};
use roundel::source::{Direction, Source};
use roundel::{Runtime, spawn, time};
use roundel_net::serve::{Accept, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A listener that counts the calls of `accept`. The program gives up after 10,000.
struct Door {
    source: Source<TcpListener>,
    tries: Rc<Cell<u32>>,
}

impl Door {
    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        self.tries.set(self.tries.get() + 1);
        listener.accept().map(|(stream, _)| stream)
    }
}

impl Accept for Door {
    type Stream = TcpStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.source.poll_io(cx, Direction::Read, |listener| self.accept(listener))
    }
}

async fn stay_a_second(guest: TcpStream) {
    time::sleep(Duration::from_secs(1)).await;
    drop(guest);
}

async fn try_again_at_once(door: Door) {
    while door.tries.get() < 10_000 {
        if let Ok(guest) = door.source.io(Direction::Read, |listener| door.accept(listener)).await {
            spawn(stay_a_second(guest)).detach();
        }
    }
}

async fn wait_for_the_next_report(door: Door) {
    let accept = |listener: &TcpListener| door.accept(listener).map_err(|_| ErrorKind::WouldBlock.into());
    while let Ok(guest) = door.source.io(Direction::Read, accept).await {
        spawn(stay_a_second(guest)).detach();
    }
}

async fn wait_for_a_guest_to_go(door: Door) {
    let server = serve(door, stay_a_second).on_trouble(|trouble| println!("    {trouble}"));
    server.await.map(drop).expect("a listener that can be listened to");
}

/// Lets this process open two more descriptors than it has.
fn lower_the_limit() -> Rlimit {
    let (before, null) = (getrlimit(Resource::Nofile), || File::open("/dev/null").expect("a descriptor"));
    let two = [null(), null()];
    let current = two.iter().map(|file| file.as_raw_fd() as u64 + 1).max();
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).expect("less is allowed");
    before
}

fn show<F: Future<Output = ()>>(how: &str, server: impl FnOnce(Door) -> F) -> io::Result<()> {
    println!("{how}");
    let runtime = Runtime::builder().virtual_time(true).build()?;
    let (tries, guests) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (time, before) = runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let door = Door { source: Source::new(listener)?, tries: Rc::clone(&tries) };
        let strangers: Vec<Stranger> =
            (0..4).map(|_| Stranger::connect(address)).collect::<Result<_, _>>()?;
        let (before, start) = (lower_the_limit(), time::now());
        let _ = time::timeout(Duration::from_secs(10), server(door)).await;
        let is_over = |stranger: &&Stranger| {
            stranger.set_nonblocking(true).is_ok() && matches!(stranger.peek(&mut [0]), Ok(0))
        };
        guests.set(strangers.iter().filter(is_over).count());
        io::Result::Ok((time::now() - start, before))
    })?;
    setrlimit(Resource::Nofile, before)?;
    println!("    after {} s: {} tries, {} of 4 were served", time.as_secs(), tries.get(), guests.get());
    Ok(())
}

fn main() -> io::Result<()> {
    args::none();
    show("try again at once (given up after 10000 tries)", try_again_at_once)?;
    show("wait for the next report", wait_for_the_next_report)?;
    show("wait for a client to leave", wait_for_a_guest_to_go)
}
