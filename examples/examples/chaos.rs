//! A bad network, to put in front of a server: it delays bytes, splits them, truncates streams and resets connections.
//! The new idea is the seed: every decision comes from it, so the same seed breaks the same things again.
//!
//! Run `echo`, then `cargo run --release --example chaos -- --to 127.0.0.1:7000 --reset 0.5 --delays 0.1`, and then
//! `load --addr 127.0.0.1:7005 --seconds 1`, which complains. `chaos` prints what it did to which connection. The
//! decisions are made in `chaos_plan.rs`.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::Duration;

use examples::args::{Args, end};
use examples::chaos_plan::{Faults, Plan, Step, Way};
use examples::status::{complain, say};
use examples::{loops, println};
use roundel::group::try_gather;
use roundel::{signal, time};
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream, serve};

const USAGE: &str = "\
usage: chaos --to HOST:PORT [--listen HOST:PORT] [--seed N] [--piece BYTES] [--delays RATE] [--delay SECS]
             [--truncate RATE] [--reset RATE] [--within BYTES]      a RATE is a number from 0 to 1
  --to        the server
  --listen    where to listen; port 0 is any free one (127.0.0.1:7005)
  --seed      the start of all random decisions (another one each time, which is printed)
  --piece     the longest piece into which bytes are split (1000)
  --delays    the share of pieces that wait before they go on (0)
  --delay     the longest such wait (0.01)
  --truncate  the share of connections that lose the end of the stream (0)
  --reset     the share of connections that are reset (0)
  --within    a fault comes before this byte (65536)";

/// Passes on what arrives at `from`, as the plan says.
async fn pass(from: &TcpStream, to: &TcpStream, mut plan: Plan, tell: impl Fn(&str, u64)) -> io::Result<()> {
    let buffers = Buffers::default();
    let mut is_cut = false;
    loop {
        let chunk = from.read_chunk(&buffers).await?;
        if chunk.is_empty() {
            return if is_cut { Ok(()) } else { to.shutdown(Shutdown::Write) };
        }
        let mut bytes = &chunk[..];
        while !bytes.is_empty() && !is_cut {
            match plan.next(bytes.len()) {
                Step::Pass(count) => {
                    to.write_all(&bytes[..count]).await?;
                    bytes = &bytes[count..];
                }
                Step::Wait(delay) => time::sleep(delay).await,
                Step::Truncate => {
                    tell("truncated", plan.passed());
                    is_cut = true;
                    to.shutdown(Shutdown::Write)?;
                }
                Step::Reset => {
                    tell("reset", plan.passed());
                    for stream in [from, to] {
                        stream.options().set_linger(Some(Duration::ZERO))?; // Then closing it sends a reset.
                    }
                    return Err(ErrorKind::ConnectionReset.into());
                }
            }
        }
    }
}

async fn connection(client: TcpStream, to: String, number: u64, faults: Faults) -> io::Result<()> {
    let failed = |error: &io::Error| complain(format_args!("connection {number}: {error}"));
    let server = TcpStream::connect(to).await.inspect_err(failed)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?; // Each piece must leave as a piece.
    let one_way = |from, to, way, side: &'static str| {
        let tell = move |what: &str, bytes| {
            say(format_args!("connection {number}: {what} after {bytes} bytes to the {side}"));
        };
        pass(from, to, faults.plan(number, way), tell)
    };
    let there = one_way(&client, &server, Way::ToServer, "server");
    let back = one_way(&server, &client, Way::ToClient, "client");
    try_gather([there, back]).await.map(drop)
}

async fn run(listen: String, to: String, faults: Faults) -> io::Result<()> {
    let (listener, shutdown) = (TcpListener::bind(listen).await?, signal::shutdown());
    println!("listening on {}", listener.local_addr()?);
    say(format_args!("--seed {} does the same again", faults.seed));
    let numbers = Cell::new(0);
    let handler = move |client| {
        numbers.set(numbers.get() + 1);
        connection(client, to.clone(), numbers.get(), faults)
    };
    serve(listener, handler).grace(Duration::from_secs(3)).until(shutdown).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let Some(to) = args.option::<String>("--to") else { args.refuse("--to is missing: which server?") };
    let listen = args.value("--listen", "127.0.0.1:7005".to_owned());
    let faults = Faults {
        seed: args.option("--seed").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32),
        piece: args.count("--piece", 1000) as u64,
        delays: args.rate("--delays"),
        longest_delay: args.seconds("--delay").unwrap_or(Duration::from_millis(10)),
        truncate: args.rate("--truncate"),
        reset: args.rate("--reset"),
        within: args.count("--within", 1 << 16) as u64,
    };
    args.finish();
    end(loops::one(run(listen, to, faults)))
}
