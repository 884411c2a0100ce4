//! The page that shows a trace, opened in a browser: what a reader does with it, and what it must look like.
//!
//! ```text
//! cargo test -p examples --test viewer -- --nocapture
//! ```
//!
//! Facts. The page is a program of its own, in another language, and only a browser runs it. Without a browser these tests
//! say that they were skipped.
//!
//! The traces beside this file are small: three tasks that sleep (`hello`), four that want one lock (`lock`), two that want
//! two (`deadlock`), and tasks that give way again and again beside others that wait (`starve`). Those of `pipeline` and
//! `cancel` were recorded by the programs of these names, on virtual time.

#![forbid(unsafe_code)]

mod drawn;
mod look;
mod open;
mod predict;
mod steps;
mod truth;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use examples::see::page::page;
use testkit::browser::{Browser, Theme};

const TRACES: [(&str, &str); 6] = [
    ("hello", include_str!("hello.json")),
    ("lock", include_str!("lock.json")),
    ("deadlock", include_str!("deadlock.json")),
    ("starve", include_str!("starve.json")),
    ("pipeline", include_str!("pipeline.json")),
    ("cancel", include_str!("cancel.json")),
];
const PHONE: u32 = 360;
const DESK: u32 = 1200;

fn trace(name: &str) -> &'static str {
    TRACES.iter().find(|(other, _)| *other == name).expect("a trace of this name").1
}

/// Four browsers at a time. Each of them mostly waits, but they share the processors, and their patience is limited.
static TURNS: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];

/// The browser, if there is one, for as long as the guard lives.
fn browser(test: &str) -> Option<(MutexGuard<'static, ()>, Browser)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let turn = TURNS[NUMBER.fetch_add(1, Relaxed) % TURNS.len()].lock();
    let turn = turn.unwrap_or_else(PoisonError::into_inner);
    Some((turn, Browser::find(test, env!("CARGO_TARGET_TMPDIR"))?))
}

/// What all scripts may use: a key, a button, what the page says now.
const TOOLS: &str = r"
    const loop = view.roundel;
    const key = (name) => (page.activeElement ?? page.body).dispatchEvent(
        new view.KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
    const press = (id) => page.querySelector(id).click();
    const sentence = () => page.getElementById('sentence').textContent;
    const plain = (text) => text.replaceAll('`', '');
    const wrong = [];
    const check = (holds, what) => { if (!holds) wrong.push(`${what}, at event ${loop?.current()}`); };
    const same = (x, y, what) => check(JSON.stringify(x) === JSON.stringify(y), `${what}: ${JSON.stringify(x)} is not ${JSON.stringify(y)}`);
";

/// Opens the page of a trace at `part` of its address, and runs a script in it. The script says what is wrong.
fn visit(test: &str, trace: &str, part: &str, width: u32, theme: Theme, script: &str) {
    let Some((_turn, browser)) = browser(test) else { return };
    let script = format!("{TOOLS}\n{script}\nreturn wrong.slice(0, 9).join('\\n') || 'all is well';");
    let (answer, console) = browser.visit(&page(trace), part, width, theme, &script);
    assert_eq!(console, "", "the page has written to the console");
    assert_eq!(answer, "all is well");
}
