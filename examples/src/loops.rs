//! The loops of a server: one, or several.
//!
//! Facts. Several loops are each on a thread of their own, with a listener of their own on the same port. The kernel deals
//! out the connections among them.
//!
//! Contract. Nobody is told which port that is before all loops listen, to signals as well: from then on, a signal ends all.

use std::io;
use std::sync::mpsc;
use std::thread;

use roundel::Runtime;
use roundel::blocking::unblock;
use roundel::signal::{self, Shutdown};
use roundel_net::TcpListener;

use crate::limits::{need_open_files, raise_open_files};
use crate::println;

/// Runs a program on a loop of this thread, with as many connections as the system lets it have.
///
/// # Errors
///
/// If the loop cannot be built; and those of the program.
pub fn one<T>(program: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    raise_open_files();
    let runtime = Runtime::new()
        .map_err(|error| io::Error::new(error.kind(), format!("the loop cannot be built: {error}")))?;
    runtime.block_on(program)
}

/// The descriptors of one loop: four of its own, three for the signals, and its listener.
const FILES: usize = 8;

/// Listens on `addr`, says so, and runs `serve` on so many loops, until it has ended on all of them. It is given the
/// number of the loop, from zero, its listener, and a future that is done at Ctrl-C or SIGTERM.
///
/// # Errors
///
/// If the port cannot be had, or the descriptors or threads for so many loops; and those of `serve`.
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
            // It is not received if another loop could not begin, either.
            Err(error) => starting.send(error).or(Ok(())),
        };
        others.push(thread::Builder::new().spawn(other)?);
    }
    drop(starting);
    // All have dropped theirs when all listen.
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

/// What another thread needs before it can serve.
fn begin(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener, Shutdown)> {
    let runtime = Runtime::new()?;
    let (listener, shutdown) =
        runtime.block_on(async { io::Result::Ok((TcpListener::from_std(listener)?, signal::shutdown())) })?;
    Ok((runtime, listener, shutdown))
}
