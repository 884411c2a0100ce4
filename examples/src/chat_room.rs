//! The room of `chat`: its guests, and what they say. No I/O.
//!
//! Contract. Names are unique. From the moment it enters, a guest hears everything that is said, in order, including
//! its own lines; if it is too slow, it hears how many lines it missed. Guests that enter or leave are announced as
//! lines.
//!
//! Invariant. No guest waits for another: `say` is not async.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use roundel::channel::{BroadcastReceiver, BroadcastSender, broadcast};

/// In bytes.
const LONGEST_NAME: usize = 20;

/// A line, and the name of its guest. All guests that have not written it yet share the text.
#[derive(Clone, Debug)]
pub struct Said {
    /// The guest that said it.
    pub by: Rc<str>,
    /// With the line's end.
    pub line: Rc<str>,
}

/// What a guest hears.
pub type Ears = BroadcastReceiver<Said>;

/// See the head of this file.
#[derive(Debug)]
pub struct Room {
    names: RefCell<BTreeSet<Rc<str>>>,
    lines: BroadcastSender<Said>,
}

impl Room {
    /// An empty room. A guest may be this many lines late before it misses any.
    #[must_use]
    pub fn new(keep: usize) -> Room {
        Room { names: RefCell::default(), lines: broadcast(keep).0 }
    }

    /// Lets a guest in, and announces it to the others.
    ///
    /// # Errors
    ///
    /// Why this cannot be the name of a guest.
    pub fn enter(&self, name: &str) -> Result<(Guest<'_>, Ears), &'static str> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err("a name has 1 to 20 bytes");
        }
        if !self.names.borrow_mut().insert(name.into()) {
            return Err("that name is taken");
        }
        let guest = Guest { room: self, name: name.into() };
        let ears = self.lines.subscribe();
        guest.tell(format!("* {name} is here\n"));
        Ok((guest, ears))
    }

    /// The names of the guests.
    #[must_use]
    pub fn names(&self) -> String {
        self.names.borrow().iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
    }
}

/// A guest that is in the room for as long as this lives.
#[derive(Debug)]
pub struct Guest<'a> {
    /// The room.
    pub room: &'a Room,
    /// The guest's name.
    pub name: Rc<str>,
}

impl Guest<'_> {
    /// Says a line to all guests.
    pub fn say(&self, line: &str) {
        self.tell(format!("{}: {line}\n", self.name));
    }

    fn tell(&self, line: String) {
        // With no guest to hear it, the line comes back.
        let _ = self.room.lines.send(Said { by: Rc::clone(&self.name), line: line.into() });
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.room.names.borrow_mut().remove(&self.name);
        self.tell(format!("* {} has left\n", self.name));
    }
}
