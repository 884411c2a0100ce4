//! What connections cost, and what is left of them: bytes on the heap, tasks and registered sources (hazard
//! 53).
//!
//! The memory of the process would be the wrong measure. The allocator does not give freed memory back to the
//! system while a single block above it is in use. So these tests count what is allocated and freed.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::alloc::System;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_io::AsyncRead;
use roundel::blocking::unblock;
use roundel::{source, spawn, task, time};
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream, serve};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use testkit::alone::expect_success;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs a test in a process of its own: all threads share the heap, and those of the harness and of other tests begin and end
/// whenever they like. One at a time, because some need much memory.
fn alone(test: &str, body: impl FnOnce()) {
    static TURN: Mutex<()> = Mutex::new(());
    if common::is_alone(test) {
        return body();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("env");
    common::rerun(&mut command, test);
    let output = common::output(&mut command).expect("`env` runs");
    expect_success(test, &output);
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = said.lines().filter_map(|line| line.find("footprint: ").map(|at| &line[at..]));
    figures.for_each(|figure| println!("{figure}"));
}

/// Bytes in use.
fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

async fn echo(stream: TcpStream, buffers: Buffers) -> std::io::Result<()> {
    loop {
        let bytes = stream.read_chunk(&buffers).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes).await?;
    }
}

/// Clients that have had an answer, in a separate thread. Each is one descriptor and nothing on the heap.
fn connect(address: SocketAddr, count: usize) -> Vec<std::net::TcpStream> {
    let mut clients = Vec::with_capacity(count);
    clients.resize_with(count, || std::net::TcpStream::connect(address).unwrap());
    for mut client in &clients {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    clients
}

fn reset(clients: Vec<std::net::TcpStream>) {
    for client in clients {
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The present counts.
fn census() -> (usize, usize) {
    (task::count(), source::count())
}

#[test]
fn hazard_53_connections_leave_neither_memory_nor_tasks_nor_sources() {
    alone("hazard_53_connections_leave_neither_memory_nor_tasks_nor_sources", || {
        let _watchdog = common::watchdog();
        // Both ends are in this process, whose limit of descriptors may be low.
        let count = if cfg!(debug_assertions) { 200 } else { 400 };
        let (first, second) = roundel::run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let buffers = Buffers::default();
            let server = spawn(serve(listener, move |stream| echo(stream, buffers.clone())).into_future());
            let wave = async || {
                let before = census();
                let clients = unblock(move || connect(address, count)).await.unwrap();
                let bytes = heap() - clients.capacity() * size_of::<std::net::TcpStream>();
                assert_eq!(census(), (before.0 + count, before.1 + count));
                unblock(move || reset(clients)).await.unwrap();
                while census() != before {
                    time::sleep(Duration::from_millis(1)).await;
                }
                (bytes, heap())
            };
            // In the first wave the tables grow, and they keep that size.
            wave().await;
            let (first, second) = (wave().await, wave().await);
            for _ in 0..if cfg!(debug_assertions) { 5 } else { 30 } {
                wave().await;
            }
            let last = wave().await;
            server.cancel();
            println!(
                "footprint: {} bytes of heap for each of {count} connections",
                (first.0 - first.1) / count
            );
            println!("footprint: {} bytes with none, {} many waves later", second.1, last.1);
            (second, last)
        });
        let (grown, held) = (second.1.abs_diff(first.1), (second.0 - second.1) / count);
        // Tables grow with the largest number of tasks that were ready at once, which differs. Bytes left by
        // every connection would be more.
        let waves = if cfg!(debug_assertions) { 5 } else { 30 };
        assert!(grown < waves * count * 8, "{grown} bytes of difference after equal waves");
        assert!(held <= if cfg!(debug_assertions) { 2_000 } else { 1_000 }, "{held} bytes for each");
    });
}

const MANY: usize = if cfg!(debug_assertions) { 20_000 } else { 500_000 };

/// Starts many tasks and waits until each has run `body` with its number.
async fn many_tasks(body: impl AsyncFn(usize) + Clone + 'static) {
    let start = |number| {
        let body = body.clone();
        spawn(async move { body(number).await })
    };
    let tasks: Vec<_> = (0..MANY).map(start).collect();
    PEAK.fetch_max(heap(), Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
}

/// The most bytes in use while the many tasks ran.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Runs many tasks and lets the loop wait. Nearly all of the memory that they needed must then be free
/// again.
fn leaves_nothing(name: &str, body: impl AsyncFnOnce()) {
    let _watchdog = common::watchdog();
    roundel::run(async {
        let before = heap();
        PEAK.store(0, Relaxed);
        body().await;
        let (grown, mut left) = (PEAK.load(Relaxed).saturating_sub(before), 0);
        // The first of these sleeps may take a slot at the far end of the table. That keeps the table large
        // until it ends. And a loop that is held up until a sleep is over does not wait.
        for round in 1..=50 {
            time::sleep(Duration::from_millis(1)).await;
            left = heap().saturating_sub(before);
            if round >= 3 && left < grown / 10 {
                break;
            }
        }
        println!("footprint: {name}: {grown} bytes for many tasks, {left} left");
        assert!(grown > 500_000, "{name}: {grown} bytes are too few for this test");
        assert!(left < grown / 10, "{name}: of {grown} bytes {left} are left");
    });
}

#[test]
fn hazard_64_sleepers_leave_no_tables() {
    alone("hazard_64_sleepers_leave_no_tables", || {
        leaves_nothing("sleepers", async || {
            many_tasks(async |_| {
                time::sleep(Duration::from_millis(5)).await;
                PEAK.fetch_max(heap(), Relaxed);
            })
            .await;
        });
        leaves_nothing("timeouts", async || {
            let open = Rc::new(roundel::sync::Event::new());
            let wait = Rc::clone(&open);
            let opens = spawn(async move {
                time::sleep(Duration::from_millis(50)).await;
                PEAK.fetch_max(heap(), Relaxed);
                open.set();
            });
            many_tasks(async move |_| time::timeout(Duration::from_secs(3600), wait.wait()).await.unwrap())
                .await;
            opens.await.unwrap();
        });
        // One timer, at the far end of the table, outlives the others.
        leaves_nothing("sleepers and a sleep that goes on", async || {
            let long = Rc::new(RefCell::new(None));
            let kept = Rc::clone(&long);
            many_tasks(async move |number| {
                if number % 10_000 == 9_999 {
                    let mut sleep = time::sleep(Duration::from_secs(3600));
                    let pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut sleep).poll(cx).is_pending())).await;
                    assert!(pending);
                    long.replace(Some(sleep));
                }
                time::sleep(Duration::from_millis(5)).await;
                PEAK.fetch_max(heap(), Relaxed);
            })
            .await;
            std::mem::forget(kept);
        });
    });
}

