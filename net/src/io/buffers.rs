//! Buffers that are lent to a stream while it has bytes to put into them.
//!
//! Facts. Of ten thousand connections, only a handful have data at any moment. On one thread, a handler that
//! does not have to wait for its peer needs its buffer only within one poll. Ten thousand buffers of 16 KiB
//! would be 160 MB, nearly all of them unused. A message of 100 KiB costs seven reads with 16 KiB, and mostly
//! one with 128 KiB. But a thousand handlers that each hold 128 KiB for a slow reader would take 128 MiB.
//!
//! What follows. The connections of a loop share a pile of buffers. A stream takes one when there are bytes
//! to read, and the buffer comes back when its [`Chunk`] is dropped. So there are as many buffers as handlers
//! that hold bytes while they wait, plus a few spare ones. By default the buffers are large, but there are
//! only [`MOST_LARGE`] of them. While all of these are taken, a second pile lends small ones.
//!
//! Invariant. While bytes are read into a buffer, the pile is not borrowed (4). A buffer goes back to the pile
//! whose size it has.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;

use super::padded::Padded;

/// A pile of buffers, shared by all of its clones. See
/// [`ByteStream::read_chunk`](crate::ByteStream::read_chunk).
#[derive(Clone)]
pub struct Buffers {
    pile: Rc<Pile>,
}

struct Pile {
    size: usize,
    /// The buffer that was put back last. Nearly always one buffer is in use at a time, and this is it. `None` while it
    /// is in use.
    top: Cell<Option<Padded>>,
    spare: RefCell<Vec<Padded>>,
    /// How many more buffers may be made. A pile without a limit does not count them.
    left: Cell<usize>,
    /// The smaller buffers that are lent when no more may be made. `None` if there is no limit.
    small: Option<Box<Pile>>,
}

impl Pile {
    fn new(size: usize) -> Pile {
        Pile { size, top: Cell::default(), spare: RefCell::default(), left: Cell::new(0), small: None }
    }

    #[inline]
    fn take(&self) -> Padded {
        let top = self.top.take();
        top.unwrap_or_else(|| self.find())
    }

    /// A spare buffer, a new one, or a small one.
    #[cold]
    fn find(&self) -> Padded {
        if let Some(spare) = self.spare.borrow_mut().pop() {
            return spare;
        }
        match (&self.small, self.left.get()) {
            (Some(small), 0) => return small.take(),
            (Some(_), left) => self.left.set(left - 1),
            (None, _) => {}
        }
        Padded::new(self.size)
    }

    #[inline]
    fn put(&self, bytes: Padded) {
        if !bytes.has_size(self.size) {
            return self.put_small(bytes);
        }
        if let Some(other) = self.top.replace(Some(bytes)) {
            self.put_aside(other);
        }
    }

    #[cold]
    fn put_small(&self, bytes: Padded) {
        if let Some(small) = &self.small {
            small.put(bytes);
        }
    }

    #[cold]
    fn put_aside(&self, bytes: Padded) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }

    fn count(&self) -> usize {
        let top = self.top.take();
        let count = self.spare.borrow().len() + usize::from(top.is_some());
        self.top.set(top);
        count + self.small.as_ref().map_or(0, |small| small.count())
    }
}

/// The size of a large buffer. 256 KiB would save no more processor time.
const LARGE: usize = 128 << 10;
/// How many large buffers a pile has at most. They take 2 MiB, and are not freed before the pile is.
const MOST_LARGE: usize = 16;
/// The size of a small buffer. The messages of most protocols fit. A thousand of them, held for slow readers, take 16 MiB.
pub(super) const SMALL: usize = 16 << 10;
/// How many spare buffers of one size are kept, enough for a burst; others are freed. It is at least [`MOST_LARGE`], because a
/// large buffer that is freed would not be made again.
const SPARE: usize = 32;
const _: () = assert!(SPARE >= MOST_LARGE);

