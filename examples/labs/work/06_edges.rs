//! Lab 6: an edge-triggered source.
//!
//! The statement is `docs/labs/06-edges.md`. To grade this file: `cargo run -p labs -- 6`.

use std::io;
use std::task::{Context, Poll};

use labs::edges::{Socket, Source};
use labs::not_written;

/// A socket, and what is known of it.
pub struct Ears {
    socket: Socket,
}

impl Source for Ears {
    /// A source on this socket. Nothing was reported yet.
    fn new(socket: Socket) -> Ears {
        Ears { socket }
    }

    /// The kernel reports the socket as readable. This is an edge: it comes once.
    fn report(&self) {
        not_written("`report`")
    }

    /// Reads what is there, or notes the waker and waits for the next report.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        not_written("`poll_read`")
    }
}
