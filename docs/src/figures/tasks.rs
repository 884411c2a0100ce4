//! A future's states, a wake that is lost, a task's number, and the slab.

use super::drawing::Align::{Middle, Start};
use super::drawing::{Drawing, Kind};
use super::{constant, named};

pub(super) fn state_machine() -> Drawing {
    let title = "A future with two awaits is a machine with four states";
    let description = "Each poll begins at the state in which the last one stopped. It runs to the next \
        await and returns Pending, or to the end and returns Ready.";
    let mut machine = Drawing::new(title, description, 330);
    let states = [
        ("0  not begun", "a, b"),
        ("1  at the first await", "b, and the future it awaits"),
        ("2  at the second await", "the future it awaits"),
        ("3  done", "nothing"),
    ];
    for (at, (state, kept)) in states.into_iter().enumerate() {
        let y = 26 + at as i32 * 82;
        machine.boxed((20, y), (150, 34), if at == 3 { Kind::Dashed } else { Kind::Plain }, state);
        machine.text((190, y + 21), Start, kept);
        if at < 3 {
            machine.arrow(Kind::Hot, &[(95, y + 34), (95, y + 82)]);
            let result = if at == 2 { "`poll → Ready(output)`" } else { "`poll → Pending`" };
            machine.hot((106, y + 63), Start, result);
        }
    }
    machine.note((20, 15), Start, "state");
    machine.note((190, 15), Start, "what the future keeps");
    machine
}

/// A column of events, each below the one before it. Some of them matter most.
fn column(drawing: &mut Drawing, x: i32, lines: &[&str], hot: &[usize]) {
    for (at, line) in lines.iter().enumerate() {
        let place = (x, 62 + at as i32 * 24);
        if hot.contains(&at) { drawing.hot(place, Start, line) } else { drawing.text(place, Start, line) }
    }
}

pub(super) fn lost_wake() -> Drawing {
    let title = "How a wake-up is lost, and how a note keeps it";
    let description = "With a broken bell, the wake comes after the poll and before the wait. Nothing \
        waits yet, so it is lost, and the loop sleeps for ever. With park, the wake leaves a note, and \
        the wait returns at once.";
    let mut lost = Drawing::new(title, description, 226);
    let file = "examples/from_scratch/2_parked.rs";
    named(file, "notify_all");
    lost.boxed((6, 8), (190, 30), Kind::Plain, &format!("`{}`", named(file, "BrokenBell")));
    lost.boxed((204, 8), (190, 30), Kind::Plain, "`thread::park`");
    lost.line(Kind::Dashed, &[(200, 8), (200, 218)]);
    let broken = ["poll", "wake: notify", "nothing waits yet", "Pending", "wait …", "… for ever"];
    column(&mut lost, 14, &broken, &[1, 5]);
    let kept = ["poll", "wake: unpark", "leaves a note", "Pending", "park: finds the note", "poll", "Ready"];
    column(&mut lost, 212, &kept, &[1, 2, 4]);
    lost
}

/// What happens on rung 3 while a task waits for a thread: from, to (main loop, task, thread), what.
const SEQUENCE: &[(usize, usize, &str)] = &[
    (0, 1, "poll"),
    (1, 2, "the waker"),
    (1, 0, "Pending"),
    (2, 0, "wake: its number"),
    (0, 1, "poll"),
    (1, 0, "Ready"),
];

