//! Buffers that are lent to whoever has something to put into them.
//!
//! Facts. Of ten thousand connections, a handful has data at any moment; on one thread, a handler that does not
//! have to wait for its peer needs its buffer only within one poll. Ten thousand buffers of 16 KiB would be 160 MB
//! of nothing.
//!
//! What follows. A pile of buffers that the connections of a loop share. One is taken when bytes are there, and
//! comes back when its [`Chunk`] is dropped. So there are as many as handlers that are stuck with bytes in hand,
//! and no more; a few spare ones are kept.
//!
//! Invariant. While bytes are read into a buffer, the pile is not borrowed (4).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;

/// A pile of buffers, shared by all of its clones. See
/// [`ByteStream::read_chunk`](crate::ByteStream::read_chunk).
#[derive(Clone)]
pub struct Buffers {
    pile: Rc<Pile>,
}

struct Pile {
    size: usize,
    /// How many spare ones are kept at most.
    most: Cell<usize>,
    spare: RefCell<Vec<Box<[u8]>>>,
}

/// A message of most protocols fits; and a thousand of them, stuck with slow readers, are 16 MiB.
const SIZE: usize = 16 << 10;
/// Enough for a burst; the rest is given back to the system.
const SPARE: usize = 32;

impl Buffers {
    /// Buffers of `size` bytes, none of which exists yet.
    ///
    /// # Panics
    ///
    /// If `size` is zero.
    #[must_use]
    #[track_caller]
    pub fn new(size: usize) -> Buffers {
        assert!(
            size > 0,
            "`Buffers::new` was given a size of zero: nothing could be read into such a buffer"
        );
        Buffers { pile: Rc::new(Pile { size, most: Cell::new(SPARE), spare: RefCell::default() }) }
    }

    /// Keeps at most so many that are not in use; 32, if not set. What comes back beyond that is freed.
    #[must_use]
    pub fn keep(self, most: usize) -> Buffers {
        self.pile.most.set(most);
        let surplus = {
            let mut spare = self.pile.spare.borrow_mut();
            let kept = spare.len().min(most);
            spare.split_off(kept)
        };
        drop(surplus);
        self
    }

    /// How many bytes fit into one.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pile.size
    }

    /// How many lie ready to be used.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.pile.spare.borrow().len()
    }

    /// A buffer with nothing in it yet.
    #[inline]
    pub(crate) fn take(&self) -> Chunk {
        let taken = self.pile.spare.borrow_mut().pop();
        let bytes = taken.unwrap_or_else(|| vec![0; self.pile.size].into());
        Chunk { bytes, filled: 0, pile: Rc::clone(&self.pile) }
    }

    /// Takes a buffer and has `read` put bytes into it. If that fails, the buffer goes back.
    #[inline]
    pub(crate) fn fill(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Chunk> {
        let mut chunk = self.take();
        chunk.filled = read(&mut chunk.bytes)?;
        Ok(chunk)
    }
}

/// 16 KiB each.
impl Default for Buffers {
    fn default() -> Buffers {
        Buffers::new(SIZE)
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("size", &self.size()).field("spare", &self.spare()).finish()
    }
}

/// Bytes that were read, in a buffer that goes back to its pile when this is dropped.
pub struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
    pile: Rc<Pile>,
}

impl Chunk {
    /// All of the buffer, whatever is in it.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Says how many bytes are in it now.
    #[inline]
    pub(super) fn set_filled(&mut self, filled: usize) {
        assert!(filled <= self.bytes.len(), "a reader said that it read more than it had room for");
        self.filled = filled;
    }

    /// Gives it room for `size` bytes. It is then one of its own kind, and will not go back to the pile.
    pub(super) fn grow(&mut self, size: usize) {
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        bytes.reserve_exact(size - bytes.len());
        bytes.resize(size, 0);
        self.bytes = bytes.into_boxed_slice();
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Chunk {
    #[inline]
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.pile.spare.borrow_mut();
        if spare.len() < self.pile.most.get() && bytes.len() == self.pile.size {
            spare.push(bytes);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spares(buffers: &Buffers, count: usize) {
        let taken: Vec<Chunk> = (0..count).map(|_| buffers.take()).collect();
        assert_eq!(buffers.spare(), 0, "all of them are in use");
        drop(taken);
    }

    #[test]
    fn none_exists_before_it_is_needed_and_each_comes_back() {
        let buffers = Buffers::default();
        assert_eq!((buffers.spare(), buffers.size()), (0, 16 << 10));
        let chunk = buffers.fill(|room| Ok(room.len().min(3))).unwrap();
        assert_eq!((&*chunk, buffers.spare()), (&[0, 0, 0][..], 0));
        let address = chunk.as_ptr();
        drop(chunk);
        assert_eq!(buffers.clone().take().room().as_ptr(), address, "the same one, also for a clone");
    }

    #[test]
    fn a_failed_read_gives_its_buffer_back() {
        let buffers = Buffers::new(1);
        buffers.fill(|_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(buffers.spare(), 1);
    }

    #[test]
    fn a_burst_leaves_only_a_few() {
        let buffers = Buffers::new(8);
        spares(&buffers, 1000);
        assert_eq!(buffers.spare(), SPARE);
        let buffers = buffers.keep(3);
        assert_eq!(buffers.spare(), 3);
        spares(&buffers, 1000);
        assert_eq!(buffers.spare(), 3);
        assert_eq!(Buffers::new(8).keep(0).take().len(), 0);
    }

    #[test]
    fn one_that_has_grown_does_not_come_back() {
        let buffers = Buffers::new(8);
        let mut chunk = buffers.take();
        chunk.grow(20);
        assert_eq!(chunk.size(), 20);
        drop(chunk);
        assert_eq!(buffers.spare(), 0);
    }

    #[test]
    fn the_pile_is_free_while_a_buffer_is_filled() {
        let buffers = Buffers::new(8);
        let both = buffers.fill(|_| buffers.fill(|_| Ok(2)).map(|inner| inner.len())).unwrap();
        assert_eq!((both.len(), buffers.spare()), (2, 1));
    }
}
