//! Warnings on their way to the program.
//!
//! Facts. A mistake is noticed while the loop tells its watcher of an event, with the watcher out of its place. What the
//! program did at that moment would be reported to no sink: a task that it cancels would stay in `ps` for ever. The loop may
//! also be in the middle of a turn, or it may not run at all.
//!
//! What follows. Warnings are kept, and the loop hands them over in step 4, when the watcher is back. They were put into
//! words at once, because their tasks may be gone by then. After the runtime has been dropped there is no loop, so they are
//! handed over at once.
//!
//! Contract. Each warning is handed over once, in the order in which they came. If the program's callback panics, the panic
//! hook reports that, and the next warning is handed over all the same. Invariant 4: nothing is borrowed meanwhile.
//!
//! What it does not know: what is warned of.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::core::panics::swallow;
use crate::core::probe::Probe;
use crate::warnings::{Warning, say};

/// Is called with each warning.
pub(crate) type Callback = Box<dyn FnMut(&Warning)>;

/// The warnings that the program has not been told of.
pub(super) struct Outbox {
    /// Out of its cell while it is called.
    callback: Cell<Option<Callback>>,
    kept: RefCell<VecDeque<Warning>>,
    /// Set when the loop has been asked to hand over; cleared when it does.
    is_due: Cell<bool>,
}

impl Outbox {
    pub(super) fn new(callback: Callback) -> Rc<Outbox> {
        Rc::new(Outbox {
            callback: Cell::new(Some(callback)),
            kept: RefCell::default(),
            is_due: Cell::new(false),
        })
    }

    pub(super) fn keep(&self, warning: Warning) {
        self.kept.borrow_mut().push_back(warning);
    }

    /// Asks the loop to hand over what is kept, after all else that it has been asked to do.
    pub(super) fn hand_over_later(self: &Rc<Self>, probe: &Probe) {
        if self.kept.borrow().is_empty() || self.is_due.replace(true) {
            return;
        }
        let (outbox, earlier) = (Rc::clone(self), probe.afterwards.take());
        *probe.afterwards.borrow_mut() = Some(Box::new(move || {
            let earlier = earlier.and_then(|act| act());
            outbox.hand_over();
            earlier
        }));
    }

    /// Calls the program. Warnings that this causes are handed over as well, by the same call.
    pub(super) fn hand_over(&self) {
        self.is_due.set(false);
        let Some(mut callback) = self.callback.take() else { return };
        while let Some(warning) = self.next() {
            swallow(|| callback(&warning));
        }
        self.callback.set(Some(callback));
    }

    fn next(&self) -> Option<Warning> {
        self.kept.borrow_mut().pop_front()
    }
}

/// Where warnings go.
pub(super) enum Destination {
    StandardError,
    Program(Rc<Outbox>),
}

impl Destination {
    pub(super) fn of(callback: Option<Callback>) -> Destination {
        callback.map_or(Destination::StandardError, |callback| Destination::Program(Outbox::new(callback)))
    }

    pub(super) fn tell(&self, warning: Warning) {
        match self {
            Destination::StandardError => say(&warning),
            Destination::Program(outbox) => outbox.keep(warning),
        }
    }
}
