//! The ablations: each puts one naive mechanism in place of ours.
//!
//! Facts. A mechanism is worth its lines only if something costs more without it.
//!
//! What follows. Each entry says which mechanism is in question, what replaces it, and where the difference should
//! show. The change of the sources is in `benches/ablations/NAME.patch`. The replacements are what textbooks show or
//! what other runtimes do, so that the comparison is fair.

use crate::faceoff::ablations::Ablation;
use crate::faceoff::ablations::Measure::{
    Allocations, Calls, Echo, EchoCalls, EchoInstructions, Instructions, Latency, Time,
};

pub const ABLATIONS: &[Ablation] = &[
    Ablation {
        name: "arc-waker",
        mechanism: "a number, not an Arc, as waker",
        // One is made when a task is spawned, and each poll clones it: this is what `std::task::Wake` offers to a
        // runtime without `unsafe`. Whatever waits keeps a clone, and so does the handle that is awaited.
        instead: "an `Arc` with a `Wake`, allocated with each task, cloned for each poll",
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
        measures: &[
            Time("spawn_one", "spawn one, await it", 100_000),
            Time("spawn_many", "spawn 1,000, await all", 100_000),
            Instructions("spawn_many", "spawn 1,000, await all", 20_000),
            Allocations("spawn_many", "spawn 1,000, await all", 20_000),
        ],
    },
    Ablation {
        name: "tree-of-timers",
        mechanism: "timers in segments, the newest apart, not in a BTreeMap",
        instead: "the standard library's `BTreeMap`",
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
        measures: &[
            Time("foreign_wakes", "a wake from a thread", 100_000),
            Calls("foreign_wakes", "a wake from a thread", 10_000),
        ],
    },
    Ablation {
        name: "locks-each-wake",
        mechanism: "a glance at the last wake, not the lock",
        instead: "a wake that is in the box already takes the lock, too",
        measures: &[Time("foreign_wakes", "a wake from a thread", 200_000)],
    },
    Ablation {
        name: "one-lane",
        mechanism: "two lanes, not one",
        instead: "one queue for all",
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
        measures: &[Echo(20, "an echo, 20 connections"), EchoInstructions(20, "an echo, 20 connections")],
    },
    Ablation {
        name: "wakes-in-a-list",
        mechanism: "a wake for each report, not a list",
        instead: "the wakers of a look go into a list, and are woken after it",
        measures: &[Echo(20, "an echo, 20 connections"), EchoInstructions(20, "an echo, 20 connections")],
    },
    Ablation {
        name: "records-in-a-ring",
        mechanism: "a loop that nothing records",
        instead: "each event goes into a ring of the last 65,536",
        measures: &[
            Time("hop", "hop between two tasks", 200_000),
            Instructions("hop", "hop between two tasks", 20_000),
            Echo(50, "an echo, 50 connections"),
            EchoInstructions(20, "an echo, 20 connections"),
        ],
    },
    Ablation {
        name: "records-in-a-file",
        mechanism: "the same, and no file",
        instead: "each event goes into a file, up to 16 MiB",
        measures: &[
            Time("hop", "hop between two tasks", 200_000),
            Instructions("hop", "hop between two tasks", 20_000),
            Echo(50, "an echo, 50 connections"),
            EchoInstructions(20, "an echo, 20 connections"),
        ],
    },
];
