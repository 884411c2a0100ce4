//! The room of `chat`: who is there, and what is said. No I/O.
//!
//! Contract. Names are unique. Whoever enters hears everything that is said from then on, in order, and what it says itself,
//! too; or how much of that it has missed. That somebody comes or goes is said like everything else.
//!
//! Invariant. Nobody waits for anybody: `say` is not async.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use roundel::channel::{BroadcastReceiver, BroadcastSender, broadcast};

/// In bytes.
const LONGEST_NAME: usize = 20;

/// A line, and whose it is. The texts are shared by all who have not written them yet.
#[derive(Clone, Debug)]
pub struct Said {
    /// A name.
    pub by: Rc<str>,
    /// With its end.
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
    /// An empty room, in which one may be behind by so many lines.
    #[must_use]
    pub fn new(keep: usize) -> Room {
        Room { names: RefCell::default(), lines: broadcast(keep).0 }
    }

    /// Lets somebody in, and says so to the others.
    ///
    /// # Errors
    ///
    /// Why this is no name for a guest.
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

    /// Who is here.
    #[must_use]
    pub fn names(&self) -> String {
        self.names.borrow().iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
    }
}

/// Somebody who is in the room for as long as this lives.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Where.
    pub room: &'a Room,
    /// Who.
    pub name: Rc<str>,
}

impl Guest<'_> {
    /// All will hear it.
    pub fn say(&self, line: &str) {
        self.tell(format!("{}: {line}\n", self.name));
    }

    fn tell(&self, line: String) {
        // If nobody hears it, it comes back.
        let _ = self.room.lines.send(Said { by: Rc::clone(&self.name), line: line.into() });
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.room.names.borrow_mut().remove(&self.name);
        self.tell(format!("* {} has left\n", self.name));
    }
}
