//! Nobody goes on before all are there.
//!
//! Contract. Of every `n` tasks that wait, the first `n - 1` wait for the last, which is the leader; then the barrier
//! is ready for the next `n`. A task that is dropped while it waits has not been there: another has to come in its
//! place, and nobody else is disturbed.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait` | yes, in the sense above; once the last has come, all have been there, also those who are dropped then |

use crate::waiting::WaitQueue;

/// A place where tasks wait for one another.
///
/// ```
/// roundel::run(async {
///     let barrier = roundel::sync::Barrier::new(3);
///     let results = roundel::group::gather((0..3).map(|_| barrier.wait())).await;
///     let leaders: Vec<bool> = results.iter().map(|result| result.is_leader()).collect();
///     assert_eq!(leaders, [false, false, true]);
/// });
/// ```
#[derive(Debug)]
pub struct Barrier {
    parties: usize,
    queue: WaitQueue<(), BarrierWait>,
}

impl Barrier {
    /// A barrier for `parties` tasks. One for none is one for a single task: it lets everybody pass.
    pub const fn new(parties: usize) -> Barrier {
        Barrier { parties, queue: WaitQueue::new("barrier") }
    }

    /// Waits for the others.
    pub async fn wait(&self) -> BarrierWait {
        self.queue.wait((), || self.are_all_here().then_some(BarrierWait { leader: true }), |_| {}).await
    }

    /// Called by one that is not in line yet. If it was the last, the others may go.
    fn are_all_here(&self) -> bool {
        let all = self.queue.len() + 1 >= self.parties;
        if all {
            self.queue.call_all(BarrierWait { leader: false });
        }
        all
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many it takes.
    pub fn parties(&self) -> usize {
        self.parties
    }
}

/// What [`Barrier::wait`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    leader: bool,
}

impl BarrierWait {
    /// True for the one that came last, in each round.
    pub fn is_leader(self) -> bool {
        self.leader
    }
}
