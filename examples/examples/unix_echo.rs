//! `echo`, for programs on the same machine. The new idea is the address: a file, and what happens to it.
//!
//! Run it with `cargo run --release --example unix_echo`, and then `nc -U echo.sock`: what you type comes back.
//!
//! The file appears when the server listens, and is removed when the server ends. A server that was killed leaves its
//! file. The next one removes that file, but only if no server listens on it. Linux says for certain which process is
//! on the other end.

#![forbid(unsafe_code)]

use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use examples::args::{Args, end};
use examples::loops;
use examples::output::give_up;
#[cfg(any(target_os = "linux", target_os = "android"))]
use examples::status::say;
use roundel::signal;
use roundel_net::io::Buffers;
use roundel_net::{UnixListener, UnixStream, serve};

const USAGE: &str = "\
usage: unix_echo [--path FILE]
  --path  where to listen (echo.sock)";

async fn echo(stream: UnixStream, buffers: Buffers) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let peer = stream.peer_credentials()?;
        say(format_args!("connected: process {} of user {}", peer.process, peer.user));
    }
    loop {
        let bytes = stream.read_chunk(&buffers).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes).await?;
    }
}

async fn run(path: PathBuf) -> io::Result<()> {
    let (listener, shutdown) = (UnixListener::bind(&path)?, signal::shutdown());
    if let Err(error) = writeln!(stdout(), "listening on {}", path.display()) {
        drop(listener); // This also removes the file, which would stay otherwise.
        give_up(&error);
    }
    let buffers = Buffers::default();
    let serving = serve(listener, move |stream| echo(stream, buffers.clone()));
    serving.grace(Duration::from_secs(3)).until(shutdown).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let path = args.value("--path", PathBuf::from("echo.sock"));
    args.finish();
    end(loops::one(run(path)))
}
