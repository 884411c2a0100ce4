//! A proxy for TCP. The new idea is what it does not do: it never reads what it cannot write.
//!
//! Run `echo`, then `cargo run --release --example proxy -- --to 127.0.0.1:7000`, and then `nc -N 127.0.0.1 7004`: what
//! you type comes back. Press Ctrl-D to end your direction. What is on its way still comes back, because each direction
//! ends by itself.
//!
//! The proxy writes slowly to a side that reads slowly. So it reads slowly from the other side, and the kernel tells
//! that side to send slowly. The proxy holds one buffer for each direction, and only while the bytes in it wait to be
//! written.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use examples::args::{Args, end};
use examples::goodbye::goodbye;
use examples::status::complain;
use examples::{loops, println};
use roundel::{signal, time};
use roundel_net::io::{Buffers, copy_bidirectional_with};
use roundel_net::{TcpListener, TcpStream, serve};

const USAGE: &str = "\
usage: proxy --to HOST:PORT [--listen HOST:PORT] [--max-connections N]
  --to               the server
  --listen           where to listen; port 0 is any free one (127.0.0.1:7004)
  --max-connections  more wait until one ends (1000)";

/// A server that has not answered by then is considered dead.
const PATIENCE: Duration = Duration::from_secs(10);

async fn connect(to: &str) -> io::Result<TcpStream> {
    let late = |_| io::Error::other(format!("{to} has not answered for {PATIENCE:?}"));
    let server = time::timeout(PATIENCE, TcpStream::connect(to)).await.map_err(late)??;
    server.set_nodelay(true)?;
    Ok(server)
}

async fn connection(client: TcpStream, to: String, buffers: Buffers) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = match connect(&to).await {
        Ok(server) => server,
        Err(error) => {
            complain(&error);
            goodbye(client, &buffers).await;
            return Err(error);
        }
    };
    let copied = copy_bidirectional_with(&client, &server, &buffers).await;
    if copied.is_err() {
        // Some bytes have not arrived. An orderly end would claim that they have, so the close does not linger and
        // sends a reset.
        for stream in [&client, &server] {
            stream.options().set_linger(Some(Duration::ZERO))?;
        }
    }
    copied.map(drop)
}

async fn run(listen: String, to: String, most: usize) -> io::Result<()> {
    let (listener, shutdown) = (TcpListener::bind(listen).await?, signal::shutdown());
    println!("listening on {}", listener.local_addr()?);
    let buffers = Buffers::default();
    let handler = move |client| connection(client, to.clone(), buffers.clone());
    let serving = serve(listener, handler).max_connections(most).grace(Duration::from_secs(3));
    serving.until(shutdown).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let Some(to) = args.option::<String>("--to") else { args.refuse("--to is missing: which server?") };
    let listen = args.value("--listen", "127.0.0.1:7004".to_owned());
    let most = args.count("--max-connections", 1000);
    args.finish();
    end(loops::one(run(listen, to, most)))
}
