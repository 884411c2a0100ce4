//! Lab 12, wrong: it sleeps for long.

use std::io::{self, ErrorKind};
use std::time::Duration;

use labs::accept::{EMFILE, Listener, Serve};
use roundel::spawn;
use roundel::time::sleep;

/// Where the accept loop belongs.
pub struct Server;

/// Between two looks when there is no descriptor.
const PAUSE: Duration = Duration::from_secs(10);

impl Serve for Server {
    async fn run(listener: Listener) -> io::Error {
        loop {
            match listener.accept().await {
                Ok(connection) => drop(spawn(connection.serve())),
                // This client has gone. The next may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // It passes when a connection ends, and nothing tells when that is.
                Err(error) if error.raw_os_error() == Some(EMFILE) => sleep(PAUSE).await,
                Err(error) => return error,
            }
        }
    }
}
