//! What connections cost, and what is left of them: bytes on the heap, tasks and registered sources (hazard 53).
//!
//! The memory of a process is not it: what is given back to the allocator is not given back to the system, for a single
//! block that is still in use keeps all that is below. So this counts what the allocator is asked for.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use roundel::blocking::unblock;
use roundel::{source, spawn, task, time};
use roundel_net::io::Buffers;
use roundel_net::{TcpListener, TcpStream, serve};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The heap is everybody's: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

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

/// Clients that have been heard, in a thread of their own, each of which is one descriptor and nothing on the heap.
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

/// What there is of it at present.
fn census() -> (usize, usize) {
    (task::count(), source::count())
}

#[test]
fn hazard_53_connections_leave_neither_memory_nor_tasks_nor_sources() {
    let _watchdog = common::watchdog();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Both ends are in this process, which may have few descriptors.
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
        // In the first wave the tables grow, and stay as they are.
        wave().await;
        let (first, second) = (wave().await, wave().await);
        for _ in 0..if cfg!(debug_assertions) { 5 } else { 30 } {
            wave().await;
        }
        let last = wave().await;
        server.cancel();
        println!("footprint: {} bytes of heap for each of {count} connections", (first.0 - first.1) / count);
        println!("footprint: {} bytes with none, {} many waves later", second.1, last.1);
        (second, last)
    });
    let (grown, held) = (second.1.abs_diff(first.1), (second.0 - second.1) / count);
    // Tables grow with the largest crowd that was ready at once, which differs. What every connection leaves would be more.
    let waves = if cfg!(debug_assertions) { 5 } else { 30 };
    assert!(grown < waves * count * 8, "{grown} bytes more or less after waves that were all alike");
    assert!(held <= if cfg!(debug_assertions) { 2_000 } else { 1_000 }, "{held} bytes for each");
}

#[test]
fn a_message_costs_no_allocation() {
    let _watchdog = common::watchdog();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
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
    // The harness, on its own thread, may just now have something to say.
    assert!(allocations < 100, "{allocations} allocations for 1,000 messages");
}
