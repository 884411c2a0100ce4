//! Which structure should hold the timers? The one that we have (mounted from its source) beside three that we do not
//! have.
//!
//! Four questions. What does a timeout cost that is dropped again, with nothing, 10,000 and a million timers pending, if it
//! ends before all of them, after all of them, or among them? What does it cost to insert a million timers, and to let
//! them fire? How long is the longest single step? All four structures are exact, and all of them really remove a dropped
//! timer.

#![forbid(unsafe_code)]
#![allow(
    unexpected_cfgs,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "criterion makes functions; mounted files serve others too, and know their features"
)]

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

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
    fn next(&mut self) -> Option<u64>;
}

/// Ours.
struct Ours(timers::Timers);

impl Default for Ours {
    fn default() -> Ours {
        Ours(timers::Timers::new(std::rc::Rc::default()))
    }
}

impl Candidate for Ours {
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
    fn next(&mut self) -> Option<u64> {
        self.0.next()
    }
}

/// What we had before: a heap in which each entry has four children, and beside it where each timer stands.
#[derive(Default)]
struct Heap {
    entries: Vec<(u64, u32, u32)>,
    wakers: slab::Slab<Waker>,
    places: Vec<usize>,
    serial: u32,
}

const CHILDREN: usize = 4;

impl Heap {
    fn put(&mut self, place: usize, entry: (u64, u32, u32)) {
        self.entries[place] = entry;
        self.places[entry.2 as usize] = place;
    }

    fn rise(&mut self, mut place: usize) -> usize {
        let entry = self.entries[place];
        while place > 0 && entry < self.entries[(place - 1) / CHILDREN] {
            self.put(place, self.entries[(place - 1) / CHILDREN]);
            place = (place - 1) / CHILDREN;
        }
        self.put(place, entry);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.entries[place];
        let first = |heap: &Heap, place: usize| {
            let children = place * CHILDREN + 1..(place * CHILDREN + 1 + CHILDREN).min(heap.entries.len());
            children.min_by_key(|child| heap.entries[*child])
        };
        while let Some(child) = first(self, place).filter(|child| self.entries[*child] < entry) {
            self.put(place, self.entries[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn take(&mut self, place: usize) -> Waker {
        let (_, _, slot) = self.entries.swap_remove(place);
        if place < self.entries.len() {
            let place = self.rise(place);
            self.sink(place);
        }
        self.wakers.remove(slot as usize)
    }
}

impl Candidate for Heap {
    type Key = u32;
    fn insert(&mut self, deadline: u64, waker: Waker) -> u32 {
        let slot = self.wakers.insert(waker) as u32;
        if slot as usize == self.places.len() {
            self.places.push(0);
        }
        self.serial += 1;
        self.entries.push((deadline, self.serial, slot));
        self.rise(self.entries.len() - 1);
        slot
    }
    fn cancel(&mut self, key: u32) {
        drop(self.take(self.places[key as usize]));
    }
    fn fire(&mut self, now: u64, due: &mut Vec<Waker>) {
        while self.entries.first().is_some_and(|entry| entry.0 <= now) {
            due.push(self.take(0));
        }
    }
    fn next(&mut self) -> Option<u64> {
        self.entries.first().map(|entry| entry.0)
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
    fn next(&mut self) -> Option<u64> {
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
    fn next(&mut self) -> Option<u64> {
        let slot = &self.slots[self.first_slot()?];
        slot.iter().map(|key| self.nodes[*key as usize].deadline).min()
    }
}

fn waker() -> Waker {
    Waker::noop().clone()
}

const SECOND: u64 = 1_000_000_000;

/// Spread over ten seconds, in no order, after the first second.
fn deadline(i: u64) -> u64 {
    SECOND + i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (10 * SECOND)
}

fn filled<C: Candidate>(n: u64) -> C {
    let mut candidate = C::default();
    (0..n).for_each(|i| drop(candidate.insert(deadline(i), waker())));
    candidate
}

/// Timeouts that are dropped, before, after and among the pending ones.
fn drops<C: Candidate>(criterion: &mut Criterion, name: &str) {
    type Deadline = fn(u64) -> u64;
    let places: [(&str, Deadline); 3] = [
        ("before", |_| SECOND / 2),
        ("after", |i| 12 * SECOND + i),
        ("among", |i| deadline(2 * MILLION + i)),
    ];
    for (pending, shown) in [(0, "none"), (10_000, "10,000"), (MILLION, "1 M")] {
        let mut candidate = filled::<C>(pending);
        for (place, deadline) in places {
            let (row, mut i) = (format!("timeout dropped, {place} {shown}"), 0);
            criterion.benchmark_group(row).bench_function(name, |bencher| {
                bencher.iter(|| {
                    i += 1;
                    let key = candidate.insert(deadline(i), waker());
                    // The loop asks this before it parks.
                    std::hint::black_box(candidate.next());
                    candidate.cancel(key);
                });
            });
        }
    }
}

fn measure<C: Candidate>(criterion: &mut Criterion, name: &str) {
    drops::<C>(criterion, name);
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
                candidate.fire(SECOND + step * SECOND / 100, &mut due);
                fired += due.drain(..).count();
            }
            assert_eq!(fired as u64, MILLION);
            candidate
        };
        bencher.iter_batched(|| filled::<C>(MILLION), fire, BatchSize::PerIteration);
    });
    group.finish();
    println!("longest step beside 1 M: {name}: {:?}", longest_step::<C>());
}

/// A step lets the next of a million timers fire, inserts another, and asks for the next. The steps are the same in each
/// of five runs, so one that takes long in one run only was interrupted.
fn longest_step<C: Candidate>() -> Duration {
    let mut shortest = vec![Duration::MAX; 100_000];
    for _ in 0..5 {
        let (mut candidate, mut due) = (filled::<C>(MILLION), Vec::with_capacity(1));
        for (i, shortest) in shortest.iter_mut().enumerate() {
            let start = Instant::now();
            let now = candidate.next().unwrap_or_default();
            candidate.fire(now, &mut due);
            candidate.insert(now + deadline(MILLION + i as u64), waker());
            candidate.next();
            *shortest = start.elapsed().min(*shortest);
            due.clear();
        }
    }
    shortest.into_iter().max().unwrap_or_default()
}

fn structures(criterion: &mut Criterion) {
    measure::<Ours>(criterion, "segments");
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
