//! A client for Redis. The new idea: the protocol is so small that a `Reader` and forty lines
//! (`src/resp.rs`) are enough.
//!
//! Start `redis-server`, and run `cargo run --release -p ecosystem --example redis -- set answer 42`, then
//! `cargo run --release -p ecosystem --example redis -- --times 1000 incr answer`.
//!
//! All commands are sent at once, and their answers come in the same order (pipelining). Writing and reading run
//! together. Otherwise the server would have to keep all answers until the last command is sent, or stop reading, and
//! then both would wait for ever.

#![forbid(unsafe_code)]

use std::future::pending;
use std::io;
use std::process::ExitCode;

use ecosystem::resp::{Answer, decode, encode};
use examples::args::{Args, end};
use examples::{loops, println};
use roundel::group::select;
use roundel_net::TcpStream;
use roundel_net::io::{BufWriter, Reader};

const USAGE: &str = "\
usage: redis [--addr HOST:PORT] [--times N] COMMAND [WORD]...
  --addr   where the server listens (127.0.0.1:6379)
  --times  sends the command this often, and prints the last answer (1)";

/// Longer answers are refused.
const LONGEST_ANSWER: usize = 16 << 20;

fn show(answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Text(text) => println!("{text}"),
        Answer::Error(text) => return Err(io::Error::other(text.clone())),
        Answer::Number(number) => println!("{number}"),
        Answer::Nothing => println!("(nothing)"),
        Answer::List(list) => list.iter().try_for_each(show)?,
    }
    Ok(())
}

async fn run(addr: String, times: usize, words: Vec<String>) -> io::Result<()> {
    let stream = TcpStream::connect(&addr)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("no Redis server at {addr}: {error}")))?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (Reader::new(&stream).with_limit(LONGEST_ANSWER), BufWriter::new(&stream));
    let command = encode(&words);
    let write_all = async {
        for _ in 0..times {
            writer.write_all(&command).await?;
        }
        writer.flush().await
    };
    // It ends only if it fails: all is well when everything was read.
    let write = async {
        match write_all.await {
            Ok(()) => pending().await,
            Err(error) => error,
        }
    };
    let read = async {
        let mut last = Answer::Nothing;
        for _ in 0..times {
            last = decode(&mut reader).await?;
        }
        io::Result::Ok(last)
    };
    select! {
        last = read => show(&last?),
        error = write => Err(error),
    }
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:6379".to_owned());
    let times = args.count("--times", 1);
    let words: Vec<String> = std::iter::from_fn(|| args.positional("a word")).collect();
    if words.is_empty() {
        args.refuse("a command is missing");
    }
    args.finish();
    end(loops::one(run(addr, times, words)))
}
