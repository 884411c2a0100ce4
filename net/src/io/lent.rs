//! A buffer that is kept from one poll to the next while there are bytes in it.
//!
//! Facts. A [`Chunk`](super::Chunk) borrows its pile, so a struct cannot hold both.
//!
//! Contract. When this is dropped, the buffer goes back to its pile. If it had to grow, or there is no pile,
//! it is freed.
//!
//! What it does not know: what is done with the bytes.

use std::ops::Deref;

use super::buffers::{Buffers, SMALL};
use super::padded::Padded;

pub(crate) struct Lent {
    bytes: Padded,
    filled: usize,
    home: Option<Buffers>,
}

impl Lent {
    /// A buffer from the pile, or a new one if there is no pile.
    pub(crate) fn new(home: Option<&Buffers>) -> Lent {
        let bytes = home.map_or_else(|| Padded::new(SMALL), Buffers::take);
        Lent { bytes, filled: 0, home: home.cloned() }
    }

    /// The whole buffer, filled or not.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.size()
    }

    /// Sets how many bytes are in it now.
    pub(super) fn set_filled(&mut self, filled: usize) {
        assert!(filled <= self.size(), "a reader returned more bytes than it had room for");
        self.filled = filled;
    }

    /// Gives it room for `size` bytes.
    pub(super) fn grow(&mut self, size: usize) {
        let mut larger = Padded::new(size);
        larger[..self.size()].copy_from_slice(&self.bytes);
        self.bytes = larger;
        // It may have grown to the size of another buffer of the pile, which would then have one too many.
        self.home = None;
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.put(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_grown_does_not_come_back() {
        let buffers = Buffers::new(8);
        let mut lent = Lent::new(Some(&buffers));
        lent.room().copy_from_slice(b"12345678");
        lent.set_filled(8);
        lent.grow(20);
        assert_eq!((&*lent, lent.size()), (&b"12345678"[..], 20));
        drop(lent);
        assert_eq!(buffers.spare(), 0);
        drop(Lent::new(Some(&buffers)));
        assert_eq!(buffers.spare(), 1);
        assert_eq!(Lent::new(None).size(), SMALL);
    }
}
