//! What `chaos` does to a connection, decided before its first byte.
//!
//! Facts. A fault that cannot be repeated cannot be investigated. The kernels decide how the bytes are split on their
//! way and when they arrive, and that differs from run to run. The bytes themselves do not differ.
//!
//! What follows. All decisions come from a seed, the number of the connection and the direction. They refer to places
//! in the stream: "after byte 1,234". At most one fault ends a connection; with two, chance would decide which comes
//! first.
//!
//! Contract. The same seed does the same to the same connection, if the same bytes are sent on it. Up to the fault, the
//! bytes are passed on as they were sent: none is changed, doubled or moved.
//!
//! What it does not know: sockets, time.

use std::time::Duration;

/// How bad the network is. A rate is a number from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The start of all random decisions.
    pub seed: u64,
    /// The largest piece, in bytes. The smallest has one byte.
    pub piece: u64,
    /// The share of pieces that wait before they are passed on.
    pub delays: f64,
    /// The longest such wait.
    pub longest_delay: Duration,
    /// The share of connections that lose the end of the stream in one direction.
    pub truncate: f64,
    /// The share of connections that are reset.
    pub reset: f64,
    /// A fault comes before this byte.
    pub within: u64,
}

/// The direction in which bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What to do next with the bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this many of them, at once.
    Pass(usize),
    /// Wait.
    Wait(Duration),
    /// Send the end of the stream, and discard the rest.
    Truncate,
    /// End the connection with a reset, in both directions.
    Reset,
}

/// The decisions about one direction of one connection.
#[derive(Debug)]
pub struct Plan {
    faults: Faults,
    random: Random,
    /// How many bytes have been passed on.
    passed: u64,
    /// How many bytes of this piece are left.
    piece: u64,
    /// The last step, and the number of bytes after which it comes.
    end: Option<(u64, Step)>,
}

impl Faults {
    /// The plan for one direction of the connection with this number.
    #[must_use]
    pub fn plan(&self, connection: u64, way: Way) -> Plan {
        let mut of_connection = Random::new(self.seed, connection);
        let fate = of_connection.rate();
        let at = of_connection.below(self.within);
        let side = if of_connection.below(2) == 0 { Way::ToServer } else { Way::ToClient };
        let end = match fate {
            _ if side != way => None,
            fate if fate < self.reset => Some((at, Step::Reset)),
            fate if fate < self.reset + self.truncate => Some((at, Step::Truncate)),
            _ => None,
        };
        let random = Random::new(of_connection.next(), way as u64);
        Plan { faults: *self, random, passed: 0, piece: 0, end }
    }
}

impl Plan {
    /// What to do when `available` bytes are waiting to be passed on.
    ///
    /// # Panics
    ///
    /// If `available` is zero: without a byte, there is nothing to decide.
    #[track_caller]
    pub fn next(&mut self, available: usize) -> Step {
        assert!(available > 0, "`Plan::next` was called without any bytes to decide about");
        let left = match self.end {
            Some((at, step)) if at == self.passed => return step,
            Some((at, _)) => at - self.passed,
            None => u64::MAX,
        };
        if self.piece == 0 {
            self.piece = 1 + self.random.below(self.faults.piece);
            let (is_late, part) = (self.random.rate() < self.faults.delays, self.random.rate());
            if is_late {
                return Step::Wait(self.faults.longest_delay.mul_f64(part));
            }
        }
        let count = left.min(self.piece).min(available as u64);
        self.piece -= count;
        self.passed += count;
        Step::Pass(count as usize)
    }

    /// How many bytes have been passed on.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed
    }
}

/// Pseudo-random numbers, the same ones for the same seed (SplitMix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed);
        Random(random.next() ^ Random(stream).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below 1.
    fn rate(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to just below `end`.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}
