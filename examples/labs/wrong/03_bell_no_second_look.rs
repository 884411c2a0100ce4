//! Lab 3, wrong: the loop does not look again after it has raised the flag.

use labs::bell::{Bell, Parts};

/// Wakes the loop, if it sleeps.
pub struct Doorbell {
    parts: Parts,
}

impl Bell for Doorbell {
    fn new(parts: Parts) -> Doorbell {
        Doorbell { parts }
    }

    fn send(&self, message: u32) {
        self.parts.inbox.push(message);
        // Whichever thread lowers the flag rings. The others need not.
        if self.parts.flag.swap(false) {
            self.parts.parker.ring();
        }
    }

    fn recv(&self) -> u32 {
        loop {
            if let Some(message) = self.parts.inbox.pop() {
                return message;
            }
            self.parts.flag.set(true);
            self.parts.parker.park();
        }
    }
}
