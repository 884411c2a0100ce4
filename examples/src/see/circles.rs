//! Circles of tasks that wait for each other.
//!
//! Facts. When a wait begins, the trace says which task has the thing, or has to bring it about. When a mutex is given back, it
//! goes to a task that waits for it, and the trace does not say to which. A task that waits for two things may go on by either.
//!
//! What follows. When a wait begins, it is followed from holder to holder, through tasks that have one wait. If that leads
//! back, the tasks are a circle, until the first of these waits ends. When the task that has a mutex wakes one that waits for
//! it, this may be because it gives the mutex back. Then that is the new holder when its wait ends, and until then none is
//! known. After any other end of a wait, none is known until the next wait tells.
//!
//! Contract. A circle of permits is none, because another task may give one back.

use std::collections::HashMap;

use roundel::record::{ResourceKind, State, Trace, Waiter, What};

/// Tasks that wait for each other: each for the next one, and the last one for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// The tasks.
    pub tasks: Vec<u32>,
    /// The index of the event that has closed it.
    pub begin: usize,
    /// The index of the event that has opened it, if there is one.
    pub end: Option<usize>,
}

/// The circles in the order in which they were closed.
#[must_use]
pub fn circles(trace: &Trace) -> Vec<Circle> {
    let mut search = Search { trace, waits: HashMap::new(), holders: HashMap::new(), heirs: HashMap::new() };
    let mut circles = Vec::new();
    for Waiter { task, on, holder, .. } in State::new(trace).waiters() {
        circles.extend(search.wait(0, task, on, holder));
    }
    for (index, event) in trace.events().iter().enumerate() {
        match event.what {
            What::Wait { task, on, holder } => circles.extend(search.wait(index, task, on, holder)),
            What::Waited { task: Some(task), on } => {
                search.waited(task, on);
                let is_open = |circle: &&mut Circle| circle.end.is_none() && circle.tasks.contains(&task);
                circles.iter_mut().filter(is_open).for_each(|circle| circle.end = Some(index));
            }
            What::Wake { task, by: Some(by), .. } => search.woken(task, by),
            _ => {}
        }
    }
    circles
}

struct Search<'a> {
    trace: &'a Trace,
    /// What each task waits for.
    waits: HashMap<u32, Vec<u32>>,
    /// The task that has a mutex, as far as that is known.
    holders: HashMap<u32, Option<u32>>,
    /// The task that was woken by the holder of a mutex for which it waits.
    heirs: HashMap<u32, u32>,
}

impl Search<'_> {
    /// A wait begins. The circle that it closes, if it does.
    fn wait(&mut self, begin: usize, task: Option<u32>, on: u32, holder: Option<u32>) -> Option<Circle> {
        self.holders.insert(on, holder);
        self.waits.entry(task?).or_default().push(on);
        self.circle(task?).map(|tasks| Circle { tasks, begin, end: None })
    }

    fn woken(&mut self, task: u32, by: u32) {
        for on in self.waits.get(&task).into_iter().flatten() {
            if self.holders.get(on) == Some(&Some(by)) {
                self.holders.insert(*on, None);
                self.heirs.insert(*on, task);
            }
        }
    }

    fn waited(&mut self, task: u32, on: u32) {
        let heir = self.heirs.remove(&on);
        self.holders.insert(on, heir.filter(|heir| *heir == task));
        if let Some(waits) = self.waits.get_mut(&task)
            && let Some(index) = waits.iter().position(|wait| *wait == on)
        {
            waits.remove(index);
        }
    }

    /// The task that has to bring it about, if no other task can.
    fn holder(&self, on: u32) -> Option<u32> {
        let resource = self.trace.resources().get(on as usize)?;
        match resource.kind {
            ResourceKind::Task => resource.task,
            _ if self.trace.text(resource.what) == Some("mutex") => *self.holders.get(&on)?,
            _ => None,
        }
    }

    /// The tasks from this one on, if the way leads back to it.
    fn circle(&self, first: u32) -> Option<Vec<u32>> {
        let mut way = vec![first];
        loop {
            let [on] = self.waits.get(way.last()?)?[..] else { return None };
            match self.holder(on)? {
                next if next == first => return Some(way),
                next if way.contains(&next) => return None,
                next => way.push(next),
            }
        }
    }
}
