//! What is run, group by group.
//!
//! Facts. A round that is too short measures the clock; one that is too long measures the mood of the machine. The
//! right amount of work differs by a factor of a thousand between the workloads, but much less between the contenders.
//!
//! What follows. Each group says for each row how much work a round is; a quick run does a part of it, and fewer
//! rounds. A control row that does nothing shows what the harness itself costs.

use crate::faceoff::job::Job;
use crate::faceoff::plan::Plan;

pub mod counted;
pub mod fairness;
pub mod hello;
pub mod mechanisms;
pub mod network;
pub mod timed;

/// A group: its name, a description, and its jobs. The last argument collects what is left out, and why.
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub jobs: fn(&Plan, &mut Vec<String>) -> Vec<Job>,
}

/// All groups, in the order in which they run.
pub const GROUPS: &[Group] = &[
    Group { name: "control", about: "what the harness costs by itself", jobs: timed::control },
    Group { name: "scheduler", about: "spawning, waking, yielding", jobs: timed::scheduler },
    Group {
        name: "channels",
        about: "channels, locks, groups: the contenders that have them",
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
        about: "what does this line buy? roundel with one mechanism less",
        jobs: mechanisms::ablations,
    },
];
