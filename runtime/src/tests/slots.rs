//! `Slots` against a list of the tasks that live and were woken.
//!
//! The model knows which tasks live, which lane each waits in, and which number each slot's next tenant has to get.
//! Wakes are tried with every number that was ever given out: of tasks that are queued, of tasks that are over, and of
//! tasks whose slot has a new tenant. They are also tried with numbers that were never given out.
//!
//! The order is first in, first out, and the lanes take turns. With a seed the order is the seed's, and then `pop` may
//! return any task in the model's queue. A slot gets its next tenant when it is vacant and out of the queue; with a
//! seed the model cannot know when that is.
//!
//! Serials end after 2²⁰ - 1 tenants of a slot and start again; the programs run across that point as well.

use std::collections::{BTreeSet, HashMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};

use super::{Word, property};
use crate::core::id::{MAX_SERIAL, MAX_SLOTS, TaskId};
use crate::core::slots::{Mark, Slot, Slots};

const RUNTIME: u16 = 3;

/// A slot that remembers its last tenant.
#[derive(Debug, Default)]
struct Room {
    mark: Mark,
    tenant: Option<TaskId>,
}

impl Slot for Room {
    fn mark(&mut self) -> &mut Mark {
        &mut self.mark
    }
}

fn pop(slots: &mut Slots<Room>) -> Option<TaskId> {
    slots.pop::<false, _>(|_| ()).map(|(id, ())| id)
}

fn vacate(slots: &mut Slots<Room>, id: TaskId) {
    assert_eq!(slots.vacate_if(id, |_| Ok::<(), ()>(())), Ok(()));
}

/// An action on the slots. A task is named by how many came before it, modulo their number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    /// Wakes any number that was ever given out.
    Wake(usize),
    /// Wakes a number that was not given out: another serial of an existing slot, or a slot that does not exist.
    WakeUnknown(usize),
    Pop,
    Close(usize),
    Vacate(usize),
    /// Only done when nothing is queued.
    Shrink,
    /// Sets whether the wakes from now on come from outside the tasks.
    SetArriving(bool),
}
use Step::*;

#[derive(Clone, Debug)]
struct Program {
    first_serial: u32,
    seed: Option<u64>,
    steps: Vec<Step>,
}

/// The two lanes. Numbers of tasks that are over stay in them, and take their turns as well.
#[derive(Default)]
struct Naive {
    tasks: VecDeque<TaskId>,
    outside: VecDeque<TaskId>,
    arriving: bool,
    outside_turn: bool,
}

impl Naive {
    fn contains(&self, id: TaskId) -> bool {
        self.tasks.contains(&id) || self.outside.contains(&id)
    }

    fn set_arriving(&mut self, arriving: bool) {
        self.arriving = arriving;
    }

    fn push(&mut self, id: TaskId) {
        let lane = if self.arriving { &mut self.outside } else { &mut self.tasks };
        lane.push_back(id);
    }

    /// The next number: from the lane whose turn it is, or from the one that is not empty.
    fn pop(&mut self) -> Option<TaskId> {
        let lane = match (self.outside.is_empty(), self.tasks.is_empty()) {
            (true, _) => &mut self.tasks,
            (false, true) => &mut self.outside,
            (false, false) => {
                self.outside_turn = !self.outside_turn;
                if self.outside_turn { &mut self.outside } else { &mut self.tasks }
            }
        };
        lane.pop_front()
    }

    fn remove(&mut self, id: TaskId) {
        self.tasks.retain(|queued| *queued != id);
        self.outside.retain(|queued| *queued != id);
    }
}

/// Both, side by side.
struct Both {
    slots: Slots<Room>,
    first_serial: u32,
    given: Vec<TaskId>,
    live: Vec<TaskId>,
    /// Tasks that are over but whose slots are not vacated.
    over: Vec<TaskId>,
    vacant: Vec<usize>,
    /// Tasks whose slots are vacated, but whose numbers have not left the queue.
    leaving: Vec<TaskId>,
    lanes: Naive,
    /// The serial that the next tenant of a slot has to get.
    serials: HashMap<usize, u32>,
    shuffled: bool,
    popped: Vec<Option<TaskId>>,
}

