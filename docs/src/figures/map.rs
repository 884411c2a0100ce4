//! The layers of the crate with the chapters that explain them, and one turn of the loop.

use super::drawing::Align::{End, Middle, Start};
use super::drawing::{Drawing, Kind};
use super::{named, source};

/// The layers of `docs/design.md`, the chapters that explain them, and what they are for.
const CHAPTERS: &[(&str, &str, &str)] = &[
    ("net", "5, 13", "sockets, servers, streams"),
    ("runtime", "1, 9, 15", "one loop: build it, run it, watch it"),
    ("vocabulary", "9–15", "locks, channels, groups, cancelling"),
    ("line", "12", "the wait queue below every lock"),
    ("handles", "5, 7–10", "sleep, join, sockets, other threads"),
    ("tools", "9, 11", "threads that help, shares of budgets"),
    ("loop", "3, 17", "the turn: poll, look, wake"),
    ("here", "6", "the waker, and which loop this is"),
    ("tasks", "2, 10", "storing, polling and dropping futures"),
    ("wakes", "4–9", "queue, timers, kernel, inbox"),
    ("leaves", "6, 8, 14", "numbers, clock, random order"),
];
/// The layers above the core, which users of the crate see.
const OUTER: usize = 6;

/// The names of the layers, as `docs/design.md` lists them.
fn layers() -> Vec<String> {
    let design = source("docs/design.md");
    let block =
        design.split("\n## Layers\n").nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap_or_default();
    let names = block.lines().filter(|line| line.starts_with(' ') && !line.contains('─'));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

pub(super) fn map() -> Drawing {
    let title = "The layers of roundel, and the chapters that explain them";
    let description = "From the top: net, runtime, vocabulary, line, handles, tools, and below them the \
        core: loop, here, tasks, wakes, leaves. Each layer uses only those below it.";
    let mut map = Drawing::new(title, description, 436);
    let names: Vec<&str> = CHAPTERS.iter().map(|(name, _, _)| *name).collect();
    let listed = layers();
    assert!(
        listed.iter().any(|name| name == "examples") && listed[1..] == names,
        "design.md lists {listed:?}"
    );
    map.note((12, 16), Start, "layer");
    map.note((388, 16), End, "chapters");
    for (at, (name, chapters, purpose)) in CHAPTERS.iter().enumerate() {
        let gap = if at < OUTER { 0 } else { 26 };
        let y = 26 + at as i32 * 34 + gap;
        let kind = if *name == "loop" { Kind::Hot } else { Kind::Plain };
        map.boxed((6, y), (388, 28), kind, "");
        map.text((14, y + 18), Start, name);
        map.note((98, y + 18), Start, purpose);
        map.text((386, y + 18), End, chapters);
    }
    let core = 26 + OUTER as i32 * 34;
    map.line(Kind::Dashed, &[(6, core + 4), (394, core + 4)]);
    map.note((200, core + 18), Middle, "`runtime/src/core`");
    map
}

/// The functions of the steps, in their order, and what each does.
const STEPS: &[(&str, &str)] = &[
    ("poll_ready_tasks", "poll a batch of the ready tasks"),
    ("how_long", "decide how long to wait"),
    ("ask_the_kernel", "which sources are ready?"),
    ("take_mail", "what did other threads send?"),
    ("fire_timers", "which deadlines have passed?"),
];

pub(super) fn turn() -> Drawing {
    let title = "One turn of the loop";
    let description = "Five steps: poll the ready tasks, decide how long to wait, ask the kernel, take \
        the mail, fire the timers. Steps 3 to 5 only wake tasks, which puts them into the ready queue \
        for step 1 of the next turn.";
    let mut turn = Drawing::new(title, description, 330);
    for (at, (function, purpose)) in STEPS.iter().enumerate() {
        named("runtime/src/core/event_loop.rs", function);
        let y = 12 + at as i32 * 62;
        let kind = if at == 0 { Kind::Hot } else { Kind::Plain };
        turn.boxed((60, y), (230, 44), kind, &format!("{} {purpose}\n`{function}`", at + 1));
        if at > 0 {
            turn.arrow(Kind::Plain, &[(175, y - 18), (175, y)]);
        }
    }
    turn.arrow(Kind::Plain, &[(60, 282), (30, 282), (30, 34), (60, 34)]);
    turn.note((8, 322), Start, "the next turn");
    // The wakes go into the queue, which step 1 reads.
    for y in [158, 220, 282] {
        turn.line(Kind::Hot, &[(290, y), (345, y)]);
    }
    turn.arrow(Kind::Hot, &[(345, 282), (345, 84)]);
    turn.boxed((302, 40), (90, 44), Kind::Hot, "ready\nqueue");
    turn.hot((352, 124), Start, "wake");
    turn
}
