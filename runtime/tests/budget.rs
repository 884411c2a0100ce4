//! The budget: each await of one of our futures is an operation, and one poll of a task may do 128 of them.
//!
//! Each public future has a row below, which makes it ready again and again. If a future has no row, the test
//! `every_public_future_has_a_row` fails.

#![forbid(unsafe_code)]
#![cfg(feature = "workers")] // The table has a row for every public future.
#![allow(clippy::await_holding_refcell_ref, reason = "one task awaits, and nothing else borrows")]
#![allow(clippy::semicolon_if_nothing_returned, reason = "a row ends with what it awaits")]

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use roundel::cancel::{CancelToken, with_cleanup};
use roundel::channel::{self, Queue};
use roundel::process::{Command, Stdio};
use roundel::source::{AsyncFd, Direction, Source};
use roundel::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Mutex, Notify, OnceCell, Pool, RateLimiter, RwLock,
    Semaphore,
};
use roundel::task::{TaskSet, poll_budget, spend_budget};
use roundel::testing::{Cut, Sequencer, at_every_await, settle};
use roundel::{
    LoopBound, Runtime, blocking, group, remote, retry, signal, spawn, task_local, time, workers, yield_now,
};
use testkit::fair::Row;
use testkit::row;

task_local! { static KEY: u8; }

/// The next item of a stream.
async fn next<S: Stream + Unpin>(stream: &RefCell<S>) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream.borrow_mut()).poll_next(cx)).await
}

/// Changes a value and returns it.
fn after<T>(it: T, change: impl FnOnce(&T)) -> T {
    change(&it);
    it
}

/// Both ends of a channel. The methods of its receiver take `&mut self`, so the receiver is in a cell.
fn ends<S, R>((sender, receiver): (S, R)) -> (S, RefCell<R>) {
    (sender, RefCell::new(receiver))
}

/// A socket with one byte that no test reads. The kernel has reported it as readable. And its other end.
async fn readable() -> (AsyncFd<UnixStream>, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.write_all(b"x").unwrap();
    let ours = AsyncFd::new(ours).unwrap();
    ours.readable().await.unwrap();
    (ours, theirs)
}

/// While this is held, no other test of this file starts a process. It would have copies of what we have just closed, and
/// a pipe whose other end lives on has not ended.
fn starting() -> MutexGuard<'static, ()> {
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that has ended.
async fn ended() -> roundel::process::Child {
    let started = {
        let _starting = starting();
        Command::new("true").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    };
    let mut child = started.unwrap();
    let stdin = child.stdin.take();
    child.wait().await.unwrap();
    child.stdin = stdin;
    child
}

fn rows() -> Vec<Row> {
    let mut rows = locks();
    rows.extend(channels());
    rows.extend(more_channels());
    rows.extend(groups());
    rows.extend(wrappers());
    rows.extend(tasks());
    rows.extend(time_and_tests());
    if !cfg!(miri) {
        rows.extend(world());
        rows.extend(children());
    }
    rows
}

