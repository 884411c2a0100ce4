//! A clever structure and a simple one do the same, until they do not; then the smallest program that shows the
//! difference.
//!
//! Run it with `cargo run --release --example simple_twin`.
//!
//! Facts. Code that is simple enough cannot be wrong, but it may be slow. Whatever two structures both do can be
//! compared. A failing program of forty steps says little; one of two steps says everything.

#![forbid(unsafe_code)]

use examples::{args, println};

/// Sets a timer that is due after the first number of ticks; then the second number of ticks passes.
type Step = (u64, u64);

trait Timers: Default {
    fn insert(&mut self, due: u64, name: u32);
    /// The timers that are due at this tick. It is called for every tick, one after the other.
    fn fire(&mut self, now: u64) -> Vec<u32>;
}

/// Clever, and wrong: eight boxes, one of which is emptied at each tick.
#[derive(Default)]
struct Wheel([Vec<u32>; 8]);

impl Timers for Wheel {
    fn insert(&mut self, due: u64, name: u32) {
        self.0[(due % 8) as usize].push(name);
    }

    fn fire(&mut self, now: u64) -> Vec<u32> {
        std::mem::take(&mut self.0[(now % 8) as usize])
    }
}

/// Simple: it always looks at all of them.
#[derive(Default)]
struct List(Vec<(u64, u32)>);

impl Timers for List {
    fn insert(&mut self, due: u64, name: u32) {
        self.0.push((due, name));
    }

    fn fire(&mut self, now: u64) -> Vec<u32> {
        self.0.extract_if(.., |(due, _)| *due == now).map(|(_, name)| name).collect()
    }
}

/// What can be seen of a program: which timer fired, and when.
fn seen<T: Timers>(steps: &[Step]) -> Vec<(u64, Vec<u32>)> {
    let (mut timers, mut now, mut log) = (T::default(), 0, Vec::new());
    for (name, (delay, ticks)) in (0..).zip(steps) {
        timers.insert(now + delay, name);
        for _ in 0..*ticks {
            now += 1;
            log.push((now, timers.fire(now)));
        }
    }
    log.retain(|(_, fired)| !fired.is_empty());
    log
}

fn differ(steps: &[Step]) -> bool {
    seen::<Wheel>(steps) != seen::<List>(steps)
}

/// Always the same program for the same seed.
fn program(seed: u64) -> Vec<Step> {
    let mut dice = seed;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    (0..40).map(|_| (1 + roll(10), roll(6))).collect()
}

/// Removes every step without which the two still differ.
fn smallest(mut steps: Vec<Step>) -> Vec<Step> {
    let without = |steps: &[Step], at| [&steps[..at], &steps[at + 1..]].concat();
    while let Some(at) = (0..steps.len()).find(|at| differ(&without(&steps, *at))) {
        steps = without(&steps, at);
    }
    steps
}

fn main() {
    args::none();
    let seed = (0..1000).find(|seed| differ(&program(*seed))).expect("a seed of a thousand");
    let steps = program(seed);
    println!("seed {seed}: the wheel and the list differ, in a program of {} steps", steps.len());
    let steps = smallest(steps);
    println!("the smallest that is left of it: {steps:?}");
    println!("the wheel fires {:?}, the list {:?}", seen::<Wheel>(&steps), seen::<List>(&steps));
}
