//! The loops of a server: one or several.
//!
//! Facts. Each loop runs on its own thread, with its own listener on the same port. The kernel distributes the
//! connections among the listeners. In a process with more than one thread, libc takes about 50 instructions more for a
//! `recv` and as many for a `send`, because each may be the end of a thread that is being cancelled.
//!
//! What follows. A single loop runs on the main thread, and nothing here starts another thread for it.
//!
//! Contract. The address is printed only when all loops listen, for signals too. From then on, one signal ends all
//! loops.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

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

/// The descriptors of one loop: four of its own, three for the signals that end it and two for another one, and its
/// listener.
const FILES: usize = 10;

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
    // Each loop is on a thread of its own. The first one has this thread, so a single loop starts none.
    let others = if loops == 1 { Vec::new() } else { start_others(addr, loops, &serve).await? };
    println!("listening on {addr}");
    serve(0, listener, shutdown).await?;
    for other in others {
        unblock(|| other.join()).await.expect("joining does not panic").expect("a loop does not panic")?;
    }
    Ok(())
}

type Other = JoinHandle<io::Result<()>>;

/// Starts all loops but the first, each on a thread of its own, and waits until all of them listen.
async fn start_others<F, Fut>(addr: SocketAddr, loops: usize, serve: &F) -> io::Result<Vec<Other>>
where
    F: Fn(usize, TcpListener, Shutdown) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>>,
{
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
    match unblock(move || started.recv()).await.expect("receiving does not panic") {
        Ok(error) => Err(error),
        Err(_) => Ok(others),
    }
}

/// What a thread needs before it can serve.
fn begin(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener, Shutdown)> {
    let runtime = Runtime::new()?;
    let (listener, shutdown) =
        runtime.block_on(async { io::Result::Ok((TcpListener::from_std(listener)?, signal::shutdown())) })?;
    Ok((runtime, listener, shutdown))
}
