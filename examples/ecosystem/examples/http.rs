//! HTTP/1 and HTTP/2 with hyper. The new idea: `serve_http` joins hyper and the loop, so the service is all that is left.
//!
//! Run it with `cargo run --release -p ecosystem --example http`, and then
//!
//! - `curl http://127.0.0.1:7020/` for a greeting, which counts the visits,
//! - `curl -d hello http://127.0.0.1:7020/echo` for your own words,
//! - `curl --http2-prior-knowledge http://127.0.0.1:7020/slow` for an answer that takes a second, over HTTP/2.
//!
//! The count is in an `Rc<Cell>`: all requests run on one thread, so nothing has to be `Send`. After Ctrl-C the server
//! answers the requests that are under way, and then ends.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use examples::args::{Args, end};
use examples::{loops, println};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use roundel::{signal, time};
use roundel_net::TcpListener;
use roundel_net::hyper::serve_http;

const USAGE: &str = "\
usage: http [--addr HOST:PORT] [--max-connections N]
  --addr             where to listen; port 0 is any free one (127.0.0.1:7020)
  --max-connections  more wait until one ends (1000)";

const LONGEST_BODY: usize = 1 << 20;

type Answer = Result<Response<String>, hyper::Error>;

fn answer(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    Ok(response)
}

/// Sends back what it receives, if that is text and not too long.
async fn echo(body: Incoming) -> Answer {
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB, or was cut short\n");
    };
    match String::from_utf8(body.to_bytes().into()) {
        Ok(text) => answer(StatusCode::OK, text),
        Err(_) => answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not UTF-8\n"),
    }
}

async fn visit(request: Request<Incoming>, visits: Rc<Cell<u64>>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            visits.set(visits.get() + 1);
            answer(StatusCode::OK, format!("hello, visitor {}\n", visits.get()))
        }
        (&Method::GET, "/slow") => {
            time::sleep(Duration::from_secs(1)).await;
            answer(StatusCode::OK, "a second later\n")
        }
        (&Method::POST, "/echo") => echo(request.into_body()).await,
        (_, path) => answer(StatusCode::NOT_FOUND, format!("there is no {path} here\n")),
    }
}

async fn run(addr: String, most: usize) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let visits = Rc::new(Cell::new(0));
    let service = service_fn(move |request| visit(request, Rc::clone(&visits)));
    let server = serve_http(listener, service).max_connections(most).until(signal::shutdown());
    server.await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7020".to_owned());
    let most = args.count("--max-connections", 1000);
    args.finish();
    end(loops::one(run(addr, most)))
}
