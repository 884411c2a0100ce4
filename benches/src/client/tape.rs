//! The same bytes over and over, of which any piece can be cut.
//!
//! Facts. A client that builds what it sends, or looks at each byte that arrives, measures itself. Streams have no
//! messages: a piece may begin and end anywhere.
//!
//! What follows. The bytes are repeated as often as a piece needs, so a piece at any place is a slice: it is sent as it
//! is, and what arrives is compared with it in one go.

/// The most that is written or read at once.
pub(super) const PIECE: usize = 128 << 10;
/// A line of the processor's cache.
const LINE: usize = 64;

/// Room for what is read, and for [`at_a_line`] to choose where it begins.
pub(super) fn room() -> Vec<u8> {
    vec![0; PIECE + LINE]
}

/// A piece of this room that begins with a line. Some processors copy to places right after the start of a page, where the
/// allocator puts large rooms, at a sixth of their speed.
pub(super) fn at_a_line(room: &mut [u8]) -> &mut [u8] {
    let start = room.as_ptr().addr().wrapping_neg() % LINE;
    &mut room[start..start + PIECE]
}

#[derive(Debug)]
pub(super) struct Tape {
    bytes: Vec<u8>,
    period: usize,
}

impl Tape {
    pub(super) fn new(message: &[u8]) -> Tape {
        let times = 1 + PIECE.div_ceil(message.len());
        Tape { bytes: message.repeat(times), period: message.len() }
    }

    /// A message of this length, whose bytes differ from their neighbours, and from those of the next message.
    pub(super) fn of_length(length: usize) -> Tape {
        let message: Vec<u8> = (0..length).map(|i| (i * 31 + (i >> 8) * 7 + 1) as u8).collect();
        Tape::new(&message)
    }

    /// The length of one message.
    pub(super) fn period(&self) -> u64 {
        self.period as u64
    }

    /// The bytes at this place, no more than `most` and than a piece.
    pub(super) fn piece(&self, at: u64, longest: u64) -> &[u8] {
        let start = (at % self.period()) as usize;
        let length = longest.min(PIECE as u64) as usize;
        &self.bytes[start..start + length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_goes_on_where_the_last_one_ended() {
        let tape = Tape::new(b"abc");
        assert_eq!(tape.piece(0, 4), b"abca");
        assert_eq!(tape.piece(4, 4), b"bcab");
        assert_eq!(tape.piece(5, u64::MAX).len(), PIECE);
    }

    #[test]
    fn a_byte_that_is_out_of_place_is_another_one() {
        let tape = Tape::of_length(100 << 10);
        assert_ne!(tape.piece(0, 1000), tape.piece(256, 1000));
    }
}
