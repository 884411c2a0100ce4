//! What is run, group by group.
//!
//! Facts. A round that is too short measures the clock; one that is too long measures the mood of the machine. How much
//! work is right differs by a factor of a thousand between the workloads, not so much between the contenders.
//!
//! What follows. Each group says for each row how much work a round is; a quick run does a part of it, and fewer rounds. A
//! control row that does nothing shows what the harness itself costs.

use crate::faceoff::job::Job;
use crate::faceoff::plan::Plan;

pub mod counted;
pub mod fairness;
pub mod hello;
pub mod mechanisms;
pub mod network;
pub mod timed;

/// A group: what it is called, what is in it, and its jobs. The last argument hears what is left out, and why.
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub jobs: fn(&Plan, &mut Vec<String>) -> Vec<Job>,
}

/// All, in the order in which they are run.
pub const GROUPS: &[Group] = &[
    Group { name: "control", about: "what the harness costs by itself", jobs: timed::control },
    Group { name: "scheduler", about: "spawning, waking, yielding", jobs: timed::scheduler },
    Group {
        name: "channels",
        about: "channels, locks, groups: those that bring them",
        jobs: timed::channels,
    },
    Group { name: "timers", about: "sleeps and timeouts", jobs: timed::timers },
    Group { name: "threads", about: "wakes from other threads, and jobs for them", jobs: timed::threads },
    Group {
        name: "network",
        about: "echo, hello, accept storm: servers on a core of their own",
        jobs: network::network,
    },
    Group { name: "fairness", about: "echoes and sleeps beside hot tasks", jobs: fairness::fairness },
    Group { name: "counts", about: "what does not depend on the machine's mood", jobs: counted::counts },
    Group {
        name: "ablations",
        about: "what does this line buy? ours without one mechanism",
        jobs: mechanisms::ablations,
    },
];
