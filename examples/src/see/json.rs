//! A trace as the JSON that the viewer reads.
//!
//! Contract. The events are columns: the kind, the time since the event before, and three numbers that mean what the table
//! in `docs/trace.md` says. -1 means none. Tasks, resources and texts are indices of the tables. `<` is written as
//! `\u003c`, so that the JSON can stand in a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use roundel::probe::End;
use roundel::record::{ResourceKind, Snapshot, State, Trace, What};

use crate::see::names::short;

/// The loop's own source, of which the viewer shows `turn`.
const LOOP: &str = include_str!("../../../runtime/src/core/event_loop.rs");
const LOOP_PATH: &str = "runtime/src/core/event_loop.rs";
/// A source file that is longer is not shown.
const LONGEST_FILE: usize = 256 * 1024;

/// The trace as JSON.
#[must_use]
pub fn json(trace: &Trace) -> String {
    let mut out = String::from("{");
    let clock = if trace.is_virtual() { "virtual" } else { "real" };
    let date = trace.date().map_or(String::new(), date);
    let _ = write!(out, "\"version\":2,\"program\":{},\"date\":\"{date}\"", text(trace.program()));
    let (shuffled, dropped, cut) = (trace.is_shuffled(), trace.dropped(), trace.is_cut());
    let _ = write!(out, ",\"clock\":\"{clock}\",\"shuffle\":{shuffled},\"dropped\":{dropped},\"cut\":{cut}");
    let _ = write!(out, ",\n\"texts\":{}", list(trace.texts().iter().map(|line| text(line))));
    let _ = write!(out, ",\n\"tasks\":{}", tasks(trace));
    let _ = write!(out, ",\n\"resources\":{}", resources(trace));
    let _ = write!(out, ",\n\"begin\":{}", trace.begin().map_or("null".into(), begin));
    let _ = write!(out, ",\n\"events\":{}", events(trace));
    let _ = write!(out, ",\n\"turn\":{}", turn());
    let _ = write!(out, ",\n\"files\":{}", files(trace));
    out.push_str("}\n");
    out
}

/// A text in quotes.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '<' | '\u{2028}' | '\u{2029}' | '\0'..' ' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".into(), |value| value.to_string())
}

fn tasks(trace: &Trace) -> String {
    list(trace.tasks().iter().map(|task| {
        let name = or_null(trace.text(task.name).map(text));
        let (at, size, by) = (or_null(task.at), or_null(task.size), or_null(task.by));
        format!(
            "{{\"id\":\"{}.{}\",\"name\":{name},\"at\":{at},\"size\":{size},\"by\":{by}}}",
            task.slot, task.serial
        )
    }))
}

fn resources(trace: &Trace) -> String {
    list(trace.resources().iter().map(|resource| {
        let (kind, what) = match resource.kind {
            ResourceKind::Task => ("task", "task"),
            ResourceKind::Timer => ("timer", "timer"),
            ResourceKind::Source => ("source", trace.text(resource.what).unwrap_or("source")),
            _ => ("line", trace.text(resource.what).unwrap_or("line")),
        };
        let name = or_null(trace.text(resource.name).map(text));
        let (what, at, task) = (text(what), or_null(resource.at), or_null(resource.task));
        let number = short(resource);
        let fd = or_null(resource.descriptor);
        let (local, peer) = (address(trace, resource.local), address(trace, resource.peer));
        format!(
            "{{\"kind\":\"{kind}\",\"number\":{number},\"what\":{what},\"name\":{name},\"at\":{at},\"task\":{task},\"fd\":{fd},\"local\":{local},\"peer\":{peer}}}"
        )
    }))
}

fn address(trace: &Trace, number: Option<u32>) -> String {
    or_null(trace.text(number).map(text))
}

/// What stood where before the first event.
fn begin(state: &Snapshot) -> String {
    let all = |tasks: &[u32]| list(tasks.iter().map(u32::to_string));
    let none = |value: Option<u32>| value.map_or(-1, i64::from);
    let timers = state
        .timers
        .iter()
        .map(|timer| format!("[{},{},{}]", timer.timer, timer.deadline.min(EXACT), none(timer.task)));
    let waits =
        state.waiters.iter().map(|wait| format!("[{},{},{}]", none(wait.task), wait.on, none(wait.holder)));
    format!(
        "{{\"turn\":{},\"step\":{},\"running\":{},\"outsideIsNext\":{},\"live\":{},\"tasks\":{},\"outside\":{},\"over\":{},\"timers\":{},\"waits\":{},\"sources\":{}}}",
        state.turn,
        state.step.number(),
        none(state.running),
        state.outside_is_next,
        state.live,
        all(&state.tasks),
        all(&state.outside),
        all(&state.over),
        list(timers),
        list(waits),
        all(&state.sources),
    )
}

/// The columns of the events.
fn events(trace: &Trace) -> String {
    let mut state = State::new(trace);
    let mut columns: [Vec<String>; 5] = Default::default();
    let mut before = 0;
    for event in trace.events() {
        // The deadline that ends a sleep is the nearest one that is set.
        let next = state.timers().next().map(|timer| timer.timer);
        let (kind, a, b, c) = row(&event.what, next);
        let after = event.at - before;
        before = event.at;
        let row = [kind.to_string(), after.to_string(), a.to_string(), b.to_string(), c.to_string()];
        columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        state.apply(&event.what);
    }
    let [kind, at, a, b, c] = columns.map(|column| column.join(","));
    format!("{{\"kind\":[{kind}],\n\"at\":[{at}],\n\"a\":[{a}],\n\"b\":[{b}],\n\"c\":[{c}]}}")
}

