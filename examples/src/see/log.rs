//! A trace as text, one line an event.
//!
//! Contract. The columns are the number of the event, as in the address of the page, the time in milliseconds, the turn and
//! its step, and what has happened. A line has at most 78 columns; long names are cut.

use roundel::probe::End;
use roundel::record::{State, Trace, What};

use crate::see::names::{Names, are, clock, time};

/// How long the last column may be.
const LONGEST: usize = 45;

/// The heading of the columns.
pub const HEADING: &str = "event          time  turn.step what";

/// The lines.
pub fn lines(trace: &Trace) -> impl Iterator<Item = String> {
    let mut state = State::new(trace);
    let mut woke_itself = false;
    trace.events().iter().enumerate().map(move |(number, event)| {
        state.apply(&event.what);
        let mut what = describe(trace, &event.what);
        match event.what {
            What::Poll { .. } => woke_itself = false,
            What::Wake { task, .. } if state.running() == Some(task) => woke_itself = true,
            What::Polled { complete: false, panicked: false, .. } if woke_itself => {
                what += ", to go on later";
            }
            _ => {}
        }
        let what: String = what.chars().take(LONGEST).collect();
        let (time, turn, step) = (clock(event.at), state.turn(), state.step().number());
        let place = if step == 0 { "    –".into() } else { format!("{turn:>5}.{step}") };
        format!("{number:>5} {time:>13}  {place:<9} {what}").trim_end().to_owned()
    })
}

/// What an event says, in words.
#[must_use]
pub fn describe(trace: &Trace, what: &What) -> String {
    let names = Names::new(trace);
    let task = |task: u32| names.task(task);
    match *what {
        What::Turn { number } => format!("── turn {number}"),
        What::Spawn { task: new } => {
            let by = trace.tasks().get(new as usize).and_then(|task| task.by);
            by.map_or(format!("{} begins", task(new)), |by| format!("{} spawns {}", task(by), task(new)))
        }
        What::Wake { task: woken, by, cause } => match (by, cause) {
            (Some(by), _) if by == woken => format!("{} wakes itself", task(woken)),
            (Some(by), _) => format!("{} wakes {}", task(by), task(woken)),
            (None, Some(cause)) => format!("{} wakes {}", names.resource(cause), task(woken)),
            (None, None) => format!("from outside, {} is woken", task(woken)),
        },
        What::Poll { task: polled } => format!("{} runs", task(polled)),
        What::Polled { task: polled, complete, panicked } => match (complete, panicked) {
            (_, true) => format!("{} panics", task(polled)),
            (true, _) => format!("{} returns Ready", task(polled)),
            _ => format!("{} returns Pending", task(polled)),
        },
        What::Done { task: over, end } => match end {
            End::Returned => format!("{} is over", task(over)),
            End::Cancelled => format!("{} is over: cancelled", task(over)),
            _ => format!("{} is over: it panicked", task(over)),
        },
        What::Unheard { task: lost } => format!("{} panicked, and no handle tells", task(lost)),
        What::Cancel { task: cancelled, by: None } => {
            format!("from outside, {} is cancelled", task(cancelled))
        }
        What::Cancel { task: cancelled, by: Some(by) } => format!("{} cancels {}", task(by), task(cancelled)),
        What::Spent { task: spent } => format!("{} has used up its budget", names.running(spent)),
        What::Park { limit: None } => "the loop sleeps".into(),
        What::Park { limit: Some(0) } => "the loop only looks, it does not sleep".into(),
        What::Park { limit: Some(limit) } => format!("the loop sleeps, at most {}", time(limit)),
        What::Unpark => "the loop is awake".into(),
        _ => describe_resource(trace, what),
    }
}

/// The same of the events that name a resource.
fn describe_resource(trace: &Trace, what: &What) -> String {
    let names = Names::new(trace);
    let who = |task: Option<u32>| names.running(task);
    match *what {
        What::Ready { source, readable, writable } => {
            let ways = match (readable, writable) {
                (true, true) => "readable and writable",
                (true, false) => "readable",
                _ => "writable",
            };
            format!("{} is {ways}", names.full(source))
        }
        What::Fired { timer } => format!("{} fires", names.resource(timer)),
        What::Wait { task, on, holder } => {
            let held = holder.filter(|holder| trace.resources()[on as usize].task != Some(*holder));
            let held = held.map_or(String::new(), |holder| format!(", held by {}", names.task(holder)));
            format!("{} waits for {}{held}", who(task), names.resource(on))
        }
        What::Waited { task, on } => format!("{} no longer waits for {}", who(task), names.resource(on)),
        What::Set { timer, deadline, .. } => {
            format!("{} is set to {}", names.resource(timer), clock(deadline))
        }
        What::Unset { timer } => format!("{} is dropped", names.resource(timer)),
        What::Open { source, .. } => {
            let socket = names.socket(source).map_or(String::new(), |socket| format!(": {socket}"));
            format!("{} opens{socket}", names.resource(source))
        }
        What::Close { source } => format!("{} closes", names.resource(source)),
        What::Mark { text, task } => {
            let who = task.map_or("the program".into(), |task| names.task(task));
            format!("{who} says: {}", trace.text(Some(text)).unwrap_or_default())
        }
        What::Gap { dropped } => format!("{} missing here", are(dropped, "event")),
        What::Shutdown { step } => shutdown(step).into(),
        _ => "something that this program does not know".into(),
    }
}

/// What a step of the shutdown does.
fn shutdown(step: u32) -> &'static str {
    match step {
        1 => "the shutdown begins: all tasks are cancelled",
        2 => "the shutdown lets what is left run",
        3 => "the shutdown drops what is left",
        _ => "the shutdown ends timers and sources",
    }
}
