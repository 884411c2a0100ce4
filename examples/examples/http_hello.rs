//! HTTP by hand: what a server needs when it does not trust its clients. The new idea is the deadline, and which
//! clients get one.
//!
//! Run it with `cargo run --release --example http_hello`, and then
//!
//! - `curl -v http://127.0.0.1:7006/` for a greeting, `curl --head` for its head alone,
//! - `wrk -t1 -c50 -d5 http://127.0.0.1:7006/` to see how fast it is,
//! - `nc 127.0.0.1 7006` and nothing else: from the first byte that you type, you have five seconds for a request.
//!
//! A client that keeps its connection and sends nothing costs a task without a buffer and without a timer. A client
//! that has begun a request holds a buffer, and has a deadline. The function that recognises requests, without any I/O,
//! is in `http.rs`.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use examples::args::{Args, end};
use examples::goodbye::{goodbye, shutdown_token};
use examples::http::REQUEST_TIMEOUT;
use examples::http_talk::Talk;
use examples::{loops, println};
use roundel::cancel::CancelToken;
use roundel::time;
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream, serve};

const USAGE: &str = "\
usage: http_hello [--addr HOST:PORT] [--patience SECS] [--idle-timeout SECS] [--max-connections N]
  --addr             where to listen; port 0 is any free one (127.0.0.1:7006)
  --patience         how long a request may take, from its first byte (5)
  --idle-timeout     ends connections on which no byte has moved for this long (60)
  --max-connections  more wait until one ends (10000)";

/// What all connections share.
#[derive(Clone)]
struct Server {
    buffers: Buffers,
    patience: Duration,
    stop: CancelToken,
}

async fn talk(stream: TcpStream, server: Server) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut talk, mut deadline) = (Talk::default(), None);
    loop {
        let more = stream.read_chunk(&server.buffers);
        let read = match deadline {
            // Between two requests, the server may stop. Within a request, the client has a deadline.
            None => server.stop.run(more).await.ok(),
            Some(deadline) => time::timeout_at(deadline, more).await.ok(),
        };
        let answered = match read.transpose()? {
            Some(chunk) if chunk.is_empty() => return Ok(()),
            Some(chunk) => talk.hear(&chunk, server.stop.is_cancelled()),
            None => talk.refuse(REQUEST_TIMEOUT),
        };
        stream.write_all(&talk.output).await?;
        talk.output.clear();
        if talk.is_over {
            goodbye(stream, &server.buffers).await;
            return Ok(());
        }
        if talk.is_at_rest() {
            (talk, deadline) = (Talk::default(), None); // While no bytes arrive, the connection holds no buffer.
        } else if answered > 0 || deadline.is_none() {
            deadline = Some(time::now() + server.patience);
        }
    }
}

async fn run(addr: String, patience: Duration, idle: Duration, most: usize) -> io::Result<()> {
    let (listener, (stop, told)) = (TcpListener::bind(addr).await?, shutdown_token());
    println!("listening on {}", listener.local_addr()?);
    let server = Server { buffers: Buffers::default(), patience, stop };
    let serving = serve(listener, move |stream| talk(stream, server.clone()));
    let serving = serving.idle_timeout(idle).max_connections(most).grace(Duration::from_secs(3));
    serving.until(told).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7006".to_owned());
    let patience = args.seconds("--patience").unwrap_or(Duration::from_secs(5));
    let idle = args.seconds("--idle-timeout").unwrap_or(Duration::from_secs(60));
    let most = args.count("--max-connections", 10_000);
    args.finish();
    end(loops::one(run(addr, patience, idle, most)))
}