fn locks() -> Vec<Row> {
    vec![
        row!(["mutex::Lock"], { it = Mutex::new(()) }, it.lock().await),
        row!(["rwlock::read"], { it = RwLock::new(()) }, it.read().await),
        row!(["rwlock::write"], { it = RwLock::new(()) }, it.write().await),
        row!(["semaphore::Acquire"], { it = Semaphore::new(1) }, it.acquire().await.unwrap()),
        row!(
            ["semaphore::Acquire"],
            { it = after(Semaphore::new(1), |it| it.close()) },
            it.acquire().await.unwrap_err()
        ),
        row!(["semaphore::acquire"], { it = BoundedSemaphore::new(1) }, it.acquire().await.unwrap()),
        row!(["owned::LockOwned"], { it = Mutex::new(()) }, Rc::clone(&it).lock_owned().await),
        row!(["owned::read_owned"], { it = RwLock::new(()) }, Rc::clone(&it).read_owned().await),
        row!(["owned::write_owned"], { it = RwLock::new(()) }, Rc::clone(&it).write_owned().await),
        row!(
            ["owned::AcquireOwned"],
            { it = Semaphore::new(1) },
            Rc::clone(&it).acquire_owned().await.unwrap()
        ),
        row!(
            ["owned::AcquireOwned"],
            { it = after(Semaphore::new(1), |it| it.close()) },
            Rc::clone(&it).acquire_owned().await.unwrap_err()
        ),
        row!(["notify::Notified"], { it = Notify::new() }, {
            it.notify_one();
            it.notified().await;
        }),
        row!(["event::wait"], { it = after(Event::new(), |it| it.set()) }, it.wait().await),
        row!(["barrier::wait"], { it = Barrier::new(1) }, it.wait().await),
        row!(["once::get_or_init"], { it = OnceCell::new() }, it.get_or_init(async || 1).await),
        row!(
            ["once::get_or_try_init"],
            { it = OnceCell::<u8>::new() },
            it.get_or_try_init(async || Err::<u8, ()>(())).await
        ),
        row!(
            ["condition::wait_while"],
            { mutex = Mutex::new(0), it = Condition::new() },
            {
                // Takes the mutex without an await, so that only the condition can spend budget.
                let guard = mutex.try_lock().unwrap();
                it.wait_while(guard, |_| false).await
            }
        ),
        row!(["rate::acquire"], { it = RateLimiter::new(1e9, u32::MAX) }, it.acquire().await),
        row!(
            ["pool::checkout"],
            { it = Pool::new(1, || ready(std::io::Result::Ok(1))) },
            it.checkout().await.unwrap()
        ),
    ]
}

fn channels() -> Vec<Row> {
    vec![
        row!(["mpmc::Recv"], { it = channel::bounded(1) }, {
            it.0.try_send(1).unwrap();
            it.1.recv().await.unwrap()
        }),
        row!(["mpmc::Recv"], { it = channel::priority(1) }, {
            it.0.try_send(1).unwrap();
            it.1.recv().await.unwrap()
        }),
        row!(["mpmc::Recv"], { it = channel::bounded::<u8>(1).1 }, it.recv().await.unwrap_err()),
        row!(["mpmc::Receiver"], { it = ends(channel::bounded(1)) }, {
            it.0.try_send(1).unwrap();
            next(&it.1).await.unwrap()
        }),
        row!(["buffer::Send"], { it = channel::bounded(1) }, {
            it.0.send(1).await.unwrap();
            it.1.try_recv().unwrap()
        }),
        row!(["buffer::Send"], { it = channel::unbounded() }, {
            it.0.send(1).await.unwrap();
            it.1.try_recv().unwrap()
        }),
        row!(["buffer::Send"], { it = channel::bounded(1).0 }, it.send(1).await.unwrap_err()),
        row!(["buffer::Send"], { it = channel::bounded(0).0 }, it.send(1).await.unwrap_err()),
        row!(["mpmc::reserve"], { it = channel::bounded::<u8>(1) }, it.0.reserve().await.unwrap()),
        row!(["mpmc::reserve"], { it = channel::unbounded::<u8>() }, it.0.reserve().await.unwrap()),
    ]
}

