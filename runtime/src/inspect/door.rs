//! When this process can be asked: from its first loop that may be asked until the last one is gone.
//!
//! Facts. One server is enough for all loops of a process. A loop may end while another one begins, on another thread. A forked
//! child has a copy of everything, but not the thread.
//!
//! What follows. The server stands under a lock, and so do all changes of which loops there are. The last loop takes the
//! server with it. In a forked child, the copies are forgotten, and its first loop starts a server of its own.
//!
//! Lock order: this one, then that of the loops. The server's thread takes only the second.
//!
//! What it does not know: what is asked.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::inspect::loops;
use crate::inspect::seen::Seen;
use crate::inspect::server::Server;

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// A watched loop has been built. If it may be asked from outside, and no other can be, a server starts.
pub(crate) fn open(number: u16, seen: Arc<Seen>) {
    let is_open = seen.is_open;
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.as_ref().is_some_and(Server::is_forked) {
        loops::clear();
        *server = None;
    }
    loops::add(number, seen);
    if is_open && server.is_none() {
        match Server::start() {
            Ok(started) => *server = Some(started),
            Err(error) => complain(format_args!("this process cannot be asked about its loops: {error}")),
        }
    }
}

/// A watched loop is gone. The last one that could be asked takes the server with it.
pub(super) fn close(gone: &Arc<Seen>) {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    loops::remove(gone);
    if loops::open().is_empty() {
        *server = None;
    }
}

/// Not by `eprintln`, which panics if standard error cannot be written to.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "roundel: {text}");
}
