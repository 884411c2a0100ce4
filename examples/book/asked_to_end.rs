//! A signal asks a service to end: a service that does not handle the signal, and one that does.
//!
//! Run it with `cargo run --release --example asked_to_end`.
//!
//! Facts. SIGTERM ends a process that does not handle it, between any two instructions. No value is dropped, and what
//! has not been written yet is lost.
//!
//! What follows. The program starts itself twice as a service with three workers, waits until the service says that it
//! is ready, and asks it to end.

#![forbid(unsafe_code)]

use std::env;
use std::future::pending;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use examples::{args, println};
use roundel::cancel::with_cleanup;
use roundel::process::{Command, Stdio};
use roundel::{signal, spawn, time};

/// Works for ever, and needs a moment for its good-bye.
async fn worker(number: u32) {
    let cleanup = || async move {
        time::sleep(Duration::from_millis(u64::from(number) * 5)).await;
        println!("  worker {number} has put its tools away");
    };
    with_cleanup(pending::<()>(), cleanup).await;
}

async fn service(listens: bool) {
    // It handles the signal from here on, before it says that it is ready.
    let asked = listens.then(signal::shutdown);
    let workers: Vec<_> = (1..=3).map(|number| spawn(worker(number))).collect();
    roundel::yield_now().await;
    println!("ready");
    std::io::stdout().flush().expect("the output has a reader");
    match asked {
        Some(asked) => drop(asked.await),
        None => pending().await,
    }
    workers.iter().for_each(roundel::JoinHandle::cancel);
    for worker in workers {
        assert!(worker.await.unwrap_err().is_cancelled());
    }
}

/// Starts the service, waits until it is ready, and asks it to end.
async fn asked_to_end(kind: &str) -> std::io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    let mut child = command.arg(kind).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("it was asked for");
    let mut first = [0; 6];
    let mut count = 0;
    while count < first.len() {
        count += stdout.read(&mut first[count..]).await?;
    }
    child.terminate()?;
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).await?;
    let status = child.wait().await?;
    println!("{kind}: code {:?}, signal {:?}", status.code(), status.signal());
    print!("{}", String::from_utf8_lossy(&rest));
    Ok(())
}

fn main() -> std::io::Result<()> {
    match args::part(&["deaf", "listening"]).as_deref() {
        Some("deaf") => roundel::run(service(false)),
        Some("listening") => roundel::run(service(true)),
        _ => roundel::run(async {
            asked_to_end("deaf").await?;
            asked_to_end("listening").await
        })?,
    }
    Ok(())
}