fn more_channels() -> Vec<Row> {
    vec![
        row!(["queue::Put"], { it = Queue::unbounded() }, {
            it.put(1).await.unwrap();
            it.try_get().unwrap()
        }),
        row!(["queue::join"], { it = Queue::<u8>::new(1) }, it.join().await),
        row!(["oneshot::OneshotReceiver"], {}, {
            let (sender, receiver) = channel::oneshot();
            sender.send(1).unwrap();
            receiver.await.unwrap()
        }),
        row!(["oneshot::closed"], {}, {
            let (mut sender, receiver) = channel::oneshot::<u8>();
            drop(receiver);
            sender.closed().await;
        }),
        row!(["broadcast::recv"], { it = ends(channel::broadcast(1)) }, {
            it.0.send(1).unwrap();
            let mut receiver = it.1.borrow_mut();
            receiver.recv().await.unwrap()
        }),
        row!(["broadcast::BroadcastReceiver"], { it = ends(channel::broadcast(1)) }, {
            it.0.send(1).unwrap();
            next(&it.1).await.unwrap().unwrap()
        }),
        row!(["watch::closed"], { it = channel::watch(1).0 }, it.closed().await),
        row!(["watch::changed"], { it = ends(channel::watch(1)) }, {
            it.0.send(1).unwrap();
            let mut receiver = it.1.borrow_mut();
            receiver.changed().await.unwrap()
        }),
        row!(["watch::wait_for"], { it = RefCell::new(channel::watch(1).1) }, {
            let mut receiver = it.borrow_mut();
            receiver.wait_for(|_| true).await.unwrap()
        }),
    ]
}

fn groups() -> Vec<Row> {
    vec![
        row!(["join::Join"], {}, group::join!(ready(()), ready(()))),
        row!(["join::Select"], {}, group::select! { () = ready(()) => {} }),
        row!(["join::Select"], {}, group::select! { () = ready(()), if false => {}, else => {} }),
        row!(["gather::Gather"], {}, group::gather([ready(())]).await),
        row!(["gather::Gather"], {}, group::gather(std::iter::empty::<std::future::Ready<()>>()).await),
        row!(["gather::try_gather"], {}, group::try_gather([ready(Ok::<(), ()>(()))]).await),
        row!(["gather::Outcome"], {}, group::gather_outcomes([ready(())]).await),
        row!(["gather::Race"], {}, group::race([ready(())]).await),
        row!(["gather::next"], {}, group::as_completed([ready(())]).next().await),
        row!(
            ["gather::AsCompleted"],
            { it = RefCell::new(group::as_completed(std::iter::empty::<std::future::Ready<()>>())) },
            next(&it).await
        ),
        row!(["gather::ForEachConcurrent"], {}, group::for_each_concurrent(1, [(); 0], ready).await),
        row!(
            ["scope::scope", "state::Run", "child::ScopedHandle", "child::Child"],
            10,
            |_| {},
            group::scope(async |s: &group::Scope<'_>| s.spawn(async {}).await.unwrap()).await
        ),
        row!(
            ["scope::try_scope", "scope::start"],
            10,
            |_| {},
            group::try_scope(async |s| {
                let told = s.start(async |ready: group::Ready<u8>| {
                    ready.set(1);
                    Ok::<(), ()>(())
                });
                assert_eq!(told.await, Ok(1));
                Ok(())
            })
            .await
        ),
        row!(["shield::Shield"], 10, |_| {}, group::shield(ready(())).await),
    ]
}

fn wrappers() -> Vec<Row> {
    vec![
        row!(
            ["cancel::cancelled"],
            { it = after(CancelToken::new(), |it| it.cancel()) },
            it.cancelled().await
        ),
        row!(["cancel::run"], { it = CancelToken::new() }, it.run(ready(())).await.unwrap()),
        row!(["cancel::WithCleanup"], {}, with_cleanup(ready(()), || ready(())).await),
        row!(
            ["retry::retry", "retry::retry_if"],
            { it = retry::Backoff::exponential(Duration::from_secs(1)) },
            retry::retry((*it).clone(), async || Ok::<(), ()>(())).await.unwrap()
        ),
    ]
}

fn tasks() -> Vec<Row> {
    vec![
        row!(
            ["join::JoinHandle"],
            1,
            |count| {
                it = {
                    let handles: Vec<_> = (0..count).map(|_| spawn(async {})).collect();
                    settle().await;
                    RefCell::new(handles)
                }
            },
            {
                let handle = it.borrow_mut().pop().unwrap();
                handle.await.unwrap()
            }
        ),
        row!(["join::JoinHandle"], {}, {
            let handle = spawn(async {});
            handle.cancel();
            handle.await.unwrap_err()
        }),
        row!(["join::CancelOnDrop"], {}, {
            let handle = spawn(async {}).cancel_on_drop();
            handle.cancel();
            handle.await.unwrap_err()
        }),
        row!(
            ["set::TaskSet", "set::join_next", "set::next"],
            1,
            |count| { it = RefCell::new(ended_set(count).await) },
            next(&it).await.unwrap().unwrap()
        ),
        row!(["set::TaskSet"], { it = RefCell::new(TaskSet::<()>::new()) }, next(&it).await),
        row!(["bound::LoopBound"], {}, LoopBound::new(ready(())).await),
        row!(["bound::LoopBound"], { it = RefCell::new(LoopBound::new(Endless)) }, next(&it).await),
        row!(
            ["bytes::LoopBound"],
            { it = RefCell::new(LoopBound::new(Endless)) },
            poll_fn(|cx| Pin::new(&mut *it.borrow_mut()).poll_read(cx, &mut [0])).await.unwrap()
        ),
        row!(
            ["remote::RemoteHandle"],
            10,
            |count| {
                it = {
                    let handles: Vec<_> = (0..count).map(|_| remote().spawn(|| ready(()))).collect();
                    while !handles.iter().all(roundel::RemoteHandle::is_finished) {
                        yield_now().await;
                    }
                    RefCell::new(handles)
                }
            },
            {
                let handle = it.borrow_mut().pop().unwrap();
                handle.await.unwrap()
            }
        ),
    ]
}

/// A set whose tasks have ended.
async fn ended_set(count: usize) -> TaskSet<()> {
    let mut set = TaskSet::new();
    for _ in 0..count {
        set.spawn(async {});
    }
    settle().await;
    set
}

/// Always has another item and another byte, and knows of no budget.
struct Endless;

impl Stream for Endless {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<()>> {
        Poll::Ready(Some(()))
    }
}

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(1))
    }
}

