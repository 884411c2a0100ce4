//! QUIC with quinn. The new idea: quinn asks for a runtime through a trait, and ours implements it.
//!
//! Run `cargo run --release -p ecosystem --example quic -- --certificate /tmp/roundel.der`, and in another terminal
//! `cargo run --release -p ecosystem --example quic -- --certificate /tmp/roundel.der --connect 127.0.0.1:7024 hello`.
//!
//! The server sends back what each stream brings. All streams of a client share one connection, and none waits for
//! another: the client opens one for each word. quinn is told in `src/quic.rs` how to spawn, sleep and send here.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

use ecosystem::quic::OnThisLoop;
use examples::args::{Args, end};
use examples::{loops, println};
use futures_rustls::rustls::RootCertStore;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, VarInt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use roundel::group::{gather, select};
use roundel::{signal, spawn};

const USAGE: &str = "\
usage: quic --certificate FILE [--addr HOST:PORT]
       quic --certificate FILE --connect HOST:PORT WORD...
  --certificate  the server writes it to this file, and the client reads it
  --addr         where to listen; port 0 is any free one (127.0.0.1:7024)
  --connect      sends each word on its own stream, and prints the answers";

const LONGEST: usize = 1 << 20;

type Done<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn endpoint(socket: UdpSocket, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(OnThisLoop))
}

/// Sends back what each stream of a client brings, until the client goes.
async fn echo(incoming: Incoming) -> Done<()> {
    let connection = incoming.await?;
    loop {
        let (mut write, mut read) = connection.accept_bi().await?;
        let stream = async move {
            let bytes = read.read_to_end(LONGEST).await?;
            write.write_all(&bytes).await?;
            write.finish()?;
            Done::Ok(())
        };
        // A stream that fails ends by itself, and is reset for the client.
        spawn(async { drop(stream.await) }).detach();
    }
}

async fn serve(addr: SocketAddr, file: &str) -> Done<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let server = ServerConfig::with_single_cert(vec![cert.der().clone()], key.into())?;
    fs::write(file, cert.der()).map_err(|error| format!("{file}: {error}"))?;
    let endpoint = endpoint(UdpSocket::bind(addr)?, Some(server))?;
    println!("listening on {}", endpoint.local_addr()?);
    let accept = async {
        while let Some(incoming) = endpoint.accept().await {
            spawn(async { drop(echo(incoming).await) }).detach();
        }
    };
    select! {
        () = accept => {},
        _ = signal::shutdown() => {},
    }
    endpoint.close(VarInt::from_u32(0), b"the server is going away");
    endpoint.wait_idle().await;
    Ok(())
}

/// What comes back for one word.
async fn ask(connection: &Connection, word: &str) -> Done<String> {
    let (mut write, mut read) = connection.open_bi().await?;
    write.write_all(word.as_bytes()).await?;
    write.finish()?;
    Ok(String::from_utf8(read.read_to_end(LONGEST).await?)?)
}

async fn talk(server: SocketAddr, file: &str, words: &[String]) -> Done<()> {
    let certificate = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from(certificate))?;
    let endpoint = endpoint(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?, None)?;
    let config = ClientConfig::with_root_certificates(Arc::new(trusted))?;
    let connection = endpoint.connect_with(config, server, "localhost")?.await?;
    for answer in gather(words.iter().map(|word| ask(&connection, word))).await {
        println!("{}", answer?);
    }
    connection.close(VarInt::from_u32(0), b"done");
    endpoint.wait_idle().await;
    Ok(())
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", SocketAddr::from((Ipv4Addr::LOCALHOST, 7024)));
    let server = args.option::<SocketAddr>("--connect");
    let Some(file) = args.option::<String>("--certificate") else { args.refuse("--certificate is missing") };
    let words: Vec<String> = std::iter::from_fn(|| args.positional("a word")).collect();
    args.finish();
    let program = async {
        let done = match server {
            Some(server) => talk(server, &file, &words).await,
            None => serve(addr, &file).await,
        };
        done.map_err(io::Error::other)
    };
    end(loops::one(program))
}
