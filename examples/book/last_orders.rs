//! The end of the evening: a server that is dropped, and one that is asked to end.
//!
//! Facts. To drop a server is to cancel its handlers, wherever they are. A guest who is being served would rather have what he
//! came for; but not every guest ever goes.
//!
//! What follows. A handler takes two seconds for its answer, and then waits until the guest goes. After one second the server is to
//! end: once it is dropped, once it is asked, and given three seconds. The clock is virtual; the sockets are real.

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

/// A guest who is served for two seconds, and hears what he came for at the end of them, or not.
async fn end(waits: bool) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, start) = (listener.local_addr()?, time::now());
    let since = move || (time::now() - start).as_secs();
    let server = serve(listener, |stream: TcpStream| async move {
        time::sleep(seconds(2)).await;
        stream.write_all(b"42\n").await?;
        // Until the guest goes, and this one does not.
        stream.read(&mut [0]).await
    });
    let guest = spawn(async move {
        let stream = TcpStream::connect(address).await?;
        let count = stream.read(&mut [0; 64]).await?;
        println!("    after {} s, the guest has heard {count} bytes", since());
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
    println!("    a new guest is refused: {refused}");
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
