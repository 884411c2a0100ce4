//! Timers, virtual time, how often a busy loop looks, and a client that measures too little.

use super::drawing::Align::{End, Middle, Start};
use super::drawing::{Drawing, Kind};
use super::{constant, defined, named, source};

/// Real programs have long segments; tests have short ones. The definition names the long one last.
fn longest_segment() -> String {
    let full = defined("runtime/src/core/timers/segments.rs", "FULL");
    let mut numbers = full.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.next_back().expect("the length of a segment").to_owned()
}

pub(super) fn timers() -> Drawing {
    let title = "The pending timers, in segments";
    let description = "Three segments. The first is sorted, and its first timer is the next to fire. The \
        others are not sorted yet. All timers of a segment come before those of the next one.";
    let mut timers = Drawing::new(title, description, 212);
    let rows = [
        ("sorted", "3  4  4  6  7  8"),
        ("from 9 ms", "15  9  31  20  12  28"),
        ("from 40 ms", "61  40  44"),
    ];
    for (at, (start, deadlines)) in rows.into_iter().enumerate() {
        let y = 12 + at as i32 * 50;
        timers.text((8, y + 22), Start, start);
        timers.boxed(
            (90, y),
            (190, 34),
            if at == 0 { Kind::Hot } else { Kind::Plain },
            &format!("`{deadlines}`"),
        );
    }
    timers.hot((290, 34), Start, "3 fires next");
    timers.arrow(Kind::Plain, &[(335, 79), (280, 79)]);
    timers.note((340, 83), Start, "insert\n10 ms");
    let full = longest_segment();
    timers.note(
        (8, 178),
        Start,
        &format!(
            "A segment with {full} timers is cut in two. When the\nfirst one is empty, the second is sorted."
        ),
    );
    timers
}

pub(super) fn virtual_time() -> Drawing {
    let title = "Virtual time jumps where real time waits";
    let description = "On real time, the loop sleeps in the kernel between two timers. On virtual time, \
        it sets its clock to the next deadline at once. The tasks run in the same order and see the \
        same times.";
    let mut time = Drawing::new(title, description, 220);
    named("runtime/src/core/clock.rs", "fn jump");
    for (row, (name, places)) in
        [("real time", [(8, 40), (172, 40), (336, 56)]), ("virtual time", [(8, 40), (48, 40), (88, 56)])]
            .into_iter()
            .enumerate()
    {
        let y = 34 + row as i32 * 100;
        time.text((8, y - 12), Start, name);
        for ((x, width), clock) in places.into_iter().zip(["0 s", "1 s", "2 s"]) {
            time.boxed((x, y), (width, 34), Kind::Hot, "run");
            time.note((x, y + 50), Start, clock);
        }
    }
    for x in [48, 212] {
        time.boxed((x, 34), (124, 34), Kind::Dashed, "asleep");
    }
    time.note((160, 156), Start, "nothing is ready, so the\nclock jumps to the deadline");
    time.note((392, 210), End, "The labels are what the loop's clock shows.");
    time
}

pub(super) fn pacing() -> Drawing {
    let title = "A busy loop looks by the clock";
    let description = "With long polls, a stretch has few polls; with short polls, it has many. Either \
        way the loop looks at the kernel a fixed time after its last look.";
    let mut pacing = Drawing::new(title, description, 236);
    let file = "runtime/src/core/pace.rs";
    let every = constant(file, "LOOK_EVERY") / 1000;
    let most = constant(file, "MOST");
    for (row, name, polls) in [(0, "short polls", 24), (1, "long polls", 3)] {
        let y = 40 + row * 90;
        pacing.text((8, y - 14), Start, name);
        for part in 0..2 {
            let left = 8 + part * 192;
            pacing.boxed((left, y), (12, 36), Kind::Hot, "");
            let width = 180 / polls;
            for poll in 0..polls {
                pacing.boxed((left + 12 + poll * width, y), (width, 36), Kind::Plain, "");
            }
        }
        pacing.line(Kind::Plain, &[(20, y + 46), (200, y + 46)]);
        pacing.text((110, y + 62), Middle, &format!("{every} µs"));
    }
    pacing.hot((392, 26), End, "a bar is a look");
    pacing.note((8, 226), Start, &format!("The clock is read once per stretch: 1 to {most} polls."));
    pacing
}

/// What the program prints of a client: the value of this word, in ms.
fn printed(client: &str, word: &str) -> String {
    let chapter = source("docs/chapters/16-measuring-honestly.md");
    let line = chapter.lines().find(|line| line.starts_with(client) && line.contains("messages, p50"));
    let value = line.and_then(|line| line.split(&format!("{word} ")).nth(1)?.split(' ').next());
    value.unwrap_or_else(|| panic!("chapter 16 shows no {word} of {client}")).to_owned()
}

pub(super) fn omission() -> Drawing {
    let title = "What a polite client does not measure";
    let description = "The server stands still from 5 s to 6 s. The punctual client measures the latency \
        of each message that is due in that second: it falls from 1 s to nothing. The polite client \
        has sent one message, and measures one long latency.";
    let mut omission = Drawing::new(title, description, 268);
    let x = |tenths: i32| 52 + (tenths - 40) * 15;
    for (row, client) in ["polite", "punctual"].into_iter().enumerate() {
        let base = 100 + row as i32 * 124;
        omission.boxed((x(50), base - 74), (x(60) - x(50), 74), Kind::Dashed, "");
        omission.line(Kind::Plain, &[(x(40), base), (x(62), base)]);
        omission.text((8, base - 80), Start, client);
        omission.hot((392, base - 80), End, &format!("p99: {} ms", printed(client, "p99")));
        omission.note((46, base - 60), End, "1 s");
        omission.note((46, base + 4), End, "0 s");
        for tenths in 40..=62 {
            let is_due = (50..60).contains(&tenths) && (client == "punctual" || tenths == 50);
            let latency = if is_due { (60 - tenths) * 7 } else { 2 };
            if is_due || client == "punctual" || !(50..60).contains(&tenths) {
                omission.line(Kind::Hot, &[(x(tenths), base), (x(tenths), base - latency)]);
            }
        }
    }
    omission.note((x(50), 242), Middle, "5 s");
    omission.note((x(60), 242), Middle, "6 s");
    omission.note((8, 260), Start, "A line is a message (one in ten is drawn): how late it is.");
    omission
}
