//! What the kernel reports, one byte's way to the task, and how another thread wakes the loop.

use super::drawing::Align::{End, Middle, Start};
use super::drawing::{Drawing, Kind};
use super::named;

pub(super) fn edges() -> Drawing {
    let title = "Level and edge: when epoll reports a socket";
    let description = "Bytes arrive twice and are never read. With levels, each of five waits reports the \
        socket. With edges, only the first wait after each arrival does.";
    let mut edges = Drawing::new(title, description, 216);
    for (x, name) in [(110, "bytes arrive"), (270, "more arrive")] {
        edges.note((x, 16), Start, name);
        edges.arrow(Kind::Plain, &[(x, 22), (x, 40)]);
    }
    edges.boxed((110, 42), (282, 26), Kind::Plain, "the socket can be read");
    let reports = |is_edge: bool| [130, 180, 230, 290, 340].map(|x| (x, !is_edge || x == 130 || x == 290));
    for (y, name, is_edge) in [(110, "level", false), (160, "edge", true)] {
        edges.text((8, y + 5), Start, name);
        edges.line(Kind::Plain, &[(80, y), (392, y)]);
        for (x, is_reported) in reports(is_edge) {
            let kind = if is_reported { Kind::Hot } else { Kind::Dashed };
            edges.boxed((x - 8, y - 8), (16, 16), kind, "");
        }
    }
    edges.note((8, 204), Start, "A square is a wait; a solid one reports the socket.");
    edges
}

/// The way of a byte: the function, and what it does.
const WAY: &[(&str, &str, &str)] = &[
    ("runtime/src/core/reactor.rs", "wait", "the kernel reports a token"),
    ("runtime/src/core/reactor.rs", "note", "the registration is readable"),
    ("runtime/src/core/reactor/waiters.rs", "hand_out", "wake the task that waits for it"),
    ("runtime/src/core/slots/queue.rs", "push", "into the ready queue"),
    ("runtime/src/core/executor.rs", "poll_stretch", "out of the queue: poll the task"),
    ("runtime/src/source/registered.rs", "attempt", "it is readable, so try: 1 byte"),
];
/// The steps that one turn does; the next turn does the others.
const FIRST_TURN: usize = 4;

pub(super) fn journey() -> Drawing {
    let title = "One byte's journey";
    let description = "A byte arrives in the socket's buffer. In step 3 of one turn the kernel reports \
        it, and the task that waits for it is queued. In step 1 of the next turn the task is polled \
        and reads the byte.";
    let mut journey = Drawing::new(title, description, 440);
    journey.boxed((110, 8), (284, 30), Kind::Hot, "a byte arrives in the socket's buffer");
    for (at, (file, function, what)) in WAY.iter().enumerate() {
        named(file, &format!("fn {function}"));
        let y = 62 + at as i32 * 56;
        journey.arrow(Kind::Hot, &[(252, y - if at == 0 { 24 } else { 14 }), (252, y)]);
        journey.boxed((110, y), (284, 42), Kind::Plain, &format!("{what}\n`{function}`"));
    }
    journey.arrow(Kind::Hot, &[(252, 384), (252, 402)]);
    journey.boxed((110, 402), (284, 30), Kind::Hot, "`.await → Ok(1)`");
    let split = 62 + FIRST_TURN as i32 * 56 - 7;
    journey.line(Kind::Dashed, &[(6, split), (394, split)]);
    journey.text((8, 160), Start, "one turn,\nstep 3");
    journey.text((8, split + 60), Start, "the next turn,\nstep 1");
    journey
}

pub(super) fn inbox() -> Drawing {
    let title = "Two threads, one lock: no wake falls between";
    let description = "Another thread locks the inbox, puts mail in, and reads whether the loop is \
        parked. The loop locks it, reads whether there is mail, and writes down that it parks. \
        Whichever comes first, the other one sees it.";
    let mut inbox = Drawing::new(title, description, 262);
    let file = "runtime/src/core/inbox.rs";
    named(file, "parked");
    inbox.text((95, 16), Middle, "another thread");
    inbox.text((305, 16), Middle, "the loop");
    inbox.boxed((4, 28), (392, 118), Kind::Dashed, "");
    inbox.note((200, 162), Middle, "under the inbox's lock");
    inbox.boxed((12, 38), (168, 36), Kind::Plain, "put the mail in");
    inbox.boxed((12, 100), (168, 36), Kind::Hot, "is the loop parked?");
    inbox.arrow(Kind::Plain, &[(96, 74), (96, 100)]);
    inbox.boxed((220, 38), (168, 36), Kind::Hot, "is there mail?");
    inbox.boxed((220, 100), (168, 36), Kind::Plain, "`parked = true`");
    inbox.arrow(Kind::Plain, &[(304, 74), (304, 100)]);
    inbox.note((298, 92), End, "no");
    inbox.boxed((12, 196), (168, 36), Kind::Plain, "ring the bell");
    inbox.arrow(Kind::Plain, &[(96, 136), (96, 196)]);
    inbox.note((104, 184), Start, "yes");
    inbox.boxed((220, 196), (168, 36), Kind::Plain, "sleep in the kernel");
    inbox.arrow(Kind::Plain, &[(304, 136), (304, 196)]);
    inbox.arrow(Kind::Hot, &[(180, 214), (220, 214)]);
    inbox.hot((200, 252), Middle, "the bell ends the sleep");
    inbox
}
