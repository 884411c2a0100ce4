//! Which structure should hold the timers? The one that we have (mounted from its source) beside the two that we do not
//! have.
//!
//! Three questions: what does a timeout cost that is dropped again, with nothing and with a million timers pending; and
//! what does it cost to insert a million timers and to let them fire? All three structures are exact, and all three
//! really remove a dropped timer.

#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "criterion makes functions; mounted files serve others too"
)]

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

#[path = "../../runtime/src/core"]
mod core {
    pub mod clock;
    pub mod id;
    pub mod panics;
    pub mod probe;
    pub mod timers;
}

use crate::core::{clock, probe, timers};

const MILLION: u64 = 1_000_000;

/// What all candidates can do.
trait Candidate: Default {
    type Key;
    fn insert(&mut self, deadline: u64, waker: Waker) -> Self::Key;
    fn cancel(&mut self, key: Self::Key);
    /// Removes one timer that is due.
    fn fire(&mut self, now: u64, due: &mut Vec<Waker>);
    fn next(&self) -> Option<u64>;
}

/// Ours.
struct Heap(timers::Timers);

impl Default for Heap {
    fn default() -> Heap {
        Heap(timers::Timers::new(std::rc::Rc::default()))
    }
}

impl Candidate for Heap {
    type Key = timers::Key;
    fn insert(&mut self, deadline: u64, waker: Waker) -> timers::Key {
        self.0.insert(deadline, waker)
    }
    fn cancel(&mut self, key: timers::Key) {
        self.0.cancel(key);
    }
    fn fire(&mut self, now: u64, due: &mut Vec<Waker>) {
        self.0.take_due(now, due);
    }
    fn next(&self) -> Option<u64> {
        self.0.next()
    }
}

/// The standard library's ordered map.
#[derive(Default)]
struct Tree {
    map: BTreeMap<(u64, u64), Waker>,
    serial: u64,
}

impl Candidate for Tree {
    type Key = (u64, u64);
    fn insert(&mut self, deadline: u64, waker: Waker) -> (u64, u64) {
        self.serial += 1;
        self.map.insert((deadline, self.serial), waker);
        (deadline, self.serial)
    }
    fn cancel(&mut self, key: (u64, u64)) {
        self.map.remove(&key);
    }
    fn fire(&mut self, now: u64, due: &mut Vec<Waker>) {
        while let Some(entry) = self.map.first_entry() {
            if entry.key().0 > now {
                return;
            }
            due.push(entry.remove());
        }
    }
    fn next(&self) -> Option<u64> {
        self.map.first_key_value().map(|((deadline, _), _)| *deadline)
    }
}

/// A hierarchical wheel that is exact: eleven levels of 64 slots cover 64 bits of nanoseconds. A timer is on the level
/// of the highest bit in which its deadline differs from the wheel's time, and moves down as time goes on.
struct Wheel {
    slots: Vec<Vec<u32>>,
    used: [u64; LEVELS],
    nodes: slab::Slab<Node>,
    time: u64,
}

struct Node {
    deadline: u64,
    waker: Waker,
    slot: u32,
    place: u32,
}

const LEVELS: usize = 11;

impl Default for Wheel {
    fn default() -> Wheel {
        let slots = (0..LEVELS * 64).map(|_| Vec::new()).collect();
        Wheel { slots, used: [0; LEVELS], nodes: slab::Slab::new(), time: 0 }
    }
}

impl Wheel {
    fn slot_of(&self, deadline: u64) -> usize {
        let level = (63 - ((deadline ^ self.time) | 63).leading_zeros() as usize) / 6;
        level * 64 + (deadline >> (level * 6)) as usize % 64
    }

    fn link(&mut self, key: u32) {
        let slot = self.slot_of(self.nodes[key as usize].deadline);
        let node = &mut self.nodes[key as usize];
        (node.slot, node.place) = (slot as u32, self.slots[slot].len() as u32);
        self.slots[slot].push(key);
        self.used[slot / 64] |= 1 << (slot % 64);
    }

