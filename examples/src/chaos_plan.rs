//! What `chaos` does to a connection, decided before its first byte.
//!
//! Facts. A fault that cannot be repeated cannot be looked into. How bytes are cut on their way, and when they come, is up
//! to the kernels and differs from run to run; which byte is which does not.
//!
//! What follows. All decisions are drawn from a seed, the number of the connection and the direction, and are about places
//! in the stream: "after byte 1,234". At most one fault ends a connection; with two, it would be a matter of luck which
//! comes first.
//!
//! Contract. The same seed does the same to the same connection, as long as the same bytes are sent on it. What is passed on
//! before the fault is what was sent: nothing is changed, doubled, or displaced.
//!
//! What it does not know: sockets, time.

use std::time::Duration;

/// How bad it is to be. A rate is a number from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// What everything is drawn from.
    pub seed: u64,
    /// Pieces are of 1 to so many bytes.
    pub piece: u64,
    /// How many of the pieces wait before they go on.
    pub delays: f64,
    /// For how long at most.
    pub longest_delay: Duration,
    /// How many of the connections lose the end of what is sent in one direction.
    pub truncate: f64,
    /// How many of the connections are reset.
    pub reset: f64,
    /// Before which byte, at the latest, a fault comes.
    pub within: u64,
}

/// In which direction bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What to do next with the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send so many of them, at once.
    Pass(usize),
    /// Wait.
    Wait(Duration),
    /// Send the end, and throw away the rest.
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
    /// How many are left of this piece.
    piece: u64,
    /// The last step, and after how many bytes it comes.
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
    /// What to do when `available` bytes wait to be passed on.
    ///
    /// # Panics
    ///
    /// If there are none: without a byte, nothing is decided.
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

/// Numbers without an order, the same ones for the same seed (SplitMix64).
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