impl Both {
    fn new(program: &Program) -> Both {
        Both {
            slots: Slots::new(RUNTIME, program.first_serial, program.seed),
            first_serial: program.first_serial.max(1),
            given: Vec::new(),
            live: Vec::new(),
            over: Vec::new(),
            vacant: Vec::new(),
            leaving: Vec::new(),
            lanes: Naive::default(),
            serials: HashMap::new(),
            shuffled: program.seed.is_some(),
            popped: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Open => self.open(),
            Wake(which) => self.wake(which),
            WakeUnknown(which) => self.wake_unknown(which),
            Pop => self.pop(),
            Close(which) => self.close(which),
            Vacate(which) => self.vacate(which),
            Shrink => self.shrink(),
            SetArriving(arriving) => self.set_arriving(arriving),
        }
        self.check();
    }

    fn open(&mut self) {
        let (id, room) = self.slots.open();
        // Vacant slots come first; with a seed, a slot that is leaving the queue may be vacant already. Then a new slot.
        let before = room.tenant.replace(id);
        if let Some(place) = self.vacant.iter().position(|slot| *slot == id.slot()) {
            self.vacant.swap_remove(place);
            assert_eq!(before.map(TaskId::slot), Some(id.slot()), "a room is left as it was");
        } else if self.shuffled && self.leaving.iter().any(|gone| gone.slot() == id.slot()) {
            self.leaving.retain(|gone| gone.slot() != id.slot());
            before.into_iter().for_each(|gone| self.lanes.remove(gone));
        } else {
            assert!(self.vacant.is_empty() && before.is_none(), "vacant rooms come first");
            assert_eq!(id.slot(), self.slots.count() - 1);
        }
        // The number is the next one of the slot.
        let expected = *self.serials.get(&id.slot()).unwrap_or(&self.first_serial);
        assert_eq!((id.runtime(), id.serial()), (RUNTIME, expected));
        self.given.push(id);
        self.live.push(id);
        self.lanes.push(id);
    }

    fn wake(&mut self, which: usize) {
        let Some(id) = pick(&self.given, which) else { return };
        let changes = self.live.contains(&id) && !self.lanes.contains(id);
        assert_eq!(self.slots.wake(id), changes, "{id}");
        if changes {
            self.lanes.push(id);
        }
    }

    fn wake_unknown(&mut self, which: usize) {
        let slots = self.slots.count();
        assert!(!self.slots.wake(TaskId::new(RUNTIME, 1, MAX_SLOTS - 1)));
        assert!(!self.slots.wake(TaskId::new(RUNTIME, 1, slots)));
        if slots > 0 {
            // The serial two tenants after the next one was never given out.
            let slot = which % slots;
            let next = self.slots.number(slot).serial();
            assert!(!self.slots.wake(TaskId::new(RUNTIME, after(after(next)), slot)));
        }
    }

    fn pop(&mut self) {
        let take = |room: &mut Room| room.tenant;
        let popped =
            if self.shuffled { self.slots.pop::<false, _>(take) } else { self.slots.pop::<true, _>(take) };
        let popped = popped.map(|(id, tenant)| {
            assert_eq!(tenant, Some(id), "it comes with its own slot");
            id
        });
        assert_eq!(popped.is_none(), self.none_waits());
        assert!(popped.is_none_or(|id| self.lanes.contains(id)), "only tasks in the queue are popped");
        if self.shuffled {
            popped.into_iter().for_each(|id| self.lanes.remove(id));
        } else {
            let next = std::iter::from_fn(|| self.lanes.pop()).find(|id| self.live.contains(id));
            assert_eq!(popped, next);
            let lanes = &self.lanes;
            self.vacant.extend(self.leaving.extract_if(.., |id| !lanes.contains(*id)).map(TaskId::slot));
        }
        self.popped.push(popped);
    }

    fn none_waits(&self) -> bool {
        !self.live.iter().any(|live| self.lanes.contains(*live))
    }