impl Buffers {
    /// A pile of buffers of `size` bytes. It is empty: a buffer is made when one is needed.
    ///
    /// # Panics
    ///
    /// If `size` is zero.
    #[must_use]
    #[track_caller]
    pub fn new(size: usize) -> Buffers {
        assert!(size > 0, "`Buffers::new` was given a size of zero: such a buffer has no room for bytes");
        Buffers { pile: Rc::new(Pile::new(size)) }
    }

    /// How many bytes fit into one buffer. A small buffer of the [default](Buffers::default) pile has fewer.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pile.size
    }

    /// How many buffers are in the pile.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.pile.count()
    }

    /// Takes a buffer and lets `read` put bytes into it. If that fails, the buffer goes back.
    #[inline]
    pub(crate) fn fill(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Chunk<'_>> {
        let mut bytes = self.take();
        match read(&mut bytes) {
            Ok(filled) => Ok(Chunk { bytes, filled, pile: &self.pile }),
            Err(error) => {
                self.pile.put(bytes);
                Err(error)
            }
        }
    }

    #[inline]
    pub(super) fn take(&self) -> Padded {
        self.pile.take()
    }

    /// Puts back a buffer that was taken.
    #[inline]
    pub(super) fn put(&self, bytes: Padded) {
        self.pile.put(bytes);
    }
}

/// The first 16 buffers have 128 KiB each. While all of them are in use, others have 16 KiB.
impl Default for Buffers {
    fn default() -> Buffers {
        let (left, small) = (Cell::new(MOST_LARGE), Some(Box::new(Pile::new(SMALL))));
        Buffers { pile: Rc::new(Pile { left, small, ..Pile::new(LARGE) }) }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("size", &self.size()).field("spare", &self.spare()).finish()
    }
}

/// Bytes that were read, in a buffer that goes back to its pile when this is dropped.
pub struct Chunk<'a> {
    /// Empty only within `drop`, which puts it back.
    bytes: Padded,
    filled: usize,
    pile: &'a Pile,
}

impl Deref for Chunk<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.first(self.filled)
    }
}

impl Drop for Chunk<'_> {
    #[inline]
    fn drop(&mut self) {
        self.pile.put(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffers: &Buffers) -> Chunk<'_> {
        buffers.fill(|room| Ok(room.len().min(3))).unwrap()
    }

    #[test]
    fn none_exists_before_it_is_needed_and_each_comes_back() {
        let buffers = Buffers::default();
        assert_eq!((buffers.spare(), buffers.size()), (0, 128 << 10));
        let chunk = read(&buffers);
        assert_eq!((&*chunk, buffers.spare()), (&[0, 0, 0][..], 0));
        let address = chunk.as_ptr();
        drop(chunk);
        assert_eq!(read(&buffers.clone()).as_ptr(), address, "the same one, also for a clone");
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
        for count in [3, 1000, 1000] {
            let taken: Vec<Chunk<'_>> = (0..count).map(|_| read(&buffers)).collect();
            assert_eq!(buffers.spare(), 0, "all of them are in use");
            drop(taken);
            // The buffer on top comes in addition to the spare ones.
            assert_eq!(buffers.spare(), count.min(SPARE + 1));
        }
    }

    #[test]
    fn small_buffers_follow_when_the_large_ones_are_in_use() {
        let buffers = Buffers::default();
        for round in 0..3 {
            let taken: Vec<Chunk<'_>> =
                (0..100).map(|_| buffers.fill(|room| Ok(room.len())).unwrap()).collect();
            let expected = [[LARGE; MOST_LARGE].as_slice(), &[SMALL; 100 - MOST_LARGE]].concat();
            let sizes: Vec<usize> = taken.iter().map(|chunk| chunk.len()).collect();
            assert_eq!(sizes, expected, "in round {round}");
            drop(taken);
            assert_eq!(buffers.spare(), MOST_LARGE + SPARE + 1, "all large ones, and a few small ones");
        }
    }

    #[test]
    fn the_pile_is_free_while_a_buffer_is_filled() {
        let buffers = Buffers::new(8);
        let both = buffers.fill(|_| buffers.fill(|_| Ok(2)).map(|inner| inner.len())).unwrap();
        assert_eq!((both.len(), buffers.spare()), (2, 1));
    }
}
