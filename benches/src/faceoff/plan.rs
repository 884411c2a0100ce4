//! How much of everything a run does: all of it, or a part in less than a minute.
//!
//! Facts. A round that is too short measures the clock. A run that takes a quarter of an hour is not started often.
//!
//! What follows. A group scales its work and its rounds by the plan, and says what it leaves out.

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything in less than a minute, less exactly.
    pub quick: bool,
    /// Rounds that count, where time is measured.
    pub rounds: usize,
    /// Each round does the work divided by this.
    pub share: u64,
    /// Only roundel: the check of the budgets needs no other.
    pub alone: bool,
}

impl Plan {
    pub fn new(quick: bool) -> Plan {
        let (rounds, share) = if quick { (5, 8) } else { (15, 1) };
        Plan { quick, rounds, share, alone: false }
    }
}
