//! What a check has tried so far, one line for each act.
//!
//! Facts. An answer may panic, or never return. Then the check cannot say what it was about to do.
//!
//! What follows. A check notes each act before it does it. The diary outlives the thread of the check, so the judge can
//! read it in every case. It also counts the acts: an answer that asks for too much is stopped here.

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::outcome::{Miss, Trouble, stop};

/// The acts of one check.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<Mutex<Acts>>);

#[derive(Debug, Default)]
struct Acts {
    lines: Vec<String>,
    remarks: Vec<String>,
    spent: u64,
    miss: Option<Miss>,
    trouble: Option<Trouble>,
}

thread_local! {
    static OPEN: RefCell<Diary> = RefCell::default();
}

impl Diary {
    /// From now on, this thread writes here.
    pub fn open(&self) {
        OPEN.set(self.clone());
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.acts(|acts| acts.lines.clone())
    }

    /// What was measured on the way.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.acts(|acts| acts.remarks.clone())
    }

    /// Notes why the answer broke off. The first reason explains the others, and a miss explains what comes after it.
    pub(crate) fn note(&self, trouble: Trouble) {
        self.acts(|acts| {
            if acts.miss.is_none() {
                acts.trouble.get_or_insert(trouble);
            }
        });
    }

    /// Notes a miss: what the answer does while the check ends must not hide it.
    pub(crate) fn note_miss(&self, miss: &Miss) {
        self.acts(|acts| acts.miss = Some(miss.clone()));
    }

    /// The miss that was noted last.
    #[must_use]
    pub fn miss(&self) -> Option<Miss> {
        self.acts(|acts| acts.miss.clone())
    }

    /// Why the answer broke off, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.acts(|acts| acts.trouble.clone())
    }

    fn acts<R>(&self, f: impl FnOnce(&mut Acts) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The diary of this thread.
#[must_use]
pub fn open_diary() -> Diary {
    OPEN.with_borrow(Diary::clone)
}

/// Notes what is tried next. After a miss, nothing is tried any more: what follows is only the end of the check.
pub fn act(what: impl Display) {
    open_diary().acts(|acts| {
        if acts.miss.is_none() {
            acts.lines.push(what.to_string());
        }
    });
}

/// Notes something that a learner likes to know, although nothing is wrong.
pub fn remark(what: impl Display) {
    open_diary().acts(|acts| acts.remarks.push(what.to_string()));
}

/// A new case begins: what was tried before does not matter any more.
pub fn new_case() {
    open_diary().acts(|acts| {
        acts.lines.clear();
        acts.spent = 0;
    });
}

/// Counts something that the answer asks for. If it asks for more than `limit` since the case began, it does not come to
/// an end, and is stopped.
pub fn spend(limit: u64) {
    let spent = open_diary().acts(|acts| {
        acts.spent += 1;
        acts.spent
    });
    if spent > limit {
        stop();
    }
}
