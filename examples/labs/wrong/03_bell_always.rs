//! Lab 3, wrong: each message rings.

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
        self.parts.parker.ring();
    }

    fn recv(&self) -> u32 {
        loop {
            if let Some(message) = self.parts.inbox.pop() {
                return message;
            }
            self.parts.flag.set(true);
            // What came before the flag was raised has not rung. What comes later will.
            if let Some(message) = self.parts.inbox.pop() {
                self.parts.flag.set(false);
                return message;
            }
            self.parts.parker.park();
        }
    }
}
