//! Tasks whose end is recorded in the books: each has one outcome, and its handle reports the same one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use roundel::task::TaskId;
use roundel::{JoinError, JoinHandle};

use crate::act::{self, Act};
use crate::meddle;
use crate::panics::is_expected;
use crate::world::{Alive, Wait, World};

/// More polls than any program needs if it ends.
const MOST_POLLS: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Returned,
    Panicked,
    Dropped,
}

/// What is known of a task.
pub(crate) struct Record {
    pub(crate) number: usize,
    pub(crate) ending: Cell<Option<Ending>>,
    /// It was cancelled through its handle.
    pub(crate) cancelled: Cell<bool>,
}

impl Record {
    pub(crate) fn new(world: &World) -> Rc<Record> {
        let number = world.records.borrow().len();
        let record = Rc::new(Record { number, ending: Cell::new(None), cancelled: Cell::new(false) });
        world.records.borrow_mut().push(record.clone());
        record
    }

    pub(crate) fn end(&self, world: &World, ending: Ending) {
        world.note(|| format!("task {} ends: {ending:?}", self.number));
        self.ending.set(Some(ending));
    }
}

/// What a task returns.
pub(crate) struct Output {
    number: usize,
    world: Rc<World>,
    _alive: Alive,
}

impl Drop for Output {
    fn drop(&mut self) {
        self.world.note(|| format!("the output of task {} is dropped", self.number));
        meddle::in_drop(&self.world);
    }
}

/// The future of a task.
pub(crate) struct Body {
    act: Act,
    record: Rc<Record>,
    world: Rc<World>,
    is_polled: bool,
    _alive: Alive,
}

impl Body {
    pub(crate) fn new(world: &Rc<World>, record: &Rc<Record>, depth: u32) -> Body {
        let act = act::some(world, depth);
        let _alive = Alive::new(world);
        Body { act, record: record.clone(), world: world.clone(), is_polled: false, _alive }
    }

    fn refuse(&self) {
        if self.is_polled || self.record.ending.get().is_some() {
            let (number, ending) = (self.record.number, self.record.ending.get());
            self.world.fault(format!("task {number} is polled, and it is {ending:?} or is being polled"));
        }
    }
}

impl Future for Body {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.refuse();
        let world = self.world.clone();
        world.polls.set(world.polls.get() + 1);
        if world.polls.get() == MOST_POLLS {
            world.fault("the program does not come to its end".to_owned());
        }
        self.is_polled = true;
        let result = catch_unwind(AssertUnwindSafe(|| self.act.as_mut().poll(cx)));
        self.is_polled = false;
        let ending = match result {
            Ok(Poll::Pending) if world.polls.get() < MOST_POLLS => return Poll::Pending,
            Ok(_) => Ending::Returned,
            Err(_) => Ending::Panicked,
        };
        self.record.end(&world, ending);
        match result {
            Ok(_) => Poll::Ready(Output { number: self.record.number, _alive: Alive::new(&world), world }),
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.record.ending.get().is_none() {
            self.record.end(&self.world, Ending::Dropped);
        }
        self.world.note(|| format!("the future of task {} is dropped", self.record.number));
        meddle::in_drop(&self.world);
    }
}

/// The handle of such a task.
pub(crate) struct Handle {
    pub(crate) record: Rc<Record>,
    pub(crate) handle: JoinHandle<Output>,
}

impl Handle {
    pub(crate) fn cancel(&self) {
        self.record.cancelled.set(true);
        self.handle.cancel();
    }
}

/// Spawns a task.
pub(crate) fn spawn(world: &Rc<World>, depth: u32) -> Handle {
    let record = Record::new(world);
    let body = Body::new(world, &record, depth);
    let handle =
        if world.dice.one_in(8) { roundel::spawn_named("named", body) } else { roundel::spawn(body) };
    world.note(|| format!("spawns task {} as {}", record.number, handle.id()));
    Handle { record, handle }
}

/// Spawns a task, and keeps or drops its handle.
pub(crate) fn spawn_and_keep(world: &Rc<World>, depth: u32) -> TaskId {
    let handle = spawn(world, depth);
    let id = handle.handle.id();
    if world.dice.one_in(3) {
        handle.handle.detach();
    } else {
        world.handles.borrow_mut().push(handle);
    }
    id
}

/// Awaits a handle.
pub(crate) async fn join(world: Rc<World>, mut handle: Handle) {
    let record = handle.record.clone();
    let _waits = world.wait(Wait::Join(record.number));
    let result = (&mut handle.handle).await;
    judge(&world, &record, result);
}

fn judge(world: &World, record: &Record, result: Result<Output, JoinError>) {
    let (number, ending) = (record.number, record.ending.get());
    let fits = match &result {
        Ok(output) => output.number == number && ending == Some(Ending::Returned),
        // Something that the task dropped may also have panicked.
        Err(error) if error.is_panic() => ending.is_some(),
        // The runtime may have been dropped together with the output of a task that had returned.
        Err(error) if error.to_string().contains("before its output was fetched") => {
            error.is_cancelled() && ending == Some(Ending::Returned)
        }
        Err(error) => error.is_cancelled() && ending == Some(Ending::Dropped),
    };
    if !fits {
        let said = result.as_ref().map(|output| output.number);
        world.fault(format!("task {number} has ended so: {ending:?}; its handle says {said:?}"));
    }
    if let Err(error) = result
        && error.is_panic()
        && !is_expected(&*error.into_panic())
    {
        world.fault(format!("task {number} has panicked with something that the program has not planned"));
    }
}
