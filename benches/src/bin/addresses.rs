//! How long the kernel copies into buffers that begin at other addresses: `cargo run --release -p benches --bin addresses`.
//!
//! Facts. What arrives on a socket mostly lies at the start of a page. The time to copy it should not depend on where it goes.
//! On some processors it does.
//!
//! What follows. This program sends 60,000 bytes to itself, and reads them into a buffer that begins at some place of a
//! page. It prints the shortest of 300 times for each place. `net/src/io/padded.rs` rests on what it prints.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const BYTES: usize = 60_000;
const PAGE: usize = 4096;
const ROUNDS: usize = 300;
/// Where in a page the buffer begins.
const PLACES: [usize; 12] = [0, 8, 16, 24, 32, 48, 64, 128, 256, 1024, 2048, 4080];

/// Both ends of a connection.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    sender.set_nodelay(true)?;
    Ok((sender, listener.accept()?.0))
}

/// How long it takes to read what was sent.
fn time(sender: &mut TcpStream, receiver: &mut TcpStream, room: &mut [u8]) -> io::Result<Duration> {
    sender.write_all(&[1; BYTES])?;
    let start = Instant::now();
    receiver.read_exact(room)?;
    Ok(start.elapsed())
}

fn print() -> io::Result<()> {
    let (mut sender, mut receiver) = connection()?;
    let mut room = vec![0; BYTES + 3 * PAGE];
    let page = room.as_ptr().addr().wrapping_neg() % PAGE;
    println!("the buffer begins        {BYTES} bytes are read in");
    for place in PLACES {
        let room = &mut room[page + place..][..BYTES];
        let times: io::Result<Vec<Duration>> =
            (0..ROUNDS).map(|_| time(&mut sender, &mut receiver, room)).collect();
        let best = times?.into_iter().min().unwrap_or_default();
        println!("{place:4} bytes into a page {:15.1} µs", best.as_nanos() as f64 / 1e3);
    }
    Ok(())
}

fn main() -> ExitCode {
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("addresses: cannot measure: {error}");
            ExitCode::FAILURE
        }
    }
}
