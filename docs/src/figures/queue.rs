//! The ready queue, the states of a slot, and the two lanes.

use super::drawing::Align::{End, Middle, Start};
use super::drawing::{Drawing, Kind};
use super::named;

pub(super) fn ready_queue() -> Drawing {
    let title = "The ready queue runs through the slots";
    let description = "Six slots lie side by side. The queue keeps its first slot, 2, and its last, 4. \
        Slot 2 leads to slot 0, and slot 0 to slot 4. The other slots are not in the queue.";
    let mut queue = Drawing::new(title, description, 206);
    named("runtime/src/core/slots/queue.rs", "first: Index");
    let left = |slot: i32| 14 + slot * 62;
    for slot in 0..6 {
        let is_queued = [0, 2, 4].contains(&slot);
        let kind = if is_queued { Kind::Hot } else { Kind::Plain };
        queue.boxed(
            (left(slot), 86),
            (56, 46),
            kind,
            &format!("slot {slot}\n{}", if is_queued { "queued" } else { "idle" }),
        );
    }
    queue.boxed((14, 8), (118, 26), Kind::Plain, "`first: 2`");
    queue.boxed((264, 8), (118, 26), Kind::Plain, "`last: 4`");
    queue.arrow(Kind::Plain, &[(132, 21), (left(2) + 28, 21), (left(2) + 28, 86)]);
    queue.arrow(Kind::Plain, &[(left(4) + 42, 34), (left(4) + 42, 86)]);
    queue.arrow(
        Kind::Hot,
        &[(left(2) + 18, 132), (left(2) + 18, 156), (left(0) + 20, 156), (left(0) + 20, 132)],
    );
    queue.arrow(Kind::Hot, &[(left(0) + 36, 86), (left(0) + 36, 60), (left(4) + 14, 60), (left(4) + 14, 86)]);
    queue.hot((left(1) + 8, 174), Middle, "`next: 0`");
    queue.hot((left(3) + 28, 54), Middle, "`next: 4`");
    queue.note((386, 198), End, "A link is a number in the slot: to queue allocates nothing.");
    queue
}

pub(super) fn states() -> Drawing {
    let title = "The life of a slot";
    let description = "A vacant slot is opened and queued. Pop takes it out of the queue, and a wake \
        queues it again. When its task has ended, the slot is over; it becomes vacant when its output \
        was taken and it is out of the queue.";
    let mut states = Drawing::new(title, description, 274);
    for function in ["fn open", "fn close", "fn wake", "fn pop", "fn vacate_if"] {
        named("runtime/src/core/slots.rs", function);
    }
    states.boxed((20, 12), (120, 36), Kind::Plain, "vacant");
    states.boxed((250, 12), (120, 36), Kind::Hot, "queued");
    states.boxed((250, 122), (120, 36), Kind::Plain, "idle");
    states.boxed((250, 222), (120, 36), Kind::Plain, "over");
    states.arrow(Kind::Plain, &[(140, 30), (250, 30)]);
    states.text((195, 22), Middle, "`open`");
    states.arrow(Kind::Plain, &[(290, 48), (290, 122)]);
    states.text((282, 88), End, "`pop`");
    states.arrow(Kind::Hot, &[(335, 122), (335, 48)]);
    states.hot((343, 88), Start, "`wake`");
    states.arrow(Kind::Plain, &[(310, 158), (310, 222)]);
    states.text((302, 194), End, "`close`");
    states.arrow(Kind::Dashed, &[(370, 30), (392, 30), (392, 240), (370, 240)]);
    states.note((386, 176), End, "`close`");
    states.arrow(Kind::Plain, &[(250, 240), (80, 240), (80, 48)]);
    states.text((165, 230), Middle, "`vacate_if`");
    states.note((90, 112), Start, "the serial is one\nhigher: old wakers\nfit no more");
    states
}

pub(super) fn lanes() -> Drawing {
    let title = "Two lanes, taken from alternately";
    let description = "Tasks that were woken from outside wait in one lane, tasks that were woken by \
        tasks in the other. While both have tasks, pop takes one from each, alternately.";
    let mut lanes = Drawing::new(title, description, 180);
    named("runtime/src/core/slots/queue.rs", "outside_is_next");
    lanes.text((8, 18), Start, "woken from outside: kernel, deadline, thread");
    lanes.text((8, 172), Start, "woken by a task of this loop, or by itself");
    for (row, y, count) in [(0, 30, 2), (1, 114, 5)] {
        for at in 0..count {
            let kind = if row == 0 { Kind::Hot } else { Kind::Plain };
            lanes.boxed(
                (236 - at * 44, y),
                (38, 38),
                kind,
                ["a b", "v w x y z"][row as usize].split(' ').nth(at as usize).unwrap_or_default(),
            );
        }
    }
    lanes.arrow(Kind::Hot, &[(274, 49), (318, 49), (318, 80)]);
    lanes.arrow(Kind::Plain, &[(274, 133), (318, 133), (318, 104)]);
    lanes.boxed((290, 80), (56, 24), Kind::Plain, "`pop`");
    lanes.note((284, 96), End, "the order: a v b w x y z");
    lanes.arrow(Kind::Plain, &[(346, 92), (390, 92)]);
    lanes
}