    fn set_arriving(&mut self, arriving: bool) {
        self.slots.queue.set_arriving(arriving);
        self.lanes.set_arriving(arriving);
    }

    fn close(&mut self, which: usize) {
        let Some(id) = pick(&self.live, which) else { return };
        assert_eq!(self.slots.close(id).tenant, Some(id));
        self.live.retain(|live| *live != id);
        self.over.push(id);
        self.serials.insert(id.slot(), after(id.serial()));
    }

    fn vacate(&mut self, which: usize) {
        let Some(id) = pick(&self.over, which) else { return };
        vacate(&mut self.slots, id);
        self.over.retain(|over| *over != id);
        if self.lanes.contains(id) {
            self.leaving.push(id);
        } else {
            self.vacant.push(id.slot());
        }
    }

    fn shrink(&mut self) {
        if !self.slots.is_empty() {
            return;
        }
        // The queue is empty, so slots that were vacated in it are vacant now.
        self.vacant.extend(self.leaving.drain(..).map(TaskId::slot));
        self.slots.shrink();
        let slots = self.slots.count();
        let last = slots.checked_sub(1);
        assert!(last.is_none_or(|last| !self.vacant.contains(&last)), "the last slot is not vacant");
        let gone: Vec<usize> = self.vacant.extract_if(.., |slot| *slot >= slots).collect();
        for slot in gone {
            let serial = self.serials.remove(&slot).unwrap_or(self.first_serial);
            self.first_serial = self.first_serial.max(serial);
        }
    }

    fn check(&mut self) {
        for live in &self.live {
            assert_eq!(self.slots.number(live.slot()), *live);
            assert_eq!(self.slots.get(*live).tenant, Some(*live));
        }
        // A queue that says it is empty is empty. One that says it is not may hold only numbers of tasks that are over.
        assert!(!self.slots.is_empty() || self.none_waits());
    }
}

fn pick(from: &[TaskId], which: usize) -> Option<TaskId> {
    from.get(which % from.len().max(1)).copied()
}

/// The serial after this one. Serials go from 1 to 2²⁰ - 1 and start again.
fn after(serial: u32) -> u32 {
    serial % MAX_SERIAL + 1
}

/// Performs a program and then drains the queue; returns what was popped.
fn perform(program: &Program) -> Vec<Option<TaskId>> {
    let mut both = Both::new(program);
    program.steps.iter().for_each(|step| both.step(*step));
    both.step(Pop);
    while both.popped.last() != Some(&None) {
        both.step(Pop);
    }
    assert!(both.none_waits() && both.slots.is_empty());
    both.popped
}

fn step(mut word: Word) -> Step {
    match word.take(17) {
        0..=2 => Open,
        3..=5 => Pop,
        6 | 7 => Close(word.which()),
        8 | 9 => Vacate(word.which()),
        10 => WakeUnknown(word.which()),
        11 => SetArriving(word.take(2) == 1),
        12 => Shrink,
        _ => Wake(word.which()),
    }
}

fn programs(seed: impl Strategy<Value = Option<u64>>) -> impl Strategy<Value = Program> {
    (any::<u32>(), seed, vec(any::<u64>(), 0..120)).prop_map(|(serial, seed, words)| Program {
        // Half of the programs begin near the end of the serials.
        first_serial: if serial % 2 == 0 { serial % MAX_SERIAL } else { MAX_SERIAL - serial % 8 },
        seed,
        steps: words.into_iter().map(|word| step(Word::new(word))).collect(),
    })
}

#[test]
fn without_a_seed_it_is_a_queue() {
    property(1000, programs(Just(None)), |program| drop(perform(&program)));
}

#[test]
fn with_a_seed_the_same_tasks_come_in_the_order_of_the_seed() {
    property(1000, programs(any::<u64>().prop_map(Some)), |program| {
        assert_eq!(perform(&program), perform(&program), "the same seed, the same order");
    });
}

