//! What is run, group by group.
//!
//! Facts. A round that is too short measures the clock; one that is too long measures the mood of the machine. How much
//! work is right differs by a factor of a thousand between the workloads, not so much between the contenders.
//!
//! What follows. Each group says for each row how much work a round is; a quick run does a part of it, and fewer rounds. A
//! control row that does nothing shows what the harness itself costs.

use crate::faceoff::job::Job;

pub mod ablations;
pub mod counts;
pub mod fairness;
pub mod network;
pub mod programs;

/// How much is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything in less than a minute, less exactly.
    pub quick: bool,
    /// Rounds that are counted, where time is measured.
    pub rounds: usize,
    /// The part of each round's work that is done.
    pub share: u64,
    /// Only roundel: for the guard over what it may cost.
    pub alone: bool,
}

impl Plan {
    pub fn new(quick: bool) -> Plan {
        let (rounds, share) = if quick { (5, 8) } else { (15, 1) };
        Plan { quick, rounds, share, alone: false }
    }
}

/// A group: what it is called, what is in it, and its jobs. The last argument hears what is left out, and why.
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub jobs: fn(&Plan, &mut Vec<String>) -> Vec<Job>,
}

/// All, in the order in which they are run.
pub const GROUPS: &[Group] = &[
    Group { name: "control", about: "what the harness costs by itself", jobs: programs::control },
    Group { name: "scheduler", about: "spawning, waking, yielding", jobs: programs::scheduler },
    Group {
        name: "channels",
        about: "channels, locks, groups: those that bring them",
        jobs: programs::channels,
    },
    Group { name: "timers", about: "sleeps and timeouts", jobs: programs::timers },
    Group { name: "threads", about: "wakes from other threads, and jobs for them", jobs: programs::threads },
    Group {
        name: "network",
        about: "echo, hello, accept storm: servers on a core of their own",
        jobs: network::network,
    },
    Group { name: "fairness", about: "echoes and sleeps beside hot tasks", jobs: fairness::fairness },
    Group { name: "counts", about: "what does not depend on the machine's mood", jobs: counts::counts },
    Group {
        name: "ablations",
        about: "what does this line buy? ours without one mechanism",
        jobs: ablations::ablations,
    },
];