fn time_and_tests() -> Vec<Row> {
    vec![
        row!(["local::Scope"], {}, KEY.scope(1, ready(())).await),
        row!(["task::YieldNow"], 10, |_| {}, yield_now().await),
        row!(
            ["task::YieldNow"],
            {
                it = {
                    let mut it = yield_now();
                    (&mut it).await;
                    RefCell::new(it)
                }
            },
            poll_fn(|cx| Pin::new(&mut *it.borrow_mut()).poll(cx)).await
        ),
        row!(["task::spend_budget"], {}, spend_budget().await),
        row!(["task::poll_budget"], {}, poll_fn(|cx| poll_budget(cx)).await),
        row!(["time::Sleep"], 10, |_| {}, time::sleep(Duration::ZERO).await),
        row!(
            ["time::Sleep"],
            {
                it = {
                    let mut it = Box::pin(time::sleep(Duration::ZERO));
                    (&mut it).await;
                    RefCell::new(it)
                }
            },
            poll_fn(|cx| it.borrow_mut().as_mut().poll(cx)).await
        ),
        row!(["time::Timeout"], {}, time::timeout(Duration::ZERO, ready(())).await.unwrap()),
        row!(
            ["time::tick", "time::poll_tick", "time::Interval"],
            10,
            |_| { it = RefCell::new(time::interval(Duration::ZERO)) },
            {
                let mut interval = it.borrow_mut();
                interval.tick().await
            }
        ),
        row!(["testing::run"], { it = Cut::at(usize::MAX) }, it.run(ready(())).await),
        row!(["testing::at_every_await"], {}, at_every_await(async |_| {}).await),
        row!(["testing::settle"], 100, |_| {}, yield_now().await),
        row!(["testing::turn"], { it = Sequencer::new() }, it.turn(0).await),
    ]
}