/// If `n` tasks are before it in its lane, a woken task comes out after at most `2n + 2` others, whatever is woken
/// later in either lane.
#[test]
fn hazard_12_no_task_waits_for_more_than_its_own_lane_twice_over() {
    property(500, vec(any::<u64>(), 0..300), |words| {
        let mut slots = Slots::<Room>::new(RUNTIME, 1, None);
        let ids: Vec<TaskId> = (0..40).map(|_| slots.open().0).collect();
        let (mut arriving, mut lanes) = (false, HashMap::<TaskId, bool>::new());
        // For each queued task, how many pops it may still wait for.
        let mut limits: HashMap<TaskId, usize> = ids.iter().map(|id| (*id, 2 * ids.len() + 2)).collect();
        lanes.extend(ids.iter().map(|id| (*id, false)));
        for word in words {
            let mut word = Word::new(word);
            match word.take(4) {
                0 => {
                    arriving = word.take(2) == 1;
                    slots.queue.set_arriving(arriving);
                }
                1 => {
                    let popped = pop(&mut slots);
                    limits.values_mut().for_each(|left| *left -= 1);
                    limits.retain(|id, _| Some(*id) != popped);
                    lanes.retain(|id, _| Some(*id) != popped);
                    assert!(limits.values().all(|left| *left > 0), "a task has waited for too long");
                }
                _ => {
                    let id = ids[word.which() % ids.len()];
                    if slots.wake(id) {
                        let before = lanes.values().filter(|outside| **outside == arriving).count();
                        limits.insert(id, 2 * before + 2);
                        lanes.insert(id, arriving);
                    }
                }
            }
        }
    });
}

/// The order in which this many tasks are popped.
fn order(tasks: usize, seed: u64) -> Vec<usize> {
    let mut slots = Slots::<Room>::new(RUNTIME, 1, Some(seed));
    for _ in 0..tasks {
        slots.open();
    }
    std::iter::from_fn(|| pop(&mut slots).map(TaskId::slot)).collect()
}

#[test]
fn the_seeds_find_every_order() {
    let seeds = if cfg!(miri) { 40 } else { 400 };
    for (tasks, orders) in [(1, 1), (2, 2), (3, 6), (4, 24)].into_iter().take(if cfg!(miri) { 3 } else { 4 })
    {
        let found: BTreeSet<_> = (0..seeds).map(|seed| order(tasks, seed)).collect();
        assert_eq!(found.len(), orders, "{tasks} tasks");
    }
}

#[test]
fn the_seeds_prefer_no_order() {
    let seeds = if cfg!(miri) { 60 } else { 6000 };
    let mut times = HashMap::new();
    (0..seeds).for_each(|seed| *times.entry(order(3, seed)).or_insert(0) += 1);
    // Each of the six orders should come about a sixth of the time; the bounds are eight standard deviations away.
    let (least, most) = (times.values().min().unwrap(), times.values().max().unwrap());
    assert!(cfg!(miri) || (*least > 770 && *most < 1230), "{times:?}");
}

#[test]
fn a_slot_has_a_million_tenants_before_a_number_comes_back() {
    let tenants = if cfg!(miri) { 20 } else { MAX_SERIAL + 10 };
    let mut slots = Slots::<Room>::new(RUNTIME, MAX_SERIAL - 9, None);
    let mut before = None;
    for tenant in 0..tenants {
        let id = slots.open().0;
        let expected = (MAX_SERIAL - 9 - 1 + tenant) % MAX_SERIAL + 1;
        assert_eq!((id.slot(), id.serial()), (0, expected), "all serials in turn, and never zero");
        assert!(before != Some(id) && before.is_none_or(|before| !slots.wake(before)));
        assert_eq!(pop(&mut slots), Some(id));
        slots.close(id);
        vacate(&mut slots, id);
        before = Some(id);
    }
}

