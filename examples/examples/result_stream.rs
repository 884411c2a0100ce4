//! A worker process that sends each result as soon as it has it, until a line says that there are no more.
//!
//! Run it with `cargo run --release --example result_stream`.
//!
//! Facts. A pipe carries bytes, and a read may return half a line or several. The end of the pipe alone does not say
//! whether the worker has finished or was killed. A last line, the *sentinel*, does.
//!
//! What follows. The parent uses each result at once, and never waits for all of them. If the pipe ends without the
//! sentinel, it reports an error. `--killed` shows that.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::{env, io};

use examples::args::{self, Args};
use examples::println;
use roundel::process::{Command, Stdio};

const USAGE: &str = "\
usage: result_stream [--killed]
  --killed  the worker ends after three results, as if it had been killed
  --worker  be the worker; with --killed, be the one that ends too early";

const SENTINEL: &str = "END";

/// The worker: prints five results, and then the sentinel.
fn work(killed: bool) {
    for number in 1..=5_u32 {
        println!("{}", number.pow(2));
        if killed && number == 3 {
            return;
        }
    }
    println!("{SENTINEL}");
}

/// Starts a worker, and passes each of its lines on until the sentinel.
async fn read_results(killed: bool, mut use_result: impl FnMut(&str)) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--worker").args(killed.then_some("--killed")).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take().expect("it was piped");
    let (mut waiting, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        let count = output.read(&mut buffer).await?;
        if count == 0 {
            let why = format!("the worker has ended without `{SENTINEL}`: {}", child.wait().await?);
            return Err(io::Error::other(why));
        }
        waiting.extend_from_slice(&buffer[..count]);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            match String::from_utf8_lossy(&line).trim_end() {
                SENTINEL => return child.wait().await.map(drop),
                result => use_result(result),
            }
        }
    }
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let (killed, is_worker) = (args.flag("--killed"), args.flag("--worker"));
    args.finish();
    if is_worker {
        work(killed);
        return ExitCode::SUCCESS;
    }
    let done = roundel::run(read_results(killed, |result| println!("a result: {result}")));
    if done.is_ok() {
        println!("no more results");
    }
    args::end(done)
}
