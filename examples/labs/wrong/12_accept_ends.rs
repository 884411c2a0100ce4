//! Lab 12, wrong: it ends when no descriptor is left.

use std::io::{self, ErrorKind};

use labs::accept::{Listener, Serve};
use roundel::spawn;

/// Where the accept loop belongs.
pub struct Server;

impl Serve for Server {
    async fn run(listener: Listener) -> io::Error {
        loop {
            match listener.accept().await {
                Ok(connection) => drop(spawn(connection.serve())),
                // This client has gone. The next may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return error,
            }
        }
    }
}
