//! Anything the kernel can report on, made awaitable: the seam under every socket.
//!
//! A [`Source`] is made from anything that `mio` can register. An [`AsyncFd`] is made from any descriptor, also one that is
//! read and written by code that knows nothing of this crate.
//!
//! Contract. An operation is tried first. Only if it says `WouldBlock` does the task wait. It is woken when the kernel
//! reports the source again, and then the operation is tried once more. `Interrupted` is tried again at once. Any number
//! of tasks may wait for one source, in either direction; all of them are woken, and those that find nothing wait again.
//! Errors come back as they are. An operation that always succeeds gives way after 128 times (the budget of a poll).
//!
//! What is not promised. Readiness is a hint: after `readable().await`, a read may still say `WouldBlock`.
//! The owner of a descriptor has to make it non-blocking.
//!
//! | method | cancel safe |
//! |---|---|
//! | `readable`, `writable` | yes |
//! | `io` | yes: the operation runs within one poll, so either it was done and returned, or it was not done |
//!
//! What it does not know: sockets.

mod descriptor;
mod registered;

pub use self::descriptor::AsyncFd;
pub use self::registered::{Io, Reading, Ready, Source, Way, Writing};
use crate::core::context;
pub use crate::core::probe::Details;
pub use crate::core::reactor::Direction;

/// How many sources are registered with the running loop; zero outside a loop.
#[must_use]
pub fn count() -> usize {
    context::current().map_or(0, |context| context.reactor.sources().len())
}
