//! The table hears of waits directly, without the watcher that balances them for sinks. Random programs are run twice, once with
//! such a table and once with a balanced one: both have to show the same.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roundel::channel::{Receiver, Sender, bounded};
use roundel::sync::{Mutex, Notify};
use roundel::{Runtime, TaskId, group, spawn, time, yield_now};
use testkit::Random;

/// What the tasks share.
#[derive(Clone)]
struct World {
    locks: Rc<[Mutex<()>; 3]>,
    channels: Rc<Vec<(Sender<u32>, Receiver<u32>)>>,
    notify: Rc<Notify>,
    random: Rc<RefCell<Random>>,
    log: Rc<RefCell<Vec<String>>>,
}

impl World {
    fn below(&self, limit: usize) -> usize {
        self.random.borrow_mut().below(limit)
    }
}

/// A few steps that wait in one way or another.
async fn act(world: World, depth: u32) {
    for _ in 0..world.below(6) + 1 {
        let lock = &world.locks[world.below(3)];
        let (sender, receiver) = &world.channels[world.below(world.channels.len())];
        let short = Duration::from_millis(world.below(4) as u64);
        match world.below(10) {
            0 => yield_now().await,
            1 => time::sleep(short).await,
            2 => {
                let _guard = lock.lock().await;
                time::sleep(short).await;
            }
            3 => _ = time::timeout(short, lock.lock()).await,
            4 => _ = time::timeout(short, receiver.recv()).await,
            5 => _ = time::timeout(short, sender.send(1)).await,
            6 => {
                group::select! {
                    () = world.notify.notified() => {}
                    _ = receiver.recv() => {}
                    () = time::sleep(short) => {}
                }
            }
            7 => world.notify.notify_one(),
            8 if depth > 0 => {
                let child =
                    spawn(Box::pin(act(world.clone(), depth - 1))
                        as std::pin::Pin<Box<dyn Future<Output = ()>>>);
                match world.below(3) {
                    0 => child.detach(),
                    1 => child.cancel(),
                    _ => _ = time::timeout(short, child).await,
                }
            }
            _ => show(&world),
        }
    }
}

/// Adds a line with what each task does and waits for.
fn show(world: &World) {
    let dump = roundel::dump();
    let waits = |id: TaskId| {
        let waits = dump.waits().filter(|(task, _)| task.id == id);
        // A task that has not looked yet at what it has waited for may show it or not: only its next poll tells.
        let mut waits: Vec<String> = waits
            .filter(|(task, _)| task.state.to_string() == "waiting")
            .map(|(_, wait)| format!("{} {:?} {:?}", wait.what, wait.on, wait.holder))
            .collect();
        waits.sort();
        waits
    };
    let tasks = dump.tasks().iter().map(|task| format!("{} {} {:?}", task.id, task.state, waits(task.id)));
    let line = tasks.collect::<Vec<_>>().join("; ");
    world.log.borrow_mut().push(line);
}

/// What the tasks of a random program show.
fn shown(seed: u64, balanced: bool) -> Vec<String> {
    let mut builder = Runtime::builder().virtual_time(true).shuffle(seed).metrics(true);
    if balanced {
        builder = builder.probe(|_| ());
    }
    let channels = (0..2).map(|_| bounded(1)).collect::<Vec<_>>();
    let world = World {
        locks: Rc::new([(); 3].map(Mutex::new)),
        channels: Rc::new(channels),
        notify: Rc::default(),
        random: Rc::new(RefCell::new(Random::new(seed))),
        log: Rc::default(),
    };
    builder.build().unwrap().block_on(async {
        let tasks: Vec<_> = (0..8).map(|_| spawn(act(world.clone(), 2))).collect();
        for _ in 0..50 {
            time::sleep(Duration::from_millis(1)).await;
            show(&world);
        }
        drop(tasks);
    });
    world.log.take()
}

#[test]
fn without_balancing_the_table_shows_the_same_waits() {
    let seeds = if cfg!(miri) { 2 } else { 300 };
    let mut waits = 0;
    for seed in 0..seeds {
        let (direct, balanced) = (shown(seed, false), shown(seed, true));
        for (number, (one, other)) in direct.iter().zip(&balanced).enumerate() {
            assert_eq!(one, other, "seed {seed}, picture {number}");
        }
        assert_eq!(direct.len(), balanced.len(), "seed {seed}");
        waits += balanced.iter().map(|line| line.matches("Line").count()).sum::<usize>();
    }
    assert!(cfg!(miri) || waits > 3_000, "only {waits} waits at locks and channels were compared");
}