    fn first_slot(&self) -> Option<usize> {
        let level = self.used.iter().position(|bits| *bits != 0)?;
        Some(level * 64 + self.used[level].trailing_zeros() as usize)
    }
}

impl Candidate for Wheel {
    type Key = u32;
    fn insert(&mut self, deadline: u64, waker: Waker) -> u32 {
        let deadline = deadline.max(self.time);
        let key = self.nodes.insert(Node { deadline, waker, slot: 0, place: 0 }) as u32;
        self.link(key);
        key
    }
    fn cancel(&mut self, key: u32) {
        let Some(node) = self.nodes.try_remove(key as usize) else { return };
        let slot = &mut self.slots[node.slot as usize];
        slot.swap_remove(node.place as usize);
        if let Some(moved) = slot.get(node.place as usize) {
            self.nodes[*moved as usize].place = node.place;
        } else if slot.is_empty() {
            self.used[node.slot as usize / 64] &= !(1 << (node.slot % 64));
        }
    }
    fn fire(&mut self, now: u64, due: &mut Vec<Waker>) {
        while let Some(slot) = self.first_slot() {
            let (level, shift) = (slot / 64, slot / 64 * 6);
            let above = self.time.checked_shr(shift as u32 + 6).map_or(0, |high| high << (shift + 6));
            let begins = above | ((slot % 64) as u64) << shift;
            if begins > now {
                break;
            }
            self.time = self.time.max(begins);
            self.used[level] &= !(1 << (slot % 64));
            for key in std::mem::take(&mut self.slots[slot]) {
                if self.nodes[key as usize].deadline <= now {
                    due.push(self.nodes.remove(key as usize).waker);
                } else {
                    self.link(key);
                }
            }
        }
    }
    fn next(&self) -> Option<u64> {
        let slot = &self.slots[self.first_slot()?];
        slot.iter().map(|key| self.nodes[*key as usize].deadline).min()
    }
}

fn waker() -> Waker {
    Waker::noop().clone()
}

/// Spread over ten seconds, in no order.
fn deadline(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000_000_000
}

fn filled<C: Candidate>(n: u64) -> C {
    let mut candidate = C::default();
    (0..n).for_each(|i| drop(candidate.insert(deadline(i), waker())));
    candidate
}

fn measure<C: Candidate>(criterion: &mut Criterion, name: &str) {
    for (pending, row) in [(0, "timeout dropped, none pending"), (MILLION, "timeout dropped, 1 M pending")] {
        let mut candidate = filled::<C>(pending);
        let mut now = 0;
        criterion.benchmark_group(row).bench_function(name, |bencher| {
            bencher.iter(|| {
                now += 100;
                let key = candidate.insert(5_000_000_000 + now, waker());
                // The loop asks this before it parks.
                std::hint::black_box(candidate.next());
                candidate.cancel(key);
            });
        });
    }
    let mut group = criterion.benchmark_group("insert 1 M");
    group.throughput(Throughput::Elements(MILLION)).sample_size(10);
    group.bench_function(name, |bencher| bencher.iter_with_large_drop(|| filled::<C>(MILLION)));
    group.finish();
    let mut group = criterion.benchmark_group("fire 1 M in 1,000 steps");
    group.throughput(Throughput::Elements(MILLION)).sample_size(10);
    group.bench_function(name, |bencher| {
        let fire = |mut candidate: C| {
            let (mut due, mut fired) = (Vec::new(), 0);
            for step in 1..=1_000 {
                candidate.fire(step * 10_000_000, &mut due);
                fired += due.drain(..).count();
            }
            assert_eq!(fired as u64, MILLION);
            candidate
        };
        bencher.iter_batched(|| filled::<C>(MILLION), fire, BatchSize::PerIteration);
    });
    group.finish();
}

fn structures(criterion: &mut Criterion) {
    measure::<Heap>(criterion, "4-ary heap");
    measure::<Tree>(criterion, "BTreeMap");
    measure::<Wheel>(criterion, "wheel");
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = timers_bench; config = config(); targets = structures }
criterion_main!(timers_bench);