/// Numbers above this are not exact in JavaScript.
const EXACT: u64 = 1 << 53;

/// An event as the viewer knows it: its kind, and three numbers.
fn row(what: &What, next_timer: Option<u32>) -> (u8, i64, i64, i64) {
    let one = |value: u32| i64::from(value);
    let maybe = |value: Option<u32>| value.map_or(-1, i64::from);
    let number = |value: u64| value.min(EXACT) as i64;
    match *what {
        What::Turn { number: turn } => (0, number(turn), -1, -1),
        What::Spawn { task } => (1, one(task), -1, -1),
        What::Wake { task, by, cause } => (2, one(task), maybe(by), maybe(cause)),
        What::Poll { task } => (3, one(task), -1, -1),
        What::Polled { task, complete, panicked } => (4, one(task), complete.into(), panicked.into()),
        What::Done { task, end } => {
            let end = [End::Returned, End::Cancelled, End::Panicked].iter().position(|known| *known == end);
            (5, one(task), end.map_or(-1, |end| end as i64), -1)
        }
        What::Unheard { task } => (6, one(task), -1, -1),
        What::Park { limit } => {
            (7, maybe(next_timer.filter(|_| limit.is_some())), limit.map_or(-1, number), -1)
        }
        What::Unpark => (8, -1, -1, -1),
        What::Ready { source, readable, writable } => {
            (9, one(source), i64::from(readable) + 2 * i64::from(writable), -1)
        }
        What::Fired { timer } => (10, one(timer), -1, -1),
        What::Wait { task, on, holder } => (11, maybe(task), one(on), maybe(holder)),
        What::Waited { task, on } => (12, maybe(task), one(on), -1),
        What::Set { timer, deadline, task } => (13, one(timer), number(deadline), maybe(task)),
        What::Unset { timer } => (14, one(timer), -1, -1),
        What::Open { source, descriptor } => (15, one(source), maybe(descriptor), -1),
        What::Close { source } => (16, one(source), -1, -1),
        What::Cancel { task, by } => (17, one(task), maybe(by), -1),
        What::Spent { task } => (18, maybe(task), -1, -1),
        What::Mark { text, task } => (19, one(text), maybe(task), -1),
        What::Gap { dropped } => (20, number(dropped), -1, -1),
        What::Shutdown { step } => (21, one(step), -1, -1),
        // A kind of a later version.
        _ => (20, 0, -1, -1),
    }
}

/// The function that is one turn of the loop, with the lines of its five steps.
fn turn() -> String {
    let lines: Vec<&str> = LOOP.lines().collect();
    let head = lines.iter().position(|line| line.contains("fn turn(")).unwrap_or(0);
    let first = (0..head)
        .rev()
        .take_while(|line| lines[*line].trim_start().starts_with("///"))
        .last()
        .unwrap_or(head);
    let length = lines[head..].iter().position(|line| *line == "    }").unwrap_or(0);
    let body = &lines[first..=head + length];
    let step = |number: u32| {
        let mark = format!("// {number}");
        body.iter().position(|line| line.trim_end().ends_with(&mark)).map_or(0, |line| first + line + 1)
    };
    let steps = list((1..=5).map(|number| step(number).to_string()));
    let body = list(body.iter().map(|line| text(line)));
    format!("{{\"path\":\"{LOOP_PATH}\",\"first\":{},\"lines\":{body},\"steps\":{steps}}}", first + 1)
}

/// The program's files in which tasks were spawned and locks were made, as far as they are there.
fn files(trace: &Trace) -> String {
    let places =
        trace.tasks().iter().map(|task| task.at).chain(trace.resources().iter().map(|resource| resource.at));
    let paths: BTreeSet<&str> =
        places.filter_map(|place| trace.text(place)?.rsplitn(3, ':').nth(2)).collect();
    let found: BTreeMap<&str, String> =
        paths.into_iter().filter_map(|path| Some((path, source(path)?))).collect();
    let files =
        found.iter().map(|(path, source)| format!("{}:{}", text(path), list(source.lines().map(text))));
    format!("{{{}}}", files.collect::<Vec<_>>().join(",\n"))
}

/// Paths of a program's places are those of its compiler: relative to its workspace.
fn source(path: &str) -> Option<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let read = |path: &Path| std::fs::read_to_string(path).ok().filter(|source| source.len() <= LONGEST_FILE);
    read(Path::new(path)).or_else(|| read(&workspace.join(path)))
}

/// A date in the form of ISO 8601, by the days of the civil calendar.
fn date(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day is the last of its year; an era has 400 years.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_796_051_234, "2026-11-30T15:07:14Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn a_text_cannot_end_the_script_that_it_stands_in() {
        assert_eq!(text("a\"b\\c\n</script>\u{1}"), r#""a\"b\\c\n\u003c/script>\u0001""#);
    }

    #[test]
    fn the_five_steps_of_a_turn_are_found() {
        let turn = turn();
        assert!(turn.contains("poll_ready_tasks(root); // 1"), "{turn}");
        let steps = turn.rsplit_once("\"steps\":[").unwrap().1.trim_end_matches("]}");
        let steps: Vec<usize> = steps.split(',').map(|line| line.parse().unwrap()).collect();
        assert!(steps.is_sorted_by(|a, b| a < b) && steps[0] > 0, "{steps:?}");
    }
}
