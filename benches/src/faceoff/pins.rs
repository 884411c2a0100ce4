//! A core for the server and another one for the client.
//!
//! Facts. Without pinning, the scheduler may put two processes that wake each other on one core, or on two, and may
//! change that at any time: the difference is a factor of two. Two hardware threads of one core are not two cores.
//!
//! What follows. The server has the last of the cores that this process may use; the client has one that is not its
//! twin, if there is one. If there is only one, or if the system refuses, nothing is pinned.
//!
//! Contract. [`Pinned`] holds a thread on its core as long as it lives; processes that the thread starts meanwhile
//! inherit it. [`were_used`] is true if a client has been pinned to one core beside a server that was pinned to
//! another.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static USED: AtomicBool = AtomicBool::new(false);

/// Whether server and client had a core each in any run so far.
pub fn were_used() -> bool {
    USED.load(Relaxed)
}

/// The cores for a server and for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    pub server: usize,
    pub client: usize,
}

/// The choice among the allowed cores, given the twins of the last one.
fn chosen(allowed: &[usize], twins: impl Fn(usize) -> Vec<usize>) -> Option<Cores> {
    let (&server, others) = allowed.split_last()?;
    let twins = twins(server);
    let apart = others.iter().find(|core| !twins.contains(core));
    Some(Cores { server, client: *apart.or(others.first())? })
}

/// "0-1,4", as the kernel writes it.
fn listed(text: &str) -> Vec<usize> {
    let ends = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(ends).flatten().collect()
}

fn twins(core: usize) -> Vec<usize> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    listed(&std::fs::read_to_string(file).unwrap_or_default())
}

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use nowhere::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::OnceLock;

    use super::{Cores, Relaxed, USED, chosen, twins};
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// The cores of this process when this was first called.
    pub fn cores() -> Option<Cores> {
        static CORES: OnceLock<Option<Cores>> = OnceLock::new();
        *CORES.get_or_init(|| {
            let allowed = sched_getaffinity(None).ok()?;
            let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
            chosen(&allowed, twins)
        })
    }

    fn only(core: usize) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(core);
        set
    }

    /// For ever: for a process that is a server. If the system refuses, the server runs unpinned.
    pub fn pin_server() {
        let _ = cores().map(|cores| sched_setaffinity(None, &only(cores.server)));
    }

    /// A thread on the client's core.
    pub struct Pinned {
        before: Option<CpuSet>,
    }

    impl Pinned {
        /// Pins this thread beside the server with this process id, unless the server is not pinned.
        pub fn beside(server: u32) -> Pinned {
            Pinned { before: pin(server) }
        }
    }

    fn pin(server: u32) -> Option<CpuSet> {
        let cores = cores()?;
        let theirs = sched_getaffinity(Pid::from_raw(server as i32)).ok()?;
        let before = sched_getaffinity(None).ok()?;
        if theirs.count() != 1 || !theirs.is_set(cores.server) {
            return None;
        }
        sched_setaffinity(None, &only(cores.client)).ok()?;
        USED.store(true, Relaxed);
        Some(before)
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            let _ = self.before.map(|before| sched_setaffinity(None, &before));
        }
    }
}

/// Other systems do not let a thread choose its core.
#[cfg(not(target_os = "linux"))]
mod nowhere {
    use super::Cores;

    pub fn cores() -> Option<Cores> {
        None
    }

    pub fn pin_server() {}

    pub struct Pinned;

    impl Pinned {
        pub fn beside(_: u32) -> Pinned {
            Pinned
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_keeps_away_from_the_servers_twin() {
        let two_by_two = |core| vec![core & !1, core | 1];
        assert_eq!(chosen(&[0, 1, 2, 3], two_by_two), Some(Cores { server: 3, client: 0 }));
        assert_eq!(chosen(&[2, 3], two_by_two), Some(Cores { server: 3, client: 2 }));
        let halves = |core| vec![core % 2, core % 2 + 2];
        assert_eq!(chosen(&[1, 2, 3], halves), Some(Cores { server: 3, client: 2 }));
    }

    #[test]
    fn one_core_pins_nothing() {
        assert_eq!(chosen(&[5], |core| vec![core]), None);
        assert_eq!(chosen(&[], |_| Vec::new()), None);
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(listed("0-2,5\n"), [0, 1, 2, 5]);
        assert!(listed("").is_empty());
    }
}
