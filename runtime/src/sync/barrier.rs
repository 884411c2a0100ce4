//! A point that no task passes before all have reached it.
//!
//! Contract. Of every `n` tasks that wait, the first `n - 1` wait for the last, which is the leader. Then the barrier
//! is ready for the next `n`. A task that is dropped while it waits does not count: another has to come in its place.
//! The other waiting tasks do not notice.
//!
//! | method | cancel safe |
//! |---|---|
//! | `wait` | yes, in the sense above; once the last task has come, all count, even if they are dropped then |

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
    /// A barrier for `parties` tasks. With 0 or 1 parties, every task passes at once.
    #[track_caller]
    pub const fn new(parties: usize) -> Barrier {
        Barrier { parties, queue: WaitQueue::new(&"barrier") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> Barrier {
        self.queue.resource.set_name(name);
        self
    }

    /// Waits for the other tasks.
    pub async fn wait(&self) -> BarrierWait {
        self.queue.wait((), || self.are_all_here().then_some(BarrierWait { leader: true }), |_| {}).await
    }

    /// Called for a task that is not in line yet. If it is the last one, the others are called.
    fn are_all_here(&self) -> bool {
        let all = self.queue.len() + 1 >= self.parties;
        if all {
            self.queue.call_all(BarrierWait { leader: false });
        }
        all
    }

    /// How many tasks wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many tasks the barrier waits for.
    pub fn parties(&self) -> usize {
        self.parties
    }
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    leader: bool,
}

impl BarrierWait {
    /// True for the task that came last in its round.
    pub fn is_leader(self) -> bool {
        self.leader
    }
}
