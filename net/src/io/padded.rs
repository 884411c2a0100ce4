//! Bytes that do not begin right after the start of a page.
//!
//! Facts. The kernel copies what has arrived into a buffer by one instruction (`rep movsb`). What arrives mostly begins at
//! the start of a page. Some processors need six times as long for a copy from there to a place 1 to 31 bytes after the
//! start of another page: 40 µs for 60,000 bytes, and 6.5 µs to any other place. glibc gives a large block pages of its own,
//! and puts it 16 bytes after their start. Other allocators put it at their start.
//!
//! What follows. The bytes that are used come after 48 that are not. So those of a large block begin 64 or 48 bytes after the
//! start of a page. (A small block may begin anywhere, and one in 256 has bad luck.) A head of one length costs less than
//! one that depends on the address, because the bytes are looked at several times for each message.
//!
//! What it does not know: what the bytes are for.

use std::ops::{Deref, DerefMut};

/// How many bytes come before those that are used.
const HEAD: usize = 48;

#[derive(Default)]
pub(super) struct Padded {
    /// The head, and what is used. It is empty only when this was taken out, and then nothing is used.
    all: Box<[u8]>,
}

impl Padded {
    /// This many zeros.
    pub(super) fn new(size: usize) -> Padded {
        Padded { all: vec![0; HEAD + size].into() }
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        self.all.len().saturating_sub(HEAD)
    }

    #[inline]
    pub(super) fn has_size(&self, size: usize) -> bool {
        self.all.len() == HEAD + size
    }

    /// The first of them.
    #[inline]
    pub(super) fn first(&self, count: usize) -> &[u8] {
        &self.all[HEAD..HEAD + count]
    }
}

impl Deref for Padded {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.all[HEAD..]
    }
}

impl DerefMut for Padded {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.all[HEAD..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_ones_do_not_begin_right_after_the_start_of_a_page() {
        for size in [128 << 10, 256 << 10, 1 << 20] {
            let padded = Padded::new(size);
            let after = padded.as_ptr().addr() % 4096;
            assert!(!(1..32).contains(&after), "{after} bytes after the start of a page");
            assert_eq!((padded.len(), padded.size(), padded.iter().max()), (size, size, Some(&0)));
        }
    }

    #[test]
    fn what_was_taken_out_leaves_none() {
        let mut padded = Padded::new(3);
        padded.copy_from_slice(b"abc");
        let taken = std::mem::take(&mut padded);
        assert_eq!((&*taken, taken.first(2), taken.has_size(3)), (&b"abc"[..], &b"ab"[..], true));
        assert_eq!((padded.size(), padded.has_size(0)), (0, false));
    }
}
