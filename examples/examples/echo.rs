//! A server that sends back what it receives.
//!
//! Run it with `cargo run --release --example echo`. `-- --help` lists its options, and `load` tests it.
//!
//! All of its work is the loop in `echo`. An idle connection costs a task of some two hundred bytes: it borrows a
//! buffer only while it has bytes to write. A slow reader delays only its own connection.
//!
//! On SIGUSR1, each loop writes its tasks and its figures to standard error. With ROUNDEL_INSPECT=1 it knows more of them,
//! and the program `ps` can ask it.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use examples::args::{Args, end};
use examples::counts::{Counts, show_each_second};
use examples::{loops, status};
use roundel::signal::{Shutdown, Signals, USR1};
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream, serve};

const USAGE: &str = "\
usage: echo [--addr HOST:PORT] [--max-connections N] [--idle-timeout SECS] [--threads N] [--quiet]
  --addr             where to listen; port 0 is any free one (127.0.0.1:7000)
  --max-connections  for each thread; more wait until one ends (no limit)
  --idle-timeout     ends connections on which no byte has moved for this long (never)
  --threads          how many loops share the port (1)
  --quiet            no status line, even on a terminal
On SIGUSR1 it says what its loops do.";

async fn echo(stream: TcpStream, buffers: Buffers, counts: Arc<Counts>) -> io::Result<()> {
    let _open = counts.connection();
    stream.set_nodelay(true)?;
    loop {
        let bytes = stream.read_chunk(&buffers).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes).await?;
        counts.message(bytes.len());
    }
}

/// A signal may come again and again, and so may this.
async fn say_what_the_loop_does(mut signals: Signals, number: usize) {
    loop {
        signals.recv().await;
        let (dump, metrics) = (roundel::dump(), roundel::metrics());
        status::complain(format_args!("── loop {number}\n{metrics}\n{dump:.50}"));
    }
}

#[derive(Clone, Copy)]
struct Limits {
    max_connections: usize,
    idle_timeout: Option<Duration>,
}

/// Serves until Ctrl-C or SIGTERM. Then the open connections have three seconds to finish. A second Ctrl-C ends the
/// process at once, because the program handles only the first.
async fn run(listener: TcpListener, limits: Limits, counts: Arc<Counts>, end: Shutdown) -> io::Result<()> {
    let (buffers, until) = (Buffers::default(), counts.clone().say_how_many_are_left(end));
    let handler = move |stream| echo(stream, buffers.clone(), Arc::clone(&counts));
    let server = serve(listener, handler).max_connections(limits.max_connections);
    let server = server.idle_timeout(limits.idle_timeout).grace(Duration::from_secs(3));
    server.until(until).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7000".to_owned());
    let threads = args.count("--threads", 1);
    let max_connections = args.count("--max-connections", usize::MAX);
    let limits = Limits { max_connections, idle_timeout: args.seconds("--idle-timeout") };
    let quiet = args.flag("--quiet");
    args.finish();
    let counts: Vec<Arc<Counts>> = (0..threads).map(|_| Arc::default()).collect();
    let is_watched = status::is_seen() && !quiet;
    let ended = loops::one(async move {
        // From here on the signal does not end the process. Each loop then listens by itself.
        let _listens = Signals::new([USR1])?;
        let one_loop = move |number: usize, listener, end| {
            if number == 0 && is_watched {
                roundel::spawn(show_each_second(counts.clone())).detach();
            }
            let counts = Arc::clone(&counts[number]);
            async move {
                let says = say_what_the_loop_does(Signals::new([USR1])?, number);
                roundel::spawn_named("SIGUSR1", says).detach();
                run(listener, limits, counts, end).await
            }
        };
        loops::run(addr, threads, one_loop).await
    });
    if is_watched {
        status::leave();
    }
    end(ended)
}
