//! Lab 6, wrong: a buffer that was not filled means that nothing is left.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, Waker};

use labs::edges::{Socket, Source};

/// A socket, and what is known of it.
pub struct Ears {
    socket: Socket,
    /// Set by a report, cleared by `WouldBlock`. While it is not set, a read would be in vain.
    ready: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Source for Ears {
    fn new(socket: Socket) -> Ears {
        Ears { socket, ready: Cell::new(false), waker: RefCell::default() }
    }

    fn report(&self) {
        self.ready.set(true);
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.ready.get() {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready.set(false),
                done => {
                    let is_short = done.as_ref().is_ok_and(|count| *count < buffer.len());
                    self.ready.set(!is_short);
                    return Poll::Ready(done);
                }
            }
        }
        drop(self.waker.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}
