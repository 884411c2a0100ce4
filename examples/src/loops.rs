//! The loops of a server: one or several.
//!
//! Facts. Each loop runs on its own thread, with its own listener on the same port. The kernel distributes the
//! connections among the listeners.
//!
//! Contract. The address is printed only when all loops listen, for signals too. From then on, one signal ends all
//! loops.

use std::io;
use std::sync::mpsc;
use std::thread;

use roundel::Runtime;
use roundel::blocking::unblock;
use roundel::signal::{self, Shutdown};
use roundel_net::TcpListener;

use crate::limits::{need_open_files, raise_open_files};
use crate::println;

/// Runs a program on a loop of this thread, with as many connections as the system allows.
///
/// # Errors
///
/// If the loop cannot be built, and any error of the program.
pub fn one<T>(program: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    raise_open_files();
    let runtime = Runtime::new()
        .map_err(|error| io::Error::new(error.kind(), format!("the loop cannot be built: {error}")))?;
    runtime.block_on(program)
}

/// The descriptors of one loop: four of its own, three for the signals, and its listener.
const FILES: usize = 8;

/// Listens on `addr`, prints that, and runs `serve` on this many loops until it has ended on all of them. `serve` gets
/// the number of the loop, counted from zero, its listener, and a future that is done at Ctrl-C or SIGTERM.
///
/// # Errors
///
/// If the port is taken, if there are not enough descriptors or threads for the loops, and any error of `serve`.
pub async fn run<F, Fut>(addr: String, loops: usize, serve: F) -> io::Result<()>
where
    F: Fn(usize, TcpListener, Shutdown) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>>,
{
    need_open_files(loops.saturating_mul(FILES), &format!("{loops} loops"))?;
    let listener = match loops {
        1 => TcpListener::bind(addr).await?,
        _ => TcpListener::bind_shared(addr).await?,
    };
    let (addr, shutdown) = (listener.local_addr()?, signal::shutdown());
    let (starting, started) = mpsc::channel::<io::Error>();
    let mut others = Vec::new();
    for number in 1..loops {
        let (serve, starting) = (serve.clone(), starting.clone());
        let listener = TcpListener::bind_shared(addr).await?.into_std()?;
        let other = move || match begin(listener) {
            Ok((runtime, listener, shutdown)) => {
                drop(starting);
                runtime.block_on(serve(number, listener, shutdown))
            }
            // If another loop could not start, nothing receives this.
            Err(error) => starting.send(error).or(Ok(())),
        };
        others.push(thread::Builder::new().spawn(other)?);
    }
    drop(starting);
    // All senders are dropped when all loops listen.
    if let Ok(error) = unblock(move || started.recv()).await.expect("receiving does not panic") {
        return Err(error);
    }
    println!("listening on {addr}");
    serve(0, listener, shutdown).await?;
    for other in others {
        unblock(|| other.join()).await.expect("joining does not panic").expect("a loop does not panic")?;
    }
    Ok(())
}

/// What a thread needs before it can serve.
fn begin(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener, Shutdown)> {
    let runtime = Runtime::new()?;
    let (listener, shutdown) =
        runtime.block_on(async { io::Result::Ok((TcpListener::from_std(listener)?, signal::shutdown())) })?;
    Ok((runtime, listener, shutdown))
}
