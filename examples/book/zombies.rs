//! A task that does not want to stop, and three ways to tell it.
//!
//! Run it with `cargo run --release --example zombies`. Time is virtual, so it takes none.
//!
//! Facts. A message that comes once can be swallowed. A state that stays can be ignored, but not outlived. A future
//! that is dropped is not asked.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use examples::{args, println};
use roundel::cancel::CancelToken;
use roundel::group::select;
use roundel::sync::Notify;
use roundel::{Runtime, spawn, time};

const SECOND: Duration = Duration::from_secs(1);

/// Wants to do eight rounds. Each round waits, and may learn that it is time to stop; it does not listen.
async fn stubborn(rounds: Rc<Cell<u32>>, wait: impl AsyncFn()) {
    for _ in 0..8 {
        wait().await;
        rounds.set(rounds.get() + 1);
    }
}

/// Lets it do three rounds, tells it to stop, and looks again after a minute.
async fn told(what: &str, wait: impl AsyncFn() + 'static, stop: impl FnOnce(&dyn Fn())) {
    let (rounds, start) = (Rc::new(Cell::new(0)), time::now());
    let (ended, counted) = (Rc::new(Cell::new(0.0)), rounds.clone());
    let end = ended.clone();
    let task = spawn(async move {
        stubborn(counted, wait).await;
        end.set((time::now() - start).as_secs_f64());
    });
    time::sleep(SECOND * 7 / 2).await;
    let before = rounds.get();
    stop(&|| task.cancel());
    time::sleep(60 * SECOND).await;
    let (more, at) = (rounds.get() - before, ended.get());
    let end = if at > 0.0 { format!("the last one at {at} s") } else { "it never got there".into() };
    println!("{what} {before} rounds in 3.5 s, then {more} more; {end}");
}

fn main() {
    args::none();
    let runtime = Runtime::builder().virtual_time(true).build().expect("a loop");
    runtime.block_on(async {
        let (bell, token) = (Rc::new(Notify::new()), CancelToken::new());
        let heard = bell.clone();
        let until_the_bell = async move || {
            select! {
                () = time::sleep(SECOND) => {}
                () = heard.notified() => {} // and swallowed
            }
        };
        told("a bell: ", until_the_bell, |_| bell.notify_one()).await;
        let asked = token.clone();
        let until_the_token = async move || {
            // Swallowed, too.
            let _ = asked.run(time::sleep(SECOND)).await;
        };
        told("a token:", until_the_token, |_| token.cancel()).await;
        told("dropped:", async || time::sleep(SECOND).await, |cancel| cancel()).await;
    });
}