#[test]
fn hazard_64_waiters_leave_no_tables() {
    alone("hazard_64_waiters_leave_no_tables", || {
        let notify = Rc::new(roundel::sync::Notify::new());
        let waiting = Rc::clone(&notify);
        leaves_nothing("waiters at a notify", async || {
            let opens = spawn(async move {
                while notify.waiting() < MANY {
                    roundel::yield_now().await;
                }
                PEAK.fetch_max(heap(), Relaxed);
                notify.notify_all();
                notify
            });
            many_tasks(async move |_| waiting.notified().await).await;
            // Keep it alive, so that its memory is counted.
            std::mem::forget(opens.await.unwrap());
        });
        let semaphore = Rc::new(roundel::sync::Semaphore::new(1));
        let kept = Rc::clone(&semaphore);
        leaves_nothing("waiters at a semaphore", async || {
            many_tasks(async move |_| {
                let _permit = semaphore.acquire().await.unwrap();
                PEAK.fetch_max(heap(), Relaxed);
            })
            .await;
        });
        assert_eq!(kept.available(), 1);
    });
}

#[test]
fn hazard_64_children_leave_no_tables_in_a_scope_that_goes_on() {
    alone("hazard_64_children_leave_no_tables_in_a_scope_that_goes_on", || {
        leaves_nothing("children of a scope", async || {
            let done = Rc::new(roundel::sync::Event::new());
            let all_done = Rc::clone(&done);
            spawn(roundel::group::scope(async move |scope| {
                let children: Vec<_> = (0..MANY).map(|_| scope.spawn(roundel::yield_now())).collect();
                roundel::yield_now().await;
                PEAK.fetch_max(heap(), Relaxed);
                for child in children {
                    child.await.unwrap();
                }
                all_done.set();
                loop {
                    time::sleep(Duration::from_millis(1)).await;
                }
            }))
            .detach();
            done.wait().await;
        });
    });
}

