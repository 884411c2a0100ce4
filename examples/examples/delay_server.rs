//! A slow server: the address says how long it waits, and what it answers.
//!
//! Run it with `cargo run --release --example delay_server`, and then
//!
//! - `curl -v 'http://127.0.0.1:7007/?wait=1000'` for an answer after a second,
//! - `curl -v 'http://127.0.0.1:7007/?status=503&text=busy&times=3'` for a failure with the text `busybusybusy`.
//!
//! It gives scrapers something to wait for. Its work is in `delays.rs`: one task for each connection, which sleeps.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use examples::args::{Args, end};
use examples::delays::{self, Seen};
use examples::{loops, println};
use roundel::signal;
use roundel_net::TcpListener;

const USAGE: &str = "\
usage: delay_server [--addr HOST:PORT]
  --addr  where to listen; port 0 is any free one (127.0.0.1:7007)
The address of a request says what to answer, as in /page?wait=100&text=busy&times=2; each part may be left out:
  wait    milliseconds before the answer (0)
  status  200, 400, 404, 405, 500 or 503 (200)
  text    what the answer says (hello)
  times   how often it says that (1)";

async fn run(addr: String) -> io::Result<()> {
    let shutdown = signal::shutdown(); // From here on, the program handles the signals.
    let (listener, seen) = (TcpListener::bind(addr).await?, Rc::new(Seen::default()));
    println!("listening on {}", listener.local_addr()?);
    let told = async {
        shutdown.await;
    };
    delays::run(listener, Rc::clone(&seen), told).await?;
    println!("{} requests on {} connections", seen.requests.get(), seen.connections.get());
    Ok(())
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7007".to_owned());
    args.finish();
    end(loops::one(run(addr)))
}
