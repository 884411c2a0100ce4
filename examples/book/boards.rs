//! One player, many boards: the same three games one after the other, and at the same time.
//!
//! Run it with `cargo run --release --example boards`, and add `games` or `users` to see only that part. It runs on
//! virtual time, so it takes none, and its figures are exact.
//!
//! Facts. The player moves in no time; the opponents think for 3, 2 and 1 seconds. One person can wait at several
//! boards.
//!
//! What follows. What counts is when the waits *begin*. Words like `async` or `spawn` do not change that by themselves.

#![forbid(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};

use examples::{args, println};
use roundel::{Runtime, spawn, time};

const THINKING: [u64; 3] = [3, 2, 1];

/// One move, and the wait for its answer. Prints on which thread.
async fn game(board: usize, begin: Instant) -> thread::ThreadId {
    println!("  {} s: I move at board {}", (time::now() - begin).as_secs(), board + 1);
    time::sleep(Duration::from_secs(THINKING[board])).await;
    println!("  {} s: an answer at board {}", (time::now() - begin).as_secs(), board + 1);
    thread::current().id()
}

/// Wrong, and shown here: every word of it is asynchronous, but one game follows the other.
async fn wait_at_each_board(begin: Instant) -> Vec<thread::ThreadId> {
    let mut threads = Vec::new();
    for board in 0..THINKING.len() {
        threads.push(spawn(game(board, begin)).await.expect("no game panics"));
    }
    threads
}

async fn walk_on(begin: Instant) -> Vec<thread::ThreadId> {
    let games = [0, 1, 2].map(|board| spawn(game(board, begin)));
    let mut threads = Vec::new();
    for game in games {
        threads.push(game.await.expect("no game panics"));
    }
    threads
}

async fn play<F: Future<Output = Vec<thread::ThreadId>>>(how: &str, games: impl FnOnce(Instant) -> F) {
    println!("{how}:");
    let begin = time::now();
    let mut threads = games(begin).await;
    threads.dedup();
    println!("  {} s in all, threads: {}", (time::now() - begin).as_secs(), threads.len());
}

/// How long the last of a thousand users waits, if each keeps the server waiting for this long.
async fn last_user(wait: Duration) {
    let begin = time::now();
    for _ in 0..1000 {
        time::sleep(wait).await;
    }
    let (one_by_one, begin) = (time::now() - begin, time::now());
    let users: Vec<_> = (0..1000).map(|_| spawn(time::sleep(wait))).collect();
    for user in users {
        user.await.expect("no sleep panics");
    }
    println!("a wait of {wait:?}, 1000 times: {one_by_one:?}; at the same time: {:?}", time::now() - begin);
}

fn main() {
    let part = args::part(&["games", "users"]).unwrap_or_default();
    let runtime = Runtime::builder().virtual_time(true).build().expect("descriptors for a loop");
    runtime.block_on(async {
        if part != "users" {
            play("I wait at each board", wait_at_each_board).await;
            play("I walk on", walk_on).await;
        }
        for ms in [1, 100, 1000].into_iter().filter(|_| part != "games") {
            last_user(Duration::from_millis(ms)).await;
        }
    });
}
