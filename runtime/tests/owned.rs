//! Owned guards and permits: they go where a borrowed one cannot, and stand in the same line.
//!
//! `matrix.rs` and `budget.rs` have rows for them; here is what only they can do, and what they do to the value.

#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use roundel::sync::{Mutex, RwLock, Semaphore, TryAcquireError};
use roundel::testing::{at_every_await, settle};
use roundel::{Runtime, group, spawn, time, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

/// Counts how often it is dropped.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_guard_outlives_the_last_handle_to_its_lock() {
    let drops = Rc::new(Cell::new(0));
    let mutex = Rc::new(Mutex::new(Counted(drops.clone())));
    let (weak, guard) = (Rc::downgrade(&mutex), Rc::clone(&mutex).try_lock_owned().unwrap());
    drop(mutex);
    assert_eq!((weak.strong_count(), drops.get()), (1, 0));
    drop(guard);
    assert_eq!((weak.strong_count(), drops.get()), (0, 1));

    let lock = Rc::new(RwLock::new(Counted(drops.clone())));
    let guards = (Rc::clone(&lock).try_read_owned().unwrap(), Rc::clone(&lock).try_read_owned().unwrap());
    drop(lock);
    assert_eq!(drops.get(), 1);
    drop(guards);
    assert_eq!(drops.get(), 2);

    let lock = Rc::new(RwLock::new(Counted(drops.clone())));
    let guard = Rc::clone(&lock).try_write_owned().unwrap();
    drop(lock);
    assert_eq!(drops.get(), 2);
    drop(guard);
    assert_eq!(drops.get(), 3);
}

