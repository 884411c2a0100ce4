//! Lab 11: an answer.

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
                self.moved_on(on);
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

    /// A line has moved, so its holder may be another one now.
    fn moved_on(&mut self, on: Resource) {
        if let Resource::Line { .. } = on {
            let others = self.0.iter_mut().filter(|wait| wait.on == on);
            others.for_each(|wait| wait.holder = None);
        }
    }
}
