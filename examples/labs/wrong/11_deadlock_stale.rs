//! Lab 11, wrong: it believes for ever what it was told about a holder.

use labs::deadlock::Detector;
use roundel::TaskId;
use roundel::probe::{Event, Resource};

/// The waits that go on.
#[derive(Default)]
pub struct Detective(Vec<Wait>);

struct Wait {
    task: TaskId,
    on: Resource,
    /// The task that has it, if that is known.
    holder: Option<TaskId>,
}

impl Detector for Detective {
    fn see(&mut self, event: Event) {
        match event {
            Event::WaitOn { task: Some(task), on, holder } => self.0.push(Wait { task, on, holder }),
            Event::WaitDone { task: Some(task), on } => {
                self.0.retain(|wait| (wait.task, wait.on) != (task, on));
            }
            _ => {}
        }
    }

    fn stuck(&self) -> Vec<TaskId> {
        let mut stuck: Vec<TaskId> = self.0.iter().map(|wait| wait.task).collect();
        stuck.sort();
        stuck.dedup();
        loop {
            let before = stuck.clone();
            stuck.retain(|task| self.waits_only_for(*task, &before));
            if stuck == before {
                return stuck;
            }
        }
    }
}

impl Detective {
    /// Whether all that a task waits for is held by these.
    fn waits_only_for(&self, task: TaskId, holders: &[TaskId]) -> bool {
        let mut own = self.0.iter().filter(|wait| wait.task == task);
        own.all(|wait| wait.holder.is_some_and(|holder| holders.contains(&holder)))
    }
}