/// Futures that depend on the kernel, another thread or another process.
fn world() -> Vec<Row> {
    vec![
        row!(
            ["registered::Ready"],
            {
                it = {
                    let socket =
                        Source::new(mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
                    let socket = socket.unwrap();
                    socket.writable().await.unwrap();
                    socket
                }
            },
            it.writable().await.unwrap()
        ),
        row!(["descriptor::readable"], 10, |_| { it = readable().await }, it.0.readable().await.unwrap()),
        row!(["descriptor::writable"], 10, |_| { it = readable().await }, it.0.writable().await.unwrap()),
        row!(
            ["registered::Io", "descriptor::io"],
            { it = readable().await },
            it.0.io(Direction::Read, |_| Ok(())).await.unwrap()
        ),
        row!(
            ["registered::poll_io", "descriptor::poll_io"],
            { it = readable().await },
            poll_fn(|cx| it.0.poll_io(cx, Direction::Read, |_| Ok(()))).await.unwrap()
        ),
        row!(
            ["signal::recv", "signal::poll_recv"],
            { it = RefCell::new(signal::Signals::new([signal::USR1]).unwrap()) },
            {
                signal_hook::low_level::raise(signal::USR1).unwrap();
                let mut signals = it.borrow_mut();
                signals.recv().await
            }
        ),
        row!(
            ["signal::next", "signal::Signals"],
            { it = RefCell::new(signal::Signals::new([signal::USR2]).unwrap()) },
            {
                signal_hook::low_level::raise(signal::USR2).unwrap();
                next(&it).await
            }
        ),
        row!(["blocking::Unblock"], 1000, |_| {}, blocking::unblock(|| ()).await.unwrap()),
        row!(
            ["blocking::map"],
            { it = blocking::ThreadPool::new(1) },
            it.map([(); 0], |()| ()).await.unwrap()
        ),
        row!(
            ["workers::map"],
            {
                it = {
                    workers::serve(&[]);
                    let _starting = starting();
                    workers::ProcessPool::new(1).unwrap()
                }
            },
            it.map("none", [""; 0]).await
        ),
    ]
}

fn children() -> Vec<Row> {
    vec![
        row!(["process::wait"], { it = RefCell::new(ended().await) }, {
            let mut child = it.borrow_mut();
            child.wait().await.unwrap()
        }),
        row!(["process::kill"], { it = RefCell::new(ended().await) }, {
            let mut child = it.borrow_mut();
            child.kill().await.unwrap()
        }),
        row!(["pipes::read"], { it = ended().await.stdout.unwrap() }, it.read(&mut [0]).await.unwrap()),
        row!(
            ["pipes::read_to_end"],
            { it = ended().await.stdout.unwrap() },
            it.read_to_end(&mut Vec::new()).await.unwrap()
        ),
        row!(
            ["pipes::read_to_string"],
            { it = ended().await.stdout.unwrap() },
            it.read_to_string(&mut String::new()).await.unwrap()
        ),
        row!(
            ["pipes::ChildOutput"],
            { it = ended().await.stdout.unwrap() },
            poll_fn(|cx| Pin::new(&mut &*it).poll_read(cx, &mut [0])).await.unwrap()
        ),
        row!(["pipes::write"], { it = ended().await.stdin.unwrap() }, it.write(b"x").await.unwrap_err()),
        row!(
            ["pipes::write_all"],
            { it = ended().await.stdin.unwrap() },
            it.write_all(b"x").await.unwrap_err()
        ),
        row!(
            ["pipes::ChildStdin"],
            { it = ended().await.stdin.unwrap() },
            poll_fn(|cx| Pin::new(&mut &*it).poll_write(cx, b"x")).await.unwrap_err()
        ),
    ]
}

/// Futures that cannot be ready again and again, each with the reason.
const EXEMPT: &[(&str, &str)] = &[
    ("condition::wait", "waits for a notification that comes after it"),
    ("process::status", "starts a program"),
    ("process::output", "starts a program"),
    ("process::wait_with_output", "takes the child"),
    ("signal::Caught", "listens once"),
    ("signal::Shutdown", "listens once"),
    ("workers::Running", "is another process's answer"),
    ("rest::Rest", "private: the rest of a scope that has failed"),
    ("waiting::Wait", "private: the rows of locks and channels go through it"),
    ("permits::Take", "private: the rows of locks go through it"),
    ("set::Member", "private: the future of a task"),
];

testkit::fairness_tests!(rows, EXEMPT);

/// Uses up the budget of the running poll.
async fn burn() {
    poll_fn(|cx| {
        // Twice, because a small reserve is left after the first operation that gives way.
        for _ in 0..2 {
            while poll_budget(cx).is_ready() {}
        }
        std::task::Poll::Ready(())
    })
    .await;
}

/// Asks for something that only one task can have. The first task to ask gets it.
type Ask = fn(Rc<One>) -> Pin<Box<dyn Future<Output = ()>>>;

struct One {
    mutex: Rc<Mutex<()>>,
    rwlock: Rc<RwLock<()>>,
    semaphore: Rc<Semaphore>,
    notify: Notify,
    pool: Pool<u8>,
    channel: (channel::Sender<u8>, channel::Receiver<u8>),
    room: (channel::Sender<u8>, channel::Receiver<u8>),
    queue: Queue<u8>,
}

impl One {
    fn new() -> Rc<One> {
        let one = One {
            mutex: Rc::new(Mutex::new(())),
            rwlock: Rc::new(RwLock::new(())),
            semaphore: Rc::new(Semaphore::new(1)),
            notify: Notify::new(),
            pool: Pool::new(1, || ready(Ok(1))),
            channel: channel::unbounded(),
            room: channel::bounded(1),
            queue: Queue::new(1),
        };
        one.notify.notify_one();
        one.channel.0.try_send(1).unwrap();
        one.queue.try_put(1).unwrap();
        Rc::new(one)
    }
}

const ASKS: &[(&str, Ask)] = &[
    ("mutex", |one| Box::pin(async move { std::mem::forget(one.mutex.lock().await) })),
    ("write", |one| Box::pin(async move { std::mem::forget(one.rwlock.write().await) })),
    ("semaphore", |one| Box::pin(async move { one.semaphore.acquire().await.unwrap().forget() })),
    ("mutex, owned", |one| {
        Box::pin(async move { std::mem::forget(Rc::clone(&one.mutex).lock_owned().await) })
    }),
    ("write, owned", |one| {
        Box::pin(async move { std::mem::forget(Rc::clone(&one.rwlock).write_owned().await) })
    }),
    ("semaphore, owned", |one| {
        Box::pin(async move { Rc::clone(&one.semaphore).acquire_owned().await.unwrap().forget() })
    }),
    ("notify", |one| Box::pin(async move { one.notify.notified().await })),
    ("pool", |one| Box::pin(async move { std::mem::forget(one.pool.checkout().await) })),
    ("recv", |one| {
        Box::pin(async move {
            let _ = one.channel.1.recv().await;
        })
    }),
    ("send", |one| {
        Box::pin(async move {
            let _ = one.room.0.send(1).await;
        })
    }),
    ("reserve", |one| Box::pin(async move { std::mem::forget(one.room.0.reserve().await) })),
    ("get", |one| {
        Box::pin(async move {
            let _ = one.queue.get().await;
        })
    }),
];

#[test]
fn first_come_first_served_also_without_budget() {
    for (name, ask) in ASKS {
        let runtime = Runtime::builder().virtual_time(true).build().unwrap();
        runtime.block_on(async {
            let (one, done) = (One::new(), Rc::new(RefCell::new(Vec::new())));
            for (who, burns) in [("first", true), ("second", false)] {
                let (one, done) = (one.clone(), done.clone());
                spawn(async move {
                    if burns {
                        burn().await;
                    }
                    ask(one).await;
                    done.borrow_mut().push(who);
                })
                .detach();
            }
            settle().await;
            assert_eq!(*done.borrow(), ["first"], "{name}");
        });
    }
}

#[test]
fn what_is_kept_for_a_task_without_budget_goes_on_when_the_task_is_dropped() {
    for (name, ask) in ASKS {
        let runtime = Runtime::builder().virtual_time(true).build().unwrap();
        runtime.block_on(async {
            let one = One::new();
            let theirs = one.clone();
            let first = spawn(async move {
                burn().await;
                ask(theirs).await;
            });
            let second = spawn(ask(one));
            yield_now().await;
            assert!(!first.is_finished() && !second.is_finished(), "{name}: the first has it");
            first.cancel();
            settle().await;
            assert!(second.is_finished(), "{name}: nothing is taken, and the second still waits");
        });
    }
}

#[test]
fn siblings_in_a_foreign_combinator_have_their_turns_beside_one_that_never_waits() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = channel::bounded(4);
        spawn(async move { while sender.send(1).await.is_ok() {} }).detach();
        let busy = async {
            loop {
                spend_budget().await;
            }
        };
        let got = std::cell::Cell::new(0);
        let others = [(); 3].map(|()| async {
            for _ in 0..100 {
                receiver.recv().await.unwrap();
                got.set(got.get() + 1);
            }
        });
        let mut all: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = vec![Box::pin(busy)];
        all.extend(others.map(|other| Box::pin(other) as Pin<Box<dyn Future<Output = ()> + '_>>));
        let mut polls = 0;
        poll_fn(|cx| {
            // As a `join_all` does that polls all of its futures every time.
            all.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            polls += 1;
            if all.len() == 1 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        assert_eq!(got.get(), 300);
        assert!(polls < 1_000, "{polls} polls");
    });
}

/// The first future uses up the budget of every poll. The other one still does the operations of the reserve, sixteen a
/// poll, and not just one.
#[test]
fn a_sibling_in_a_foreign_combinator_has_the_reserve() {
    Runtime::new().unwrap().block_on(async {
        let mut busy = Box::pin(async {
            loop {
                spend_budget().await;
            }
        });
        let mut other = Box::pin(async {
            for _ in 0..160 {
                spend_budget().await;
            }
        });
        let mut polls = 0;
        poll_fn(|cx| {
            let _pending: std::task::Poll<()> = busy.as_mut().poll(cx);
            polls += 1;
            assert!(polls <= 20, "{polls} polls for 160 operations");
            other.as_mut().poll(cx)
        })
        .await;
    });
}

#[test]
fn a_timeout_around_a_future_that_never_waits_ends() {
    Runtime::new().unwrap().block_on(async {
        let busy = async {
            loop {
                spend_budget().await;
            }
        };
        let timed = time::timeout(Duration::from_millis(1), busy);
        // It also ends beside a sibling that uses up the budget of every poll.
        let sibling = async {
            loop {
                spend_budget().await;
            }
        };
        group::select! {
            () = sibling => unreachable!(),
            result = timed => assert!(result.is_err()),
        }
    });
}

#[test]
fn an_executor_inside_a_task_comes_to_its_end() {
    Runtime::new().unwrap().block_on(async {
        let (sender, receiver) = channel::unbounded();
        (0..10_000).for_each(|i| sender.try_send(i).unwrap());
        let mut receiving = std::pin::pin!(async {
            for i in 0..10_000 {
                assert_eq!(receiver.recv().await, Ok(i));
            }
        });
        // This never goes back to the loop, so nothing refills the budget.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let polls = (0..1_000_000).position(|_| receiving.as_mut().poll(&mut cx).is_ready());
        assert!(polls.is_some());
    });
}

#[test]
fn all_errors_of_one_turn_are_heard_however_many() {
    Runtime::new().unwrap().block_on(async {
        let failed = group::try_scope(async |s: &group::TryScope<'_, usize>| {
            for i in 0..300 {
                drop(s.spawn(async move { Err::<(), usize>(i) }));
            }
            yield_now().await;
            Ok(())
        });
        assert!(failed.await.unwrap_err().into_errors().into_iter().eq(0..300));
    });
}
