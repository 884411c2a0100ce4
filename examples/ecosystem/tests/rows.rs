//! The rows of the table in `docs/ecosystem.md`: one test for each library, which uses it on a loop of roundel.
//!
//! `docs/tests/ecosystem.rs` checks that the table and these tests name each other.

#![forbid(unsafe_code)]

#[path = "rows/as_it_is.rs"]
mod as_it_is;
#[path = "rows/beside.rs"]
mod beside;
#[path = "rows/refuses.rs"]
mod refuses;
#[path = "rows/with_a_line.rs"]
mod with_a_line;

use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use roundel::spawn;
use roundel_net::hyper::serve_http;
use roundel_net::{TcpListener, TcpStream};

/// Runs a test on a loop, and gives up after a minute.
fn on_a_loop<F: Future<Output = ()>>(test: F) {
    let _watchdog = testkit::watchdog();
    roundel::run(test);
}

/// Both ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A server for HTTP/1 and 2 on this loop, which answers with the version and the path.
async fn http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(format!("{:?} {}", request.version(), request.uri().path())))
    };
    spawn(serve_http(listener, service_fn(answer)).into_future()).detach();
    address
}
