//! Bytes that begin at an address that is a multiple of 64.
//!
//! Facts. The kernel copies what has arrived into a buffer by one instruction (`rep movsb`). What arrives mostly begins at
//! the start of a page, and the allocator puts a large buffer 16 bytes after the start of one. Some processors of AMD need six
//! times as long for a copy from the start of a page to a place 1 to 31 bytes after the start of another one: 40 µs for
//! 60,000 bytes, and 6.5 µs to any other place.
//!
//! What follows. There are 63 bytes more than were asked for, and those that are used begin at the first multiple of 64. So no
//! buffer of ours depends on where the allocator puts it.
//!
//! What it does not know: what the bytes are for.

use std::ops::{Deref, DerefMut};

/// A line of the processor's cache.
const LINE: usize = 64;

#[derive(Default)]
pub(super) struct Aligned {
    /// One byte less than a line more than what is used. It is empty only when this was taken out.
    all: Box<[u8]>,
}

impl Aligned {
    /// This many zeros.
    pub(super) fn new(size: usize) -> Aligned {
        Aligned { all: vec![0; size + LINE - 1].into() }
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        self.all.len().saturating_sub(LINE - 1)
    }

    /// How many bytes come before those that are used.
    #[inline]
    fn start(&self) -> usize {
        (self.all.as_ptr().addr().wrapping_neg() % LINE).min(self.all.len())
    }
}

impl Deref for Aligned {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.all[self.start()..][..self.size()]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, size) = (self.start(), self.size());
        &mut self.all[start..][..size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_begin_at_a_multiple_of_64_wherever_the_allocator_puts_them() {
        let sizes = (1..300).chain([16 << 10, 128 << 10]);
        let kept: Vec<Aligned> = sizes.map(Aligned::new).collect();
        for aligned in &kept {
            assert_eq!(aligned.as_ptr().addr() % 64, 0, "with {} bytes", aligned.size());
            assert_eq!((aligned.len(), aligned.iter().max()), (aligned.size(), Some(&0)));
        }
    }

    #[test]
    fn what_was_taken_out_leaves_none() {
        let mut aligned = Aligned::new(3);
        aligned.copy_from_slice(b"abc");
        assert_eq!(&*std::mem::take(&mut aligned), b"abc");
        assert_eq!((&*aligned, aligned.size()), (&b""[..], 0));
    }
}
