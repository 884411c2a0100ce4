//! The ablations themselves: each puts one naive mechanism in place of ours.
//!
//! Facts. A mechanism is worth its lines only if something becomes dearer without it.
//!
//! What follows. Each says what is asked, what stands in its place, how the sources are changed for that, and where it
//! should be felt. The replacements are not made of straw: each is what a textbook shows or what another runtime does.
//!
//! Contract. Each text stands exactly once in its file, today; a test holds that.

use super::Measure::{Allocations, Calls, Echo, EchoCalls, EchoInstructions, Instructions, Latency, Time};
use super::{Ablation, Change, Edit};

const EXECUTOR: &str = "runtime/src/executor.rs";
const RUNTIME: &str = "runtime/src/runtime.rs";

/// A change of one place.
const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, change: Change::Text { from, to } }
}

pub const ABLATIONS: &[Ablation] = &[
    Ablation {
        name: "arc-waker",
        mechanism: "a number, not an Arc, as waker",
        // One for each task, when it is spawned, and a clone of it for each poll: what `std::task::Wake` offers to
        // those who want no `unsafe`. Whoever waits keeps a clone; so does a handle that is awaited.
        instead: "an `Arc` with a `Wake`, allocated with each task, cloned for each poll",
        edits: &[
            edit(
                "runtime/src/waker.rs",
                "    from_number(id)
}",
                "    Waker::from(std::sync::Arc::new(ArcWaker(id)))
}

struct ArcWaker(TaskId);

impl std::task::Wake for ArcWaker {
    fn wake(self: std::sync::Arc<Self>) {
        wake_task(self.0);
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        wake_task(self.0);
    }
}",
            ),
            edit(
                EXECUTOR,
                "    waiter: Option<TaskId>,",
                "    waiter: Option<Waker>,
    waker: Option<Waker>,",
            ),
            edit(
                EXECUTOR,
                "        self.shells -= usize::from(slot.task.is_some());",
                "        self.shells -= usize::from(slot.task.is_some());
        slot.waker = Some(crate::waker::waker(id));",
            ),
            edit(
                EXECUTOR,
                "    pub(crate) fn has_ready(&self)",
                "    pub(crate) fn waker(&self, id: TaskId) -> Waker {
        self.state.borrow_mut().ready.get(id).waker.clone().expect(\"each task has one\")
    }

    pub(crate) fn has_ready(&self)",
            ),
            edit(
                EXECUTOR,
                "        let woken = slot.waiter.take().filter(|waiter| state.ready.wake(*waiter));",
                "        let (waiter, woken) = (slot.waiter.take(), None);
        drop(state);
        waiter.into_iter().for_each(Waker::wake);
        let mut state = self.state.borrow_mut();",
            ),
            edit(
                "runtime/src/executor/handles.rs",
                "waiter: impl FnOnce() -> Option<TaskId>) -> Join<T> {",
                "waiter: impl FnOnce() -> Option<Waker>) -> Join<T> {",
            ),
            edit(
                "runtime/src/join.rs",
                "fn waiter(id: TaskId, cx: &Context<'_>) -> Option<TaskId> {
    waker::number(cx.waker()).filter(|waiter| waiter.runtime() == id.runtime() && *waiter != id)
}",
                "fn waiter(_: TaskId, cx: &Context<'_>) -> Option<std::task::Waker> {
    waker::number(cx.waker()).is_none().then(|| cx.waker().clone())
}",
            ),
            edit(RUNTIME, "let waker = ManuallyDrop::new(waker(id));", "let waker = executor.waker(id);"),
        ],
        measures: &[
            Time("spawn_many", "spawn 1,000, await all", 100_000),
            Time("self_wake", "wake oneself, 200 tasks", 400_000),
            Time("hop", "hop between two tasks", 200_000),
            Instructions("spawn_many", "spawn 1,000, await all", 20_000),
            Instructions("hop", "hop between two tasks", 20_000),
            Allocations("spawn_many", "spawn 1,000, await all", 20_000),
        ],
    },
    Ablation {
        name: "second-box",
        mechanism: "no more than one allocation a spawn",
        instead: "the future boxed once more",
        edits: &[edit(
            EXECUTOR,
            "        let mut future = Some(future);",
            "        let mut future = Some(Box::pin(future));",
        )],
        measures: &[
            Time("spawn_one", "spawn one, await it", 100_000),
            Time("spawn_many", "spawn 1,000, await all", 100_000),
            Instructions("spawn_many", "spawn 1,000, await all", 20_000),
            Allocations("spawn_many", "spawn 1,000, await all", 20_000),
        ],
    },
    Ablation {
        name: "no-shells",
        mechanism: "a box that is used again, not a new one",
        instead: "each task's box is freed, and the next one's allocated",
        edits: &[edit(
            "runtime/src/executor/handles.rs",
            "        if size_of_val(&**task) > LARGEST_SHELL {",
            "        if size_of_val(&**task) > LARGEST_SHELL || true {",
        )],
        measures: &[
            Time("spawn_one", "spawn one, await it", 100_000),
            Time("spawn_many", "spawn 1,000, await all", 100_000),
            Instructions("spawn_many", "spawn 1,000, await all", 20_000),
            Allocations("spawn_many", "spawn 1,000, await all", 20_000),
        ],
    },
    Ablation {
        name: "tree-of-timers",
        mechanism: "a heap, not a BTreeMap, of timers",
        instead: "the standard library's `BTreeMap`",
        edits: &[Edit { file: "runtime/src/timers.rs", change: Change::Whole(include_str!("tree.rs")) }],
        measures: &[
            Time("sleep", "start a sleep, drop it", 200_000),
            Time("sleep_in_crowd", "the same beside 100,000", 100_000),
            Time("sleepers", "100,000 sleep and wake", 100_000),
            Instructions("sleep", "start a sleep, drop it", 20_000),
            Instructions("sleep_in_crowd", "the same beside 100,000", 20_000),
        ],
    },
    Ablation {
        name: "asks-once-more",
        mechanism: "a short read is the last, not WouldBlock",
        instead: "each read goes on until the kernel says `WouldBlock`",
        edits: &[edit("net/src/stream.rs", "short_is_all: true", "short_is_all: false")],
        measures: &[
            EchoCalls(20, "an echo, 20 connections"),
            EchoCalls(1, "an echo, one that pauses"),
            Echo(20, "an echo, 20 connections"),
            EchoInstructions(20, "an echo, 20 connections"),
        ],
    },
    Ablation {
        name: "looks-each-poll",
        mechanism: "a look by the clock, not each poll",
        instead: "a look after each poll",
        edits: &[
            edit("runtime/src/pace.rs", "const MOST: u32 = 64;", "const MOST: u32 = 1;"),
            edit(
                "runtime/src/pace.rs",
                "!clock.is_virtual() && self.may_go_on_at(clock.now())",
                "false && self.may_go_on_at(clock.now())",
            ),
        ],
        measures: &[
            Time("hop", "hop between two tasks", 20_000),
            Calls("hop", "hop between two tasks", 2_000),
            Latency(4, "an echo beside 4 hot tasks"),
            Echo(20, "an echo, 20 connections"),
        ],
    },
    Ablation {
        name: "looks-every-61-polls",
        mechanism: "a look by the clock, not each 61 polls",
        instead: "a look after 61 polls, as tokio",
        edits: &[
            edit("runtime/src/pace.rs", "const MOST: u32 = 64;", "const MOST: u32 = 61;"),
            edit(
                "runtime/src/pace.rs",
                "!clock.is_virtual() && self.may_go_on_at(clock.now())",
                "false && self.may_go_on_at(clock.now())",
            ),
        ],
        measures: &[
            Time("hop", "hop between two tasks", 200_000),
            Calls("hop", "hop between two tasks", 20_000),
            Latency(4, "an echo beside 4 hot tasks"),
        ],
    },
    Ablation {
        name: "rings-each-wake",
        mechanism: "a bell for who sleeps, not each wake",
        instead: "an eventfd is written for each wake",
        edits: &[
            edit(
                "runtime/src/inbox.rs",
                "        last.set(id);
        if !state.note(id) {
            return;
        }",
                "        state.note(id);",
            ),
            edit(
                "runtime/src/inbox.rs",
                "        let parked = std::mem::take(&mut state.parked);
        let bell = if parked { state.bell.clone() } else { None };",
                "        state.parked = false;
        let bell = state.bell.clone();",
            ),
        ],
        measures: &[
            Time("foreign_wakes", "a wake from a thread", 100_000),
            Calls("foreign_wakes", "a wake from a thread", 10_000),
        ],
    },
    Ablation {
        name: "locks-each-wake",
        mechanism: "a glance at the last wake, not the lock",
        instead: "a wake that is in the box already takes the lock, too",
        edits: &[edit("runtime/src/inbox.rs", "        last.set(id);", "        last.wipe();")],
        measures: &[Time("foreign_wakes", "a wake from a thread", 200_000)],
    },
    Ablation {
        name: "one-lane",
        mechanism: "two lanes, not one",
        instead: "one queue for all",
        edits: &[edit(RUNTIME, "executor.set_arriving(true)", "executor.set_arriving(false)")],
        measures: &[
            Latency(4, "an echo beside 4 hot tasks"),
            Latency(16, "an echo beside 16 hot tasks"),
            EchoInstructions(20, "an echo, 20 connections"),
        ],
    },
    Ablation {
        name: "net-per-poll",
        mechanism: "a net for panics a batch, not a poll",
        instead: "a `catch_unwind` around each poll",
        edits: &[edit(
            RUNTIME,
            "                    Some(task) => task.poll(&mut cx),",
            "                    Some(task) => contain(|| task.poll(&mut cx))
                        .unwrap_or_else(|payload| std::panic::resume_unwind(payload)),",
        )],
        measures: &[
            Time("lone_wake", "wake oneself, one task", 400_000),
            Time("self_wake", "wake oneself, 200 tasks", 400_000),
            Instructions("self_wake", "wake oneself, 200 tasks", 40_000),
        ],
    },
    Ablation {
        name: "waiters-in-a-slab",
        mechanism: "a place for the first, not a slab",
        instead: "all who wait for a source stand in a slab",
        edits: &[edit(
            "runtime/src/reactor/waiters.rs",
            "        if self.first.is_some() {
            return self.add_to_box(waker);
        }
        self.put_first(waker, false);
        Place { index: 0, round: self.round }",
            "        self.add_to_box(waker)",
        )],
        measures: &[Echo(20, "an echo, 20 connections"), EchoInstructions(20, "an echo, 20 connections")],
    },
];