pub(super) fn sequence() -> Drawing {
    let title = "Rung 3: a task waits for a thread";
    let description = "The loop polls the task. The task gives its waker to a thread and returns Pending. \
        The loop waits at the queue. The thread wakes, which sends the task's number into the queue. \
        The loop polls the task again, and it returns Ready.";
    let mut sequence = Drawing::new(title, description, 300);
    let file = "examples/from_scratch/3_queue.rs";
    named(file, "self.ready.send(self.id)");
    let columns = [60, 200, 340];
    for (x, name) in columns.into_iter().zip(["the loop", "the task", "a thread"]) {
        sequence.boxed((x - 50, 8), (100, 30), Kind::Plain, name);
        sequence.line(Kind::Dashed, &[(x, 38), (x, 296)]);
    }
    for (at, (from, to, what)) in SEQUENCE.iter().enumerate() {
        let y = 70 + at as i32 * 36 + if at >= 3 { 32 } else { 0 };
        let is_wake = *from == 2;
        let kind = if is_wake { Kind::Hot } else { Kind::Plain };
        sequence.arrow(kind, &[(columns[*from], y), (columns[*to], y)]);
        let write = if is_wake { Drawing::hot } else { Drawing::text };
        write(
            &mut sequence,
            ((columns[*from] + columns[*to]) / 2 + if is_wake { 68 } else { 0 }, y - 6),
            Middle,
            what,
        );
    }
    sequence.boxed((10, 156), (100, 36), Kind::Plain, "waits at\nthe queue");
    sequence
}

const ID: &str = "runtime/src/core/id.rs";

pub(super) fn number() -> Drawing {
    let title = "A waker is one machine word";
    let description = "From the left: the number of the runtime, the serial of the tenant, the slot in \
        the slab.";
    let mut number = Drawing::new(title, description, 136);
    let (slot, serial) = (constant(ID, "SLOT_BITS"), constant(ID, "SERIAL_BITS"));
    let parts = [
        ("runtime", 64 - slot - serial, "which loop"),
        ("serial", serial, "which tenant of the slot"),
        ("slot", slot, "which place in the slab"),
    ];
    let (mut left, mut bit) = (8, 64);
    for (name, bits, meaning) in parts {
        let width = (bits * 6) as i32;
        number.boxed(
            (left, 32),
            (width, 40),
            if name == "serial" { Kind::Hot } else { Kind::Plain },
            &format!("{name} ({bits})"),
        );
        number.note((left + 2, 24), Start, &(bit - 1).to_string());
        let drop = if name == "serial" { 122 } else { 98 };
        number.line(Kind::Plain, &[(left + width / 2, 72), (left + width / 2, drop - 14)]);
        let middle = (left + width / 2).clamp(48, 310);
        number.text((middle, drop), Middle, meaning);
        (left, bit) = (left + width, bit - bits);
    }
    number
}

pub(super) fn slab() -> Drawing {
    let title = "One comparison: the slab and three wakers";
    let description = "Each slot has a mark with the serial of its tenant. A waker whose serial is that \
        of the mark wakes the tenant. A waker with an older serial wakes nothing, even if the slot has \
        a new tenant.";
    let mut slab = Drawing::new(title, description, 240);
    named("runtime/src/core/slots/mark.rs", "QUEUED");
    slab.note((12, 16), Start, "wakers");
    slab.note((226, 16), Start, "slots of the slab");
    let slots = [
        ("slot 0", "serial 1: main"),
        ("slot 1", "serial 7: reader"),
        ("slot 2", "serial 4: writer"),
        ("slot 3", "vacant"),
    ];
    for (at, (slot, tenant)) in slots.into_iter().enumerate() {
        let y = 28 + at as i32 * 50;
        slab.boxed(
            (226, y),
            (166, 40),
            if at == 3 { Kind::Dashed } else { Kind::Plain },
            &format!("{slot}\n{tenant}"),
        );
    }
    slab.boxed((8, 84), (122, 28), Kind::Hot, "`slot 1 serial 7`");
    slab.arrow(Kind::Hot, &[(130, 98), (226, 98)]);
    slab.hot((174, 92), Middle, "the same");
    slab.boxed((8, 134), (122, 28), Kind::Dashed, "`slot 2 serial 3`");
    slab.arrow(Kind::Dashed, &[(130, 148), (226, 148)]);
    slab.note((174, 142), Middle, "too old");
    slab.note((8, 214), Start, "A number owns nothing, so\nan old one does no harm.");
    slab
}
