//! Shows what the loops of another process do now: which tasks there are, and what each waits for.
//!
//! Start a program with `ROUNDEL_INSPECT=1 cargo run --release --example echo`. Then `cargo run --release --example ps` lists
//! the processes that can be asked, and `cargo run --release --example ps -- PID` shows the tasks of one.
//!
//! The process answers also while a task holds its loop, because a thread beside the loop does. `docs/inspect.md` describes how.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use examples::args::{Args, end};
use examples::ps::ask::{Answer, PATIENCE};
use examples::ps::row::{self, Loop, Task};
use examples::ps::screen::size;
use examples::ps::{list, table, tree, watch};
use examples::{println, status};

const USAGE: &str = "\
usage: ps [PID] [--tree] [--watch] [--json]
  PID      whose loops; without it, lists the processes that can be asked
  --tree   which task waits for which, with circles
  --watch  shows it again each second, until `q` (without a terminal, `q` and Enter)
  --json   the answer as it comes, a line for each loop and each task
A process can be asked if it was started with ROUNDEL_INSPECT=1.";

#[derive(Clone, Copy)]
struct How {
    tree: bool,
    watch: bool,
    json: bool,
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let how = How { tree: args.flag("--tree"), watch: args.flag("--watch"), json: args.flag("--json") };
    let pid = args.positional::<u32>("the number of a process");
    if how.json && (how.tree || how.watch) {
        args.refuse("--json goes with no other option");
    }
    if pid.is_none() && (how.tree || how.watch || how.json) {
        args.refuse("PID is missing: which process?");
    }
    args.finish();
    end(match pid {
        None => list::list(size().0).map(|lines| lines.iter().for_each(|line| println!("{line}"))),
        Some(pid) if how.watch => watch::watch(pid, how.tree).map(|last| {
            last.into_iter().for_each(|last| println!("{last}"));
        }),
        Some(pid) => show(pid, how),
    })
}

/// Shows the tasks of a process.
fn show(pid: u32, how: How) -> io::Result<()> {
    let mut answer = Answer::of(pid, PATIENCE)?;
    if how.json {
        return copy(&mut answer);
    }
    let (program, pid) = (row::clean(answer.head.text("program")), answer.head.number("pid"));
    let mut page = Page { tree: how.tree, width: size().0, tasks: Vec::new(), layout: None };
    while let Some(line) = answer.next_line()? {
        match Loop::read(&line) {
            Some(found) => {
                page.end();
                table::heading(&program, pid, &found, page.width).iter().for_each(|line| page.say(line));
            }
            None => page.add(Task::read(&line)),
        }
    }
    page.end();
    Ok(())
}

/// Prints the lines of the answer.
fn copy(answer: &mut Answer) -> io::Result<()> {
    println!("{}", answer.raw());
    while answer.next_line()?.is_some() {
        println!("{}", answer.raw());
    }
    println!("{}", answer.raw());
    Ok(())
}

/// The tasks of a loop that have not been printed yet.
struct Page {
    tree: bool,
    width: usize,
    tasks: Vec<Task>,
    /// The columns, once they are known.
    layout: Option<examples::ps::columns::Layout>,
}

impl Page {
    fn say(&self, line: &str) {
        println!("{}", status::cut(line, self.width + 1));
    }

    fn add(&mut self, task: Task) {
        match &self.layout {
            Some(layout) => self.say(&table::line(layout, &task)),
            None => self.tasks.push(task),
        }
        // A tree needs all of them.
        if !self.tree && self.tasks.len() == table::FIRST {
            self.print();
        }
    }

    /// Prints what has come so far, and decides the columns.
    fn print(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        let layout = table::layout(&tasks, self.width);
        self.say(&layout.titles());
        tasks.iter().for_each(|task| self.say(&table::line(&layout, task)));
        self.layout = Some(layout);
    }

    /// A loop has no more tasks.
    fn end(&mut self) {
        if self.tree {
            tree::tree(&std::mem::take(&mut self.tasks)).iter().for_each(|line| self.say(line));
        } else if !self.tasks.is_empty() {
            self.print();
        }
        self.layout = None;
    }
}
