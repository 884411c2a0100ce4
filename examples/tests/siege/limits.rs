//! A server at its limits: no free descriptor (hazard 29), and as many connections as there are descriptors.
//!
//! ```text
//! cargo test --release -p examples --test siege limits -- --nocapture --test-threads=1
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::common::{
    self, Echo, close_in_order, echoes, has_tool, quantile, raise_descriptor_limit, reset, scaled, skipped,
    tell, turn,
};

/// The tests take turns, because one of them needs all the descriptors that this process may have.
static TURN: Mutex<()> = Mutex::new(());

/// Descriptors of the server; fewer than clients.
const DESCRIPTORS: &str = "--nofile=64";
const CLIENTS: usize = 120;

/// The clients that get an answer, of which there can be so many, and the others, which wait in the kernel's queue.
fn held_and_waiting(room: usize, clients: Vec<TcpStream>) -> (Vec<TcpStream>, Vec<TcpStream>) {
    for mut client in &clients {
        client.write_all(b"x").unwrap();
    }
    // The server takes them in the order in which they came.
    let mut held = clients;
    let waiting = held.split_off(room);
    held.iter().for_each(is_served);
    let first = &waiting[0];
    first.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert_eq!((&mut &*first).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "it is served, too");
    first.set_read_timeout(Some(common::PATIENCE)).unwrap();
    (held, waiting)
}

/// Waits for the echo of what was sent before.
fn is_served(mut client: &TcpStream) {
    client.read_exact(&mut [0]).unwrap();
}

/// Talks with each of them, again and again, until this time has passed.
fn chat(clients: &[TcpStream], time: Duration, pause: Duration) -> Vec<Duration> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        for client in clients {
            let before = Instant::now();
            echoes(client, b"are you there?").unwrap();
            times.push(before.elapsed());
        }
        std::thread::sleep(pause);
    }
    times
}

#[test]
fn hazard_29_a_server_without_descriptors_neither_spins_nor_stops() {
    let _turn = turn();
    const NAME: &str = "hazard_29_a_server_without_descriptors_neither_spins_nor_stops";
    if !has_tool(&["prlimit", DESCRIPTORS, "true"]) {
        return skipped(NAME, "prlimit is not installed");
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let echo = Echo::start_under(&["prlimit", DESCRIPTORS], &[]);
    let (begin, idle) = (Instant::now(), echo.idle_descriptors());
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| echo.connect()).collect();
    let alone = chat(&clients[..10], Duration::from_millis(200), Duration::from_millis(5));
    common::until("a server without a free descriptor", || !echo.complaints().is_empty());
    let (held, mut waiting) = held_and_waiting(echo.descriptors() - idle, clients);
    assert!((40..64).contains(&held.len()), "{} are held", held.len());

    let time = Duration::from_secs(scaled(1, 5, 60));
    let load = echo.load_during(|| std::thread::sleep(time));
    let mut starved = Vec::new();
    let chatting = echo.load_during(|| starved = chat(&held[..10], time / 2, Duration::from_millis(50)));
    tell!(
        "EMFILE for {time:?}: {load:.2} % of a core (beside ten that talk: {chatting:.2} %), {} held",
        held.len()
    );
    assert!(load <= 2.0, "it spins: {load} % of a core");
    let at = |times: &Vec<Duration>, thousandth| quantile(&mut times.clone(), thousandth);
    let (alone, starved) = ((at(&alone, 500), at(&alone, 990)), (at(&starved, 500), at(&starved, 990)));
    tell!(
        "EMFILE: an echo of those held takes p50 {:?}, p99 {:?}; before, {:?}, {:?}",
        starved.0,
        starved.1,
        alone.0,
        alone.1
    );

    // One leaves, one is served, while nothing else happens.
    let mut delays = Vec::new();
    let (mut held, mut served) = (held.into_iter(), Vec::new());
    for _ in 0..20 {
        let next = waiting.remove(0);
        let start = Instant::now();
        drop(held.next());
        is_served(&next);
        delays.push(start.elapsed());
        served.push(next);
    }
    tell!(
        "EMFILE: the next is served {:?} after a descriptor came free, at most {:?}",
        at(&delays, 500),
        at(&delays, 1000)
    );
    let complaints = echo.complaints();
    assert!(
        !complaints.is_empty() && complaints.len() as u64 <= begin.elapsed().as_secs() + 2,
        "{complaints:#?}"
    );
    assert!(complaints.iter().all(|line| line.starts_with("cannot accept: ")), "{complaints:#?}");
    tell!("EMFILE: {} lines in {:.1} s: {}", complaints.len(), begin.elapsed().as_secs_f64(), complaints[0]);
    drop((held, served));
    for client in waiting {
        is_served(&client);
        assert!(close_in_order(&client));
    }
    let (status, _) = echo.end();
    assert!(status.success(), "{status}");
}

/// As many connections as one process may have descriptors, but for a few; and then as many again.
#[test]
fn as_many_connections_as_there_are_descriptors() {
    let _turn = turn();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = raise_descriptor_limit() as usize;
    let count = scaled(2_000, 19_900, 19_900).min(limit - 100);
    let echo = Echo::start(&[]);
    // The server has seen a few before, so whatever it needs once is there.
    for _ in 0..100 {
        let client = echo.connect();
        echoes(&client, b"warm").unwrap();
        assert!(close_in_order(&client));
    }
    let (descriptors, before) = (echo.descriptors(), echo.rss());
    let first = hold(&echo, count);
    let bytes = (first - before) as f64 * 1024.0 / count as f64;
    tell!("held: {bytes:.0} bytes of memory each ({before} KiB without, {first} KiB with {count})");
    echo.wait_for_descriptors(descriptors);
    let after = echo.rss();
    let second = hold(&echo, count);
    echo.wait_for_descriptors(descriptors);
    tell!("held: {after} KiB after they have gone; {second} KiB with as many again, {} after", echo.rss());
    echo.end_well();
    assert!(bytes <= if cfg!(debug_assertions) { 3_000.0 } else { 1_500.0 }, "{bytes} bytes each");
    // What the allocator keeps is its own affair (the tests of `roundel-net` look at what we give back to it), but
    // later connections use it again.
    assert!(second <= first + first / 10, "{second} KiB, and {first} KiB the first time");
}

/// Holds this many silent connections at once, and talks with each of them once. Returns how much memory that takes.
fn hold(echo: &Echo, count: usize) -> i64 {
    let (start, descriptors) = (Instant::now(), echo.descriptors());
    let clients: Vec<TcpStream> = (0..count).map(|number| echo.connect_from(number / 10_000)).collect();
    echo.wait_for_descriptors(descriptors + count);
    let rss = echo.rss();
    let took = start.elapsed();
    std::thread::sleep(Duration::from_millis(200));
    let ticks = echo.ticks();
    std::thread::sleep(Duration::from_secs(scaled(1, 2, 10)));
    let used = echo.ticks() - ticks;
    let start = Instant::now();
    clients.iter().for_each(|client| echoes(client, b"still here").unwrap());
    let talked = start.elapsed();
    tell!(
        "held: {count} within {took:.2?}; {used} hundredths of a second of processor time while idle; an echo each within {talked:.2?}"
    );
    assert_eq!(used, 0, "an idle server has nothing to do");
    clients.into_iter().for_each(reset);
    rss
}
