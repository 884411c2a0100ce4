//! A screen that shows the tasks of a process, and is made again each second.
//!
//! What follows. To ask is to block, so a thread does it. Meanwhile the loop listens for keys and for signals: the screen has to
//! be given back, whatever ends the program.

use std::io;
use std::time::Duration;

use roundel::blocking::unblock;
use roundel::channel::{Receiver, unbounded};
use roundel::group::select;
use roundel::signal::{HUP, INT, Signals, TERM};
use roundel::time::{self, MissedTick};
use roundel::{Runtime, spawn};
use roundel_net::stdio;

use crate::ps::ask::{Answer, PATIENCE};
use crate::ps::row::{self, Loop, Task};
use crate::ps::screen::{Screen, size};
use crate::ps::{columns, table, tree};

/// From one screen to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// Shows the process until `q`, a signal, or its end. Returns what is to be said when the screen is gone.
///
/// # Errors
///
/// If the process cannot be asked the first time.
pub fn watch(pid: u32, is_tree: bool) -> io::Result<Option<String>> {
    // Before the screen is taken: an error is a line.
    let first = lines(pid, is_tree)?;
    Runtime::new()?.block_on(async {
        let mut signals = Signals::new([INT, TERM, HUP])?;
        let screen = Screen::enter();
        let keys = keys();
        let mut ticks = time::interval_at(time::now() + PERIOD, PERIOD).missed(MissedTick::Delay);
        let mut lines_now = Ok(first);
        while let Ok(found) = &lines_now {
            if !screen.show(found) {
                return Ok(None);
            }
            select! {
                _ = signals.recv() => return Ok(None),
                _ = wait_for_q(&keys) => return Ok(None),
                _ = ticks.tick() => {}
            }
            lines_now = unblock(move || lines(pid, is_tree)).await.map_err(io::Error::other)?;
        }
        Ok(lines_now.err().map(|error| error.to_string()))
    })
}

/// The keys that are pressed. If the input ends, no more come.
fn keys() -> Receiver<u8> {
    let (sender, receiver) = unbounded();
    let read = async move {
        let (input, mut buffer) = (stdio::stdin(), [0; 64]);
        while let Ok(count @ 1..) = input.read(&mut buffer).await {
            for key in &buffer[..count] {
                let _ = sender.try_send(*key);
            }
        }
        // As long as the sender is there, the receiver waits.
        std::future::pending::<()>().await;
        drop(sender);
    };
    spawn(read).detach();
    receiver
}

async fn wait_for_q(keys: &Receiver<u8>) {
    while let Ok(key) = keys.recv().await {
        if matches!(key, b'q' | b'Q') {
            return;
        }
    }
}

/// What the screen shows: as many lines as it has rows.
fn lines(pid: u32, is_tree: bool) -> io::Result<Vec<String>> {
    let (width, rows) = size();
    let mut answer = Answer::of(pid, PATIENCE)?;
    let (program, pid) = (row::clean(answer.head.text("program")), answer.head.number("pid"));
    let (mut lines, mut tasks) = (Vec::new(), Vec::new());
    let mut heading = Vec::new();
    let mut left_out = 0;
    while let Some(line) = answer.next_line()? {
        match Loop::read(&line) {
            Some(found) => {
                show(&mut lines, &heading, &mut tasks, is_tree, width);
                heading = table::heading(&program, pid, &found, width);
            }
            // What has no place on the screen is only counted, except in a tree, whose lines depend on all.
            None if !is_tree && tasks.len() >= rows => left_out += 1,
            None => tasks.push(Task::read(&line)),
        }
    }
    show(&mut lines, &heading, &mut tasks, is_tree, width);
    let room = rows.saturating_sub(1);
    if lines.len() > room || left_out > 0 {
        left_out += lines.len().saturating_sub(room.saturating_sub(1));
        lines.truncate(room.saturating_sub(1));
        lines.push(format!("… and {left_out} more lines"));
    }
    lines.push("q ends".into());
    Ok(lines.iter().map(|line| crate::status::cut(line, width + 1)).collect())
}

/// Adds the lines of a loop.
fn show(lines: &mut Vec<String>, heading: &[String], tasks: &mut Vec<Task>, is_tree: bool, width: usize) {
    lines.extend_from_slice(heading);
    let tasks = std::mem::take(tasks);
    if is_tree {
        lines.extend(tree::tree(&tasks));
    } else if !tasks.is_empty() {
        let layout: columns::Layout = table::layout(&tasks, width);
        lines.push(layout.titles());
        lines.extend(tasks.iter().map(|task| table::line(&layout, task)));
    }
}
