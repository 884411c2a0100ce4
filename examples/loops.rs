//! One server on several loops: each on a thread of its own, with a listener of its own on the same port, among which the
//! kernel deals out the connections.
//!
//! Contract. Nobody is told which port that is before all loops listen, to signals as well: from then on, a signal ends all.

use std::io;
use std::sync::mpsc;
use std::thread;

use roundel::blocking::unblock;
use roundel::signal::{self, Shutdown};
use roundel_net::TcpListener;

use crate::println;

/// Listens on `addr`, says so, and runs `serve` on so many loops, until it has ended on all of them. It is given the
/// number of the loop, from zero, its listener, and a future that is done at Ctrl-C or SIGTERM.
///
/// # Errors
///
/// If the port cannot be had; and those of `serve`.
pub async fn run<F, Fut>(addr: String, loops: usize, serve: F) -> io::Result<()>
where
    F: Fn(usize, TcpListener, Shutdown) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>>,
{
    let listener = match loops {
        1 => TcpListener::bind(addr).await?,
        _ => TcpListener::bind_shared(addr).await?,
    };
    let (addr, shutdown) = (listener.local_addr()?, signal::shutdown());
    let (starting, started) = mpsc::channel::<()>();
    let mut others = Vec::new();
    for number in 1..loops {
        let (serve, starting) = (serve.clone(), starting.clone());
        let listener = TcpListener::bind_shared(addr).await?.into_std()?;
        let other = async move || {
            let (listener, shutdown) = (TcpListener::from_std(listener)?, signal::shutdown());
            drop(starting);
            serve(number, listener, shutdown).await
        };
        others.push(thread::spawn(|| roundel::run(other())));
    }
    drop(starting);
    let _ = unblock(move || started.recv()).await; // It fails when all have dropped theirs.
    println!("listening on {addr}");
    serve(0, listener, shutdown).await?;
    for other in others {
        unblock(|| other.join()).await.expect("joining does not panic").expect("a loop does not panic")?;
    }
    Ok(())
}