#[test]
fn hazard_64_wakes_from_another_thread_leave_no_tables() {
    alone("hazard_64_wakes_from_another_thread_leave_no_tables", || {
        leaves_nothing("wakes from another thread", async || {
            let wakers = Arc::new(Mutex::new(Vec::new()));
            let theirs = Arc::clone(&wakers);
            let wakes = spawn(async move {
                while theirs.lock().unwrap().len() < MANY {
                    roundel::yield_now().await;
                }
                PEAK.fetch_max(heap(), Relaxed);
                let wakers: Vec<Waker> = std::mem::take(&mut *theirs.lock().unwrap());
                unblock(move || wakers.into_iter().for_each(Waker::wake)).await.unwrap();
            });
            many_tasks(async move |_| {
                let mut first = true;
                poll_fn(|cx| {
                    if !std::mem::take(&mut first) {
                        return Poll::Ready(());
                    }
                    wakers.lock().unwrap().push(cx.waker().clone());
                    Poll::Pending
                })
                .await;
            })
            .await;
            wakes.await.unwrap();
        });
    });
}

#[test]
fn hazard_64_names_and_words_leave_no_tables() {
    alone("hazard_64_names_and_words_leave_no_tables", || {
        leaves_nothing("tasks with names", async || {
            many_tasks(async |number| {
                let named = roundel::spawn_named(format!("task {number}"), roundel::yield_now());
                PEAK.fetch_max(heap(), Relaxed);
                named.await.unwrap();
            })
            .await;
        });
        leaves_nothing("readers of one idle stream", async || {
            let (reader, writer) = roundel_net::UnixStream::pair().unwrap();
            let reader = Rc::new(reader);
            let kept = Rc::clone(&reader);
            let writes = spawn(async move {
                time::sleep(Duration::from_millis(50)).await;
                PEAK.fetch_max(heap(), Relaxed);
                writer.write_all(b"x").await.unwrap();
                drop(writer);
            });
            many_tasks(async move |_| {
                poll_fn(|cx| Pin::new(&mut &*reader).poll_read(cx, &mut [0])).await.unwrap();
            })
            .await;
            writes.await.unwrap();
            std::mem::forget(kept);
        });
    });
}

/// Each task polls the idle stream by hand once, which leaves its waker there, and ends.
#[test]
fn hazard_64_readers_that_come_and_go_do_not_pile_up() {
    alone("hazard_64_readers_that_come_and_go_do_not_pile_up", || {
        let _watchdog = common::watchdog();
        roundel::run(async {
            let (reader, _writer) = roundel_net::UnixStream::pair().unwrap();
            let reader = Rc::new(reader);
            let before = heap();
            for _ in 0..10_000 {
                let reader = Rc::clone(&reader);
                let look = poll_fn(move |cx| {
                    Poll::Ready(Pin::new(&mut &*reader).poll_read(cx, &mut [0]).is_pending())
                });
                assert!(spawn(look).await.unwrap());
            }
            let grown = heap().saturating_sub(before);
            assert!(grown < 20_000, "{grown} bytes more, although no task waits");
        });
    });
}

#[test]
fn a_message_costs_no_allocation() {
    alone("a_message_costs_no_allocation", || {
        let _watchdog = common::watchdog();
        let allocations = roundel::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let buffers = Buffers::default();
            let server = spawn(serve(listener, move |stream| echo(stream, buffers.clone())).into_future());
            let talk = unblock(move || {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                let mut talk = |times| {
                    for _ in 0..times {
                        client.write_all(&[7; 64]).unwrap();
                        client.read_exact(&mut [0; 64]).unwrap();
                    }
                };
                talk(10); // The first needs a buffer.
                let before = HEAP.stats().allocations;
                talk(1_000);
                HEAP.stats().allocations - before
            });
            let allocations = talk.await.unwrap();
            server.cancel();
            allocations
        });
        // The harness may allocate a little on its own thread.
        assert!(allocations < 100, "{allocations} allocations for 1,000 messages");
    });
}
