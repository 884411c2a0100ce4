//! What only few tasks have: a name, locals, a waiter that is not a task of this loop. The others need no room for it.
//!
//! Facts. A slot is half a cache line, and there may be a million of them. A name is rare and long.
//!
//! What follows. A map beside the slab, and a flag that says whether anything is in it: a program that uses none
//! of this pays for it with the look at the flag.
//!
//! Invariant 4: what is taken out is handed to the caller, who drops it when nothing is borrowed.

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use crate::core::id::TaskId;

/// The values of a task's `task_local!` keys; shared with its children until one of them sets another.
pub(crate) type Locals = Rc<dyn Any>;

#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) locals: Option<Locals>,
    /// Tells whether its output is an error. Only in a loop that is watched.
    pub(crate) judge: Option<fn(&mut dyn Any) -> bool>,
    /// Awaits the handle, and is not a task of this loop.
    pub(crate) waiter: Option<Waker>,
}

#[derive(Default)]
pub(crate) struct Extras {
    map: RefCell<HashMap<TaskId, Extra>>,
    any: Cell<bool>,
    always: Cell<bool>,
}

impl Extras {
    /// Whether any task has any, or [`always`](Extras::always) was called.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.get()
    }

    /// From now on `any` says yes. So one look tells whether this loop needs more than the common path: because of extras,
    /// a watcher, or refused spawns.
    pub(crate) fn always(&self) {
        self.always.set(true);
        self.any.set(true);
    }

    /// Reads, changes or takes out what a task has. `change` must not run foreign code.
    pub(crate) fn with<R>(&self, id: TaskId, change: impl FnOnce(&mut Extra) -> R) -> R {
        self.any.set(true);
        change(self.map.borrow_mut().entry(id).or_default())
    }

    /// Reads, changes or takes out what a task has, if it has anything.
    pub(crate) fn get<R>(&self, id: TaskId, change: impl FnOnce(&mut Extra) -> Option<R>) -> Option<R> {
        self.map.borrow_mut().get_mut(&id).and_then(change)
    }

    /// Gives back the memory that is not used.
    pub(crate) fn shrink(&self) {
        self.map.borrow_mut().shrink_to_fit();
    }

    /// Takes all of it out.
    pub(crate) fn remove(&self, id: TaskId) -> Option<Extra> {
        let mut map = self.map.borrow_mut();
        let extra = map.remove(&id);
        self.any.set(self.always.get() || !map.is_empty());
        extra
    }
}
