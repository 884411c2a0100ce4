//! An HTTP client with hyper. The new idea: hyper knows a connection, not a client. A `Pool` of connections makes it one.
//!
//! Start `cargo run --release -p ecosystem --example http` in one terminal, and run
//! `cargo run --release -p ecosystem --example client -- http://127.0.0.1:7020/` in another.
//!
//! hyper splits a connection in two: a handle that sends requests, and a future that moves the bytes. That future becomes a
//! task. The handle goes back to the pool when the answer has been read to its end. A handle whose server has
//! closed the connection is not used again.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use examples::args::{Args, end};
use examples::{loops, println};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use roundel::group::gather;
use roundel::spawn;
use roundel::sync::{Pool, Pooled};
use roundel_net::TcpStream;
use roundel_net::hyper::Io;

const USAGE: &str = "\
usage: client [--requests N] [--connections N] http://HOST[:PORT]/PATH
  --requests     how many, all together (10)
  --connections  how many connections they share (2)";

/// Longer answers are refused.
const LONGEST: usize = 16 << 20;
/// A server may close new connections, too.
const MOST_TRIES: usize = 10;
/// All requests are made at once, and wait for a connection.
const MOST_REQUESTS: usize = 1_000_000;

type Connection = SendRequest<Empty<Bytes>>;

/// Connects, and starts the task that moves the bytes.
async fn connect(host: String, port: u16) -> io::Result<Connection> {
    // In a URL, an address of IPv6 is in brackets.
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.set_nodelay(true)?;
    let (connection, moving) = handshake(Io::new(stream)).await.map_err(io::Error::other)?;
    // An error of the connection is also the error of its request, so nothing is lost here.
    spawn(async { drop(moving.await) }).detach();
    Ok(connection)
}

/// A connection that can take a request. One that its server has closed meanwhile is left to the pool, which drops it.
async fn ready(pool: &Pool<Connection>) -> io::Result<Pooled<Connection>> {
    let mut tries = 0;
    loop {
        let mut connection = pool.checkout().await?;
        tries += 1;
        match connection.ready().await {
            Ok(()) => return Ok(connection),
            Err(error) if tries == MOST_TRIES => return Err(io::Error::other(error)),
            Err(_) => {}
        }
    }
}

/// The status and the body of one answer.
async fn get(pool: &Pool<Connection>, url: &Uri) -> io::Result<(StatusCode, Bytes)> {
    let mut connection = ready(pool).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |host| host.as_str());
    let request = Request::get(path).header(HOST, host).body(Empty::new()).map_err(io::Error::other)?;
    let response = connection.send_request(request).await.map_err(|error| wrong(url, &error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    Ok((status, body.map_err(|error| wrong(url, &*error))?.to_bytes()))
}

/// An error with its cause, which hyper does not print by itself.
fn wrong(url: &Uri, error: &(dyn Error + 'static)) -> io::Error {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    io::Error::other(format!("{url}: {error}{cause}"))
}

async fn run(url: Uri, host: String, requests: usize, connections: usize) -> io::Result<()> {
    let port = url.port_u16().unwrap_or(80);
    let pool = Pool::new(connections, move || connect(host.clone(), port))
        .check(|connection| !connection.is_closed());
    let answers = gather((0..requests).map(|_| get(&pool, &url))).await;
    for answer in answers {
        let (status, body) = answer?;
        // Without characters that could play tricks on the terminal.
        let text = String::from_utf8_lossy(&body).replace(|c: char| c.is_control() && c != '\n', "");
        println!("{status}: {}", text.trim_end());
    }
    println!("{requests} requests, {} connections", pool.idle());
    Ok(())
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let requests = args.count("--requests", 10);
    let connections = args.count("--connections", 2);
    if requests > MOST_REQUESTS {
        args.refuse(&format!("--requests can be at most {MOST_REQUESTS}"));
    }
    let Some(url) = args.positional::<Uri>("a URL") else { args.refuse("a URL is missing") };
    if url.scheme_str() != Some("http") {
        args.refuse(&format!("`{url}` does not begin with http://: this client knows no TLS"));
    }
    let Some(host) = url.host().map(str::to_owned) else { args.refuse(&format!("`{url}` names no host")) };
    args.finish();
    end(loops::one(run(url, host, requests, connections)))
}
