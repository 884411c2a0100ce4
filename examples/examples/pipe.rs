//! A pipe with two directions: requests go one way, answers the other, until a line says STOP.
//!
//! Run it with `cargo run --release --example pipe`.
//!
//! Facts. A stream of bytes has no messages; here, a line is one. The end is said twice: by a line that says `STOP`,
//! after which the other side still answers; and by the end of the stream, which comes even if the other side is
//! killed.

#![forbid(unsafe_code)]

use std::io;

use examples::show::{Show, Stopwatch};
use roundel::spawn;
use roundel_net::UnixStream;
use roundel_net::io::Reader;

const USAGE: &str = "\
usage: pipe [--virtual]
  --virtual  the clock jumps to the next deadline whenever no task can go on";

/// Answers each line, until one says STOP.
async fn child(watch: Stopwatch, stream: UnixStream) -> io::Result<u32> {
    let mut lines = Reader::new(&stream);
    let mut count = 0;
    while let Some(line) = lines.read_line().await? {
        watch.say(format_args!("child:  got {line:?}"));
        if line == "STOP" {
            break;
        }
        count += 1;
        let answer = format!("{}\n", line.to_uppercase());
        stream.write_all(answer.as_bytes()).await?;
    }
    stream.write_all(b"BYE\n").await?;
    Ok(count)
}

async fn parent(watch: Stopwatch) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = spawn(child(watch, theirs));
    let mut lines = Reader::new(&ours);
    for word in ["hello", "how are you", "STOP"] {
        ours.write_all(format!("{word}\n").as_bytes()).await?;
        let answer = lines.read_line().await?;
        watch.say(format_args!("parent: said {word:?}, heard {:?}", answer.unwrap_or("nothing")));
    }
    let count = child.await.map_err(io::Error::other)??;
    watch.say(format_args!("parent: the child has answered {count} lines"));
    watch.say(format_args!("parent: and now hears {:?}, the end", lines.read_line().await?));
    Ok(())
}

fn main() -> std::process::ExitCode {
    examples::args::end(Show::new(USAGE, &[]).run(parent))
}