#[test]
fn the_value_is_back_when_the_lock_is_free() {
    virtually(async {
        let mutex = Rc::new(Mutex::new(vec![1]));
        let mut guard = Rc::clone(&mutex).lock_owned().await;
        guard.push(2);
        assert!(
            mutex.try_lock().is_none() && Rc::clone(&mutex).try_lock_owned().is_none() && mutex.is_locked()
        );
        assert_eq!(format!("{mutex:?} {guard:?}"), "Mutex { value: <locked>, .. } [1, 2]");
        drop(guard);
        assert_eq!(*mutex.lock().await, [1, 2]);
        let mut mutex = Rc::into_inner(mutex).unwrap();
        mutex.get_mut().push(3);
        assert_eq!(mutex.into_inner(), [1, 2, 3]);

        let lock = Rc::new(RwLock::new(vec![1]));
        let mut guard = Rc::clone(&lock).write_owned().await;
        guard.push(2);
        assert!(lock.try_read().is_none() && Rc::clone(&lock).try_read_owned().is_none());
        assert_eq!(format!("{lock:?} {guard:?}"), "RwLock { value: <locked>, .. } [1, 2]");
        drop(guard);
        let (owned, borrowed) = (Rc::clone(&lock).read_owned().await, lock.read().await);
        assert_eq!((&*owned, &*borrowed), (&vec![1, 2], &vec![1, 2]));
        assert!(lock.try_write().is_none() && Rc::clone(&lock).try_write_owned().is_none());
        drop((owned, borrowed));
        lock.write().await.push(3);
        let mut lock = Rc::into_inner(lock).unwrap();
        lock.get_mut().push(4);
        assert_eq!(lock.into_inner(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_panic_puts_the_value_back() {
    let (mutex, lock) = (Rc::new(Mutex::new(1)), Rc::new(RwLock::new(1)));
    let panics = || {
        let (mut guard, mut writing) =
            (Rc::clone(&mutex).try_lock_owned().unwrap(), Rc::clone(&lock).try_write_owned().unwrap());
        (*guard, *writing) = (2, 2);
        panic!("expected: while the locks are held");
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!((*mutex.try_lock().unwrap(), *lock.try_read().unwrap()), (2, 2));
}

#[test]
fn owned_and_borrowed_waiters_stand_in_one_line() {
    virtually(async {
        let (mutex, order) = (Rc::new(Mutex::new(())), RefCell::new(Vec::new()));
        let held = Rc::clone(&mutex).lock_owned().await;
        let owned = async |number| {
            let _guard = Rc::clone(&mutex).lock_owned().await;
            order.borrow_mut().push(number);
            yield_now().await;
        };
        let borrowed = async |number| {
            let _guard = mutex.lock().await;
            order.borrow_mut().push(number);
            yield_now().await;
        };
        let release = async {
            settle().await;
            drop(held);
        };
        group::join!(owned(1), borrowed(2), owned(3), borrowed(4), release);
        assert_eq!(*order.borrow(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_writer_is_not_starved_by_owned_readers() {
    virtually(async {
        let lock = Rc::new(RwLock::new(0));
        let reading = Rc::clone(&lock).read_owned().await;
        let theirs = lock.clone();
        let writer = spawn(async move { *Rc::clone(&theirs).write_owned().await += 1 });
        settle().await;
        assert!(Rc::clone(&lock).try_read_owned().is_none(), "a writer waits");
        let theirs = lock.clone();
        let reader = spawn(async move { *Rc::clone(&theirs).read_owned().await });
        settle().await;
        drop(reading);
        writer.await.unwrap();
        assert_eq!(reader.await.unwrap(), 1);
    });
}

#[test]
fn a_waiter_that_is_dropped_keeps_nothing() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let mutex = Rc::new(Mutex::new(7));
            let lock = Rc::new(RwLock::new(7));
            let semaphore = Rc::new(Semaphore::new(1));
            let held = (
                Rc::clone(&mutex).lock_owned().await,
                Rc::clone(&lock).read_owned().await,
                Rc::clone(&semaphore).acquire_owned().await,
            );
            let asks = async {
                let first = Rc::clone(&mutex).lock_owned().await;
                let second = Rc::clone(&lock).write_owned().await;
                let third = Rc::clone(&semaphore).acquire_owned().await;
                drop((first, second, third));
            };
            let release = async {
                let (mutex, lock, permit) = held;
                settle().await;
                drop(mutex);
                settle().await;
                drop(lock);
                settle().await;
                drop(permit);
            };
            group::join!(cut.run(asks), release);
            assert_eq!(Rc::strong_count(&mutex), 1, "a dropped future lets go of its lock");
            assert_eq!((*mutex.try_lock().unwrap(), *lock.try_write().unwrap()), (7, 7));
            assert_eq!(semaphore.available(), 1);
        })
        .await;
        assert!(places >= 6, "{places}");
    });
}

#[test]
fn permits_that_keep_their_semaphore_alive() {
    virtually(async {
        let semaphore = Rc::new(Semaphore::new(3));
        let weak: Weak<Semaphore> = Rc::downgrade(&semaphore);
        let permit = Rc::clone(&semaphore).acquire_many_owned(2).await.unwrap();
        assert_eq!((permit.count(), semaphore.available()), (2, 1));
        assert_eq!(Rc::clone(&semaphore).try_acquire_many_owned(2).unwrap_err(), TryAcquireError::NoPermits);
        Rc::clone(&semaphore).try_acquire_owned().unwrap().forget();
        assert_eq!(semaphore.available(), 0);
        let theirs = semaphore.clone();
        let waits =
            spawn(async move { Rc::clone(&theirs).acquire_owned().await.map(|permit| permit.count()) });
        time::sleep(SECOND).await;
        semaphore.close();
        assert!(waits.await.unwrap().is_err());
        assert_eq!(Rc::clone(&semaphore).try_acquire_owned().unwrap_err(), TryAcquireError::Closed);
        drop(semaphore);
        assert!(weak.upgrade().is_some(), "the permit is still held");
        drop(permit);
        assert!(weak.upgrade().is_none());
        let closed = Rc::new(Semaphore::new(1));
        closed.close();
        assert!(Rc::clone(&closed).acquire_owned().await.is_err(), "closed, although a permit is free");
    });
}

thread_local!(static WRITES: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>> = const { RefCell::new(None) });

/// Polls the future at once when it is woken, as a foreign executor may.
struct Inline;

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let mut writes = WRITES.take().unwrap();
        assert!(writes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}

/// The writer runs inside the destructor of the last reader's guard.
#[test]
fn a_reader_has_let_go_of_the_value_before_a_writer_is_called() {
    let lock = Rc::new(RwLock::new(1));
    let reading = Rc::clone(&lock).try_read_owned().unwrap();
    let writing = Rc::clone(&lock).write_owned();
    let mut writes: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { *writing.await = 2 });
    let waker = Waker::from(Arc::new(Inline));
    assert!(writes.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    WRITES.set(Some(writes));
    // A panic in a waker goes no further, so look at what it has done.
    drop(reading);
    assert_eq!(*lock.try_read().unwrap(), 2);
}
