//! Sends each datagram back to its sender. The new idea: there are no connections, so one task serves all clients.
//!
//! Run it with `cargo run --release --example udp_echo`, and then `nc -u 127.0.0.1 7001`: each line you type comes
//! back.
//!
//! A datagram arrives as it was sent or not at all; `recv_from` returns one, never a part and never two. If there is no
//! room to send the answer, the answer is lost, as it might be anywhere on its way. Waiting for room would only lose
//! others.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use examples::args::{Args, end};
use examples::status::complain;
use examples::{loops, println};
use roundel::group::select;
use roundel::signal;
use roundel_net::UdpSocket;

const USAGE: &str = "\
usage: udp_echo [--addr HOST:PORT]
  --addr  where to listen; port 0 is any free one (127.0.0.1:7001)";

/// No datagram is longer.
const LONGEST: usize = 65_535;

async fn echo(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).await?;
        if let Err(error) = socket.try_send_to(&buffer[..count], from)
            && error.kind() != ErrorKind::WouldBlock
        {
            complain(format_args!("to {from}: {error}"));
        }
    }
}

async fn run(addr: String) -> io::Result<()> {
    let (socket, shutdown) = (UdpSocket::bind(addr).await?, signal::shutdown());
    println!("listening on {}", socket.local_addr()?);
    select! {
        result = echo(&socket) => result,
        _ = shutdown => Ok(()),
    }
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7001".to_owned());
    args.finish();
    end(loops::one(run(addr)))
}
