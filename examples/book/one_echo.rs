//! One message and its answer, twice, seen from outside: what does a loop ask the kernel for?
//!
//! Facts. A task that reads asks the kernel only if there may be something to read. A new socket may have something.
//!
//! What follows. Both ends are tasks of one loop. Everything between the first printed line and the last is the cost of
//! two messages and two answers. With `unix`, they go over a Unix socket, and one thing is different.

#![forbid(unsafe_code)]

use std::io;

use examples::{args, println};
use roundel::{spawn, yield_now};
use roundel_net::{TcpListener, TcpStream, UnixStream};

/// The same for both kinds of socket, which have the same methods.
macro_rules! two_echoes {
    ($client:ident, $server:ident) => {{
        spawn(async move {
            let mut bytes = [0; 64];
            while let count @ 1.. = $server.read(&mut bytes).await? {
                $server.write_all(&bytes[..count]).await?;
            }
            io::Result::Ok(())
        })
        .detach();
        yield_now().await;
        println!("connected");
        for word in ["hello", "again"] {
            $client.write_all(word.as_bytes()).await?;
            let mut answer = [0; 64];
            let count = $client.read(&mut answer).await?;
            println!("{}", String::from_utf8_lossy(&answer[..count]));
        }
    }};
}

async fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    two_echoes!(client, server);
    Ok(())
}

async fn unix() -> io::Result<()> {
    let (client, server) = UnixStream::pair()?;
    two_echoes!(client, server);
    Ok(())
}

fn main() -> io::Result<()> {
    let is_unix = args::part(&["tcp", "unix"]).as_deref() == Some("unix");
    roundel::run(async move { if is_unix { unix().await } else { tcp().await } })
}
