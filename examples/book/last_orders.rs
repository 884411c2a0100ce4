//! The end of a server: one that is dropped, and one that is asked to end.
//!
//! Facts. Dropping a server cancels its handlers, wherever they are. A client that is being served would rather have
//! its answer. But some clients never leave.
//!
//! What follows. A handler takes two seconds for its answer, and then waits until the client leaves. The server is to
//! end after one second. Once it is dropped; once it is asked to end, and has three seconds for it. The clock is
//! virtual; the sockets are real.

#![forbid(unsafe_code)]

use std::future::IntoFuture;
use std::io;
use std::time::Duration;

use examples::{args, println};
use roundel::{Runtime, group, spawn, time};
use roundel_net::{TcpListener, TcpStream, serve};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A client that is served for two seconds, and then hears the answer, or not.
async fn end(waits: bool) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, start) = (listener.local_addr()?, time::now());
    let since = move || (time::now() - start).as_secs();
    let server = serve(listener, |stream: TcpStream| async move {
        time::sleep(seconds(2)).await;
        stream.write_all(b"42\n").await?;
        // Waits until the client leaves, and this one does not.
        stream.read(&mut [0]).await
    });
    let guest = spawn(async move {
        let stream = TcpStream::connect(address).await?;
        let count = stream.read(&mut [0; 64]).await?;
        println!("    after {} s, the client has heard {count} bytes", since());
        stream.read(&mut [0]).await
    });
    if waits {
        let served = server.until(time::sleep(seconds(1))).grace(seconds(3)).await?;
        println!("    after {} s, the server is over; cut off: {}", since(), served.cut_off);
    } else {
        group::select! {
            served = server.into_future() => drop(served?),
            () = time::sleep(seconds(1)) => println!("    after {} s, the server is over", since()),
        }
    }
    let refused = TcpStream::connect(address).await.is_err();
    println!("    a new client is refused: {refused}");
    let _ = guest.await;
    Ok(())
}

fn main() -> io::Result<()> {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build()?;
    runtime.block_on(async {
        println!("dropped:");
        end(false).await?;
        println!("asked, with 3 s of grace:");
        end(true).await
    })
}
