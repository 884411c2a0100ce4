//! Lab 12: an accept loop that outlives EMFILE.
//!
//! The statement is `docs/labs/12-accept.md`. To grade this file: `cargo run -p labs -- 12`.

use std::io;

use labs::accept::{Listener, Serve};
use labs::not_written;

/// Where your accept loop belongs.
pub struct Server;

impl Serve for Server {
    /// Accepts connections and serves them, several at a time. Returns the error after which there is nothing left to accept.
    ///
    /// `listener.accept().await` gives a connection or an error, and `connection.serve().await` serves it.
    async fn run(listener: Listener) -> io::Error {
        not_written("`run`")
    }
}