#[test]
fn hazard_03_many_wakes_are_one_place_in_the_queue() {
    let mut slots = Slots::<Room>::new(RUNTIME, 1, None);
    let ids = [(); 3].map(|()| slots.open().0);
    for _ in 0..3 {
        assert!(ids.iter().all(|id| !slots.wake(*id)), "they are queued by `open`");
        assert!(ids.iter().all(|id| pop(&mut slots) == Some(*id)));
        assert!(pop(&mut slots).is_none());
        assert!(ids.iter().all(|id| slots.wake(*id)), "once popped, a wake counts again (invariant 2)");
    }
    // The second task ends while it is queued. Its slot is not used again before its number has left the queue.
    slots.close(ids[1]);
    vacate(&mut slots, ids[1]);
    let tenant = slots.open().0;
    assert_eq!(tenant.slot(), ids.len());
    assert!(!slots.wake(ids[1]) && !slots.wake(tenant));
    let popped: Vec<_> = std::iter::from_fn(|| pop(&mut slots)).collect();
    assert_eq!(popped, [ids[0], ids[2], tenant]);
    let successor = slots.open().0;
    assert_eq!((successor.slot(), successor.serial()), (ids[1].slot(), ids[1].serial() + 1));
}

/// A number given out before the slots were removed wakes no task of a slot that was built again.
#[test]
fn a_slot_that_is_built_again_continues_the_serials_of_the_removed_ones() {
    let mut slots: Slots<Room> = Slots::new(RUNTIME, 1, None);
    let mut given = Vec::new();
    // Three rounds of tenants, so that the slots have different serials.
    for count in [1, 2, 3] {
        let tenants: Vec<TaskId> = (0..count).map(|_| slots.open().0).collect();
        while pop(&mut slots).is_some() {}
        for id in tenants {
            slots.close(id);
            vacate(&mut slots, id);
            given.push(id);
        }
    }
    // All slots are removed, and built again.
    slots.shrink();
    assert_eq!(slots.count(), 0);
    let fresh: Vec<TaskId> = (0..5).map(|_| slots.open().0).collect();
    assert!(fresh.iter().all(|id| !given.contains(id)), "{fresh:?}");
    assert!(!given.iter().any(|id| slots.wake(*id)));
}

/// The slot that had the most tenants need not be the last one that is removed.
#[test]
fn the_highest_serial_of_all_removed_slots_counts() {
    let mut slots: Slots<Room> = Slots::new(RUNTIME, 1, None);
    let first = slots.open().0;
    let mut given = vec![first];
    // The second slot has five tenants, the first has one.
    for _ in 0..5 {
        let tenant = slots.open().0;
        assert_eq!(tenant.slot(), 1);
        while pop(&mut slots).is_some() {}
        slots.close(tenant);
        vacate(&mut slots, tenant);
        given.push(tenant);
    }
    slots.close(first);
    vacate(&mut slots, first);
    slots.shrink();
    assert_eq!(slots.count(), 0);
    let fresh: Vec<TaskId> = (0..2).map(|_| slots.open().0).collect();
    assert!(fresh.iter().all(|id| !given.contains(id)), "{fresh:?}");
    assert!(!given.iter().any(|id| slots.wake(*id)));
}

/// How often an empty queue is popped depends on the kernel and on other threads; the schedule must not.
#[test]
fn popping_an_empty_queue_does_not_change_the_schedule() {
    let order = |asked: usize| {
        let mut slots: Slots<Room> = Slots::new(RUNTIME, 1, Some(7));
        (0..asked).for_each(|_| assert!(pop(&mut slots).is_none()));
        for _ in 0..20 {
            slots.open();
        }
        std::iter::from_fn(|| pop(&mut slots).map(TaskId::slot)).collect::<Vec<_>>()
    };
    assert_eq!(order(0), order(1));
    assert_eq!(order(0), order(5));
}

/// So must not how often the only task is popped.
#[test]
fn popping_the_only_task_does_not_change_the_schedule() {
    let order = |popped: usize| {
        let mut slots: Slots<Room> = Slots::new(RUNTIME, 1, Some(7));
        let only = slots.open().0;
        assert_eq!(pop(&mut slots), Some(only));
        for _ in 0..popped {
            assert!(slots.wake(only));
            assert_eq!(pop(&mut slots), Some(only));
        }
        for _ in 0..20 {
            slots.open();
        }
        std::iter::from_fn(|| pop(&mut slots).map(TaskId::slot)).collect::<Vec<_>>()
    };
    assert_eq!(order(0), order(1));
    assert_eq!(order(0), order(5));
}
