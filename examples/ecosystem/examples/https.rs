//! HTTPS with rustls and hyper. The new idea: a listener that speaks TLS, which `serve_http` takes as any other one.
//!
//! Run it with `cargo run --release -p ecosystem --example https -- --certificate /tmp/roundel.pem`, and then
//! `curl --cacert /tmp/roundel.pem https://localhost:7021/`.
//!
//! The certificate is made at the start and signed by itself, so a client has to be told to trust it. The listener is in
//! `src/tls.rs`. The client and the server agree on HTTP/1 or HTTP/2 during the handshake (ALPN). `serve_http` sees from
//! the first bytes which of the two it is.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::process::ExitCode;

use ecosystem::tls::Tls;
use examples::args::{Args, end};
use examples::{loops, println};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use roundel::signal;
use roundel_net::TcpListener;
use roundel_net::hyper::serve_http;

const USAGE: &str = "\
usage: https [--addr HOST:PORT] [--certificate FILE]
  --addr         where to listen; port 0 is any free one (127.0.0.1:7021)
  --certificate  writes the certificate to this file, for the clients";

/// With a new certificate for this machine, and the text of that certificate.
fn config() -> Result<(ServerConfig, String), Box<dyn std::error::Error + Send + Sync>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![cert.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, cert.pem()))
}

async fn hello(request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let (version, path) = (request.version(), request.uri().path());
    Ok(Response::new(format!("hello over TLS and {version:?}, from {path}\n")))
}

async fn run(addr: String, file: Option<String>) -> io::Result<()> {
    let (config, text) = config().map_err(io::Error::other)?;
    if let Some(file) = file {
        fs::write(&file, text).map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))?;
    }
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let server = serve_http(Tls::new(listener, config), service_fn(hello));
    server.until(signal::shutdown()).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7021".to_owned());
    let file = args.option("--certificate");
    args.finish();
    end(loops::one(run(addr, file)))
}
