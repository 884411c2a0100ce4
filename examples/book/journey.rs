//! One byte's journey, as the loop reports it: every step that a probe sees, from a read that has to wait to a read
//! that returns.
//!
//! Facts. A loop with a probe reports each poll, each wake, each report of the kernel, and when it parks.
//!
//! What follows. A task reads from one end of a pair of sockets, and the byte is written to the other end after the
//! loop has gone to sleep for the first time. The clock is virtual, so this takes no time.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use examples::{args, println};
use roundel::probe::{Event, Resource};
use roundel::{Runtime, spawn_named, task, time};
use roundel_net::UnixStream;

fn name(task: roundel::TaskId) -> String {
    task::name(task).map_or("main".into(), |name| name.into_owned())
}

/// Prints what has happened, if it belongs to the journey.
fn tell(event: Event) {
    match event {
        Event::PollBegin { task } => println!("poll {}", name(task)),
        Event::PollEnd { task, ready } => {
            println!("     {}: {}", name(task), if ready { "Ready" } else { "Pending" });
        }
        Event::WaitOn { on: Resource::Source(_), .. } => println!("     it waits for the socket"),
        Event::WaitDone { on: Resource::Source(_), .. } => println!("     it waits no more"),
        Event::SourceReady { readable, writable, .. } => {
            println!("the kernel reports: readable {readable}, writable {writable}");
        }
        Event::TimerFired { .. } => println!("a deadline has passed"),
        Event::Wake { task, .. } => println!("     wake {}", name(task)),
        _ => {}
    }
}

fn main() -> io::Result<()> {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).probe(tell).build()?;
    runtime.block_on(async {
        let (ours, theirs) = UnixStream::pair()?;
        let reader = spawn_named("reader", async move {
            let count = ours.read(&mut [0; 64]).await?;
            println!("     `.await` returns, with {count} byte");
            io::Result::Ok(())
        });
        time::sleep(Duration::from_secs(1)).await;
        println!("     main writes a byte");
        theirs.write_all(b"x").await?;
        reader.await.map_err(io::Error::other)?
    })
}
