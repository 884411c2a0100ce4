//! A table of futures that are always ready, and what has to hold for each of them.
//!
//! Facts. A future that is always ready never goes back to the loop by itself. The budget makes it go back: each await
//! of one of our futures is an operation, and one poll of a task may do 128 of them. If a future forgets to count, one
//! task can stop all others. If a combinator takes "no budget" for "not ready", it gives a wrong answer.
//!
//! What follows. Each public future has a [`Row`] that makes it ready again and again. [`assert_fair`] awaits the row
//! in a loop, by itself and inside every combinator, beside a task that counts its own polls. [`assert_ready_wins`]
//! pits it against a deadline that has passed. [`missing`] reads the sources and finds the futures that have no row.
//! [`fairness_tests`](crate::fairness_tests) makes a test of each of the three.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use roundel::cancel::CancelToken;
use roundel::group::{self, Scope};
use roundel::{Runtime, spawn, time, yield_now};

/// One await of a row.
pub type Step = Pin<Box<dyn Future<Output = ()>>>;
/// Makes the next await.
pub type Steps = Box<dyn FnMut() -> Step>;

/// A future that is ready as often as it is awaited.
#[derive(Debug)]
pub struct Row {
    /// The futures in the sources that this row covers, as `file::name`.
    pub covers: &'static [&'static str],
    /// The number of awaits is divided by this, because one await takes long or goes back to the loop in any case.
    pub cost: usize,
    /// Prepares for this number of awaits.
    pub make: fn(usize) -> Pin<Box<dyn Future<Output = Steps>>>,
}

/// A row: what it covers, its cost, what it needs (made once, shared by the steps), and one await.
#[macro_export]
macro_rules! row {
    ([$($covers:literal),+], $cost:literal, |$count:pat_param| {$($name:ident = $init:expr),* $(,)?}, $step:expr) => {
        $crate::fair::Row {
            covers: &[$($covers),+],
            cost: $cost,
            make: |count| Box::pin(async move {
                let $count = count;
                $(let $name = std::rc::Rc::new($init);)*
                let steps: $crate::fair::Steps = Box::new(move || {
                    $(let $name = std::rc::Rc::clone(&$name);)*
                    Box::pin(async move { let _ = $step; })
                });
                steps
            }),
        }
    };
    ([$($covers:literal),+], {$($name:ident = $init:expr),* $(,)?}, $step:expr) => {
        $crate::row!([$($covers),+], 1, |_| {$($name = $init),*}, $step)
    };
}

/// The three tests that every table of rows has to pass. `$rows` is called once in each test; `$exempt` lists the
/// futures that need no row.
#[macro_export]
macro_rules! fairness_tests {
    ($rows:path, $exempt:path) => {
        #[test]
        fn every_public_future_has_a_row() {
            // (This is the folder of the crate that uses the macro.)
            let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let missing = $crate::fair::missing(&sources, &$rows(), $exempt);
            assert!(missing.is_empty(), "{}", missing.join("\n"));
        }

        #[test]
        fn a_loop_of_awaits_that_are_ready_lets_others_run() {
            $crate::fair::assert_fair(&$rows());
        }

        #[test]
        fn what_is_ready_wins() {
            $crate::fair::assert_ready_wins(&$rows());
        }
    };
}

/// How many awaits follow each other without a pause.
const AWAITS: usize = match () {
    () if cfg!(miri) => 1_000,
    () if cfg!(debug_assertions) => 10_000,
    () => 100_000,
};
/// The other task must be polled at least once in this number of awaits.
const AWAITS_PER_POLL: usize = 200;

type Wrapper = (&'static str, fn(Step) -> Step);

/// What the awaits are wrapped in.
const WRAPPERS: &[Wrapper] = &[
    ("by itself", |step| step),
    ("timeout", |step| Box::pin(async { time::timeout(Duration::ZERO, step).await.unwrap_or(()) })),
    ("timeout of an hour", |step| {
        Box::pin(async { time::timeout(Duration::from_secs(3600), step).await.unwrap() })
    }),
    ("select!", |step| {
        Box::pin(async {
            group::select! { () = step => {}, () = pending() => {} }
        })
    }),
    ("select!, second", |step| {
        Box::pin(async {
            group::select! { () = pending() => {}, () = step => {} }
        })
    }),
    ("race", |step| Box::pin(async { group::race([step, Box::pin(pending()) as Step]).await })),
    ("token.run", |step| Box::pin(async { CancelToken::new().run(step).await.unwrap() })),
    ("gather", |step| Box::pin(async { drop(group::gather([step]).await) })),
    ("join!", |step| Box::pin(async { group::join!(step, ready(())).0 })),
    ("scope", |step| {
        Box::pin(async {
            let body = async |s: &Scope<'static>| s.spawn(step).await.unwrap();
            group::scope(body).await;
        })
    }),
    ("a foreign combinator", |step| Box::pin(or(step, pending()))),
];

/// Waits for the first of two futures, as a library does that knows nothing of budgets.
async fn or(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() || second.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// While a row is awaited in a loop, in each of the wrappers, another task still gets its polls.
///
/// # Panics
///
/// If it gets too few.
pub fn assert_fair(rows: &[Row]) {
    for row in rows {
        for (number, (wrapper, wrap)) in WRAPPERS.iter().enumerate() {
            // All the awaits without a wrapper, and a tenth of them in each wrapper.
            let awaits = AWAITS / row.cost / if number == 0 { 1 } else { 10 };
            let polls = polls_beside(row, awaits, *wrap);
            assert!(
                polls >= awaits / AWAITS_PER_POLL,
                "{} ({wrapper}): {awaits} awaits, and another task had {polls} polls",
                row.covers[0]
            );
        }
    }
}

fn polls_beside(row: &Row, awaits: usize, wrap: fn(Step) -> Step) -> usize {
    Runtime::new().unwrap().block_on(async {
        let mut steps = (row.make)(awaits).await;
        let polls = Rc::new(Cell::new(0));
        let counting = spawn({
            let polls = polls.clone();
            async move {
                loop {
                    polls.set(polls.get() + 1);
                    yield_now().await;
                }
            }
        });
        let begun = polls.get();
        for _ in 0..awaits {
            wrap(steps()).await;
        }
        counting.cancel();
        polls.get() - begun
    })
}

/// A ready future wins against a deadline that has passed, a cancelled token, and the arms after it. It wins every
/// time, however much of the budget has been used.
///
/// # Panics
///
/// If it loses once.
pub fn assert_ready_wins(rows: &[Row]) {
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    for row in rows.iter().filter(|row| row.cost == 1) {
        let name = row.covers[0];
        Runtime::new().unwrap().block_on(async {
            let token = CancelToken::new();
            token.cancel();
            let mut steps = (row.make)(5 * 300).await;
            for round in 0..300 {
                assert!(time::timeout(Duration::ZERO, steps()).await.is_ok(), "{name}: timeout, {round}");
                assert!(time::timeout_at(past, steps()).await.is_ok(), "{name}: timeout_at, {round}");
                assert!(token.run(steps()).await.is_ok(), "{name}: token.run, {round}");
                let first = group::select! { () = steps() => true, () = ready(()) => false };
                assert!(first, "{name}: select!, {round}");
                let first = Cell::new(false);
                let ours = async {
                    steps().await;
                    first.set(true);
                };
                let ours: Pin<Box<dyn Future<Output = ()>>> = Box::pin(ours);
                group::race([ours, Box::pin(ready(()))]).await;
                assert!(first.get(), "{name}: race, {round}");
            }
        });
    }
}

/// Complaints about the sources below `folder`: public futures that have neither a row nor an exemption, and listed
/// futures that do not exist.
///
/// # Panics
///
/// If there are hardly any futures: then this is the wrong folder.
pub fn missing(folder: &Path, rows: &[Row], exempt: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    assert!(found.len() > 20, "only {found:?}: are these the sources?");
    let listed: Vec<&str> =
        rows.iter().flat_map(|row| row.covers).chain(exempt.iter().map(|(name, _)| name)).copied().collect();
    let without = found.iter().filter(|name| !listed.contains(&name.as_str()));
    let gone = listed.iter().filter(|name| !name.contains(' ') && !found.iter().any(|found| found == *name));
    without
        .map(|name| format!("{name} has no row: is it fair?"))
        .chain(gone.map(|name| format!("{name} does not exist")))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(futures(&text).into_iter().map(|name| format!("{stem}::{name}")));
        }
    }
    found.sort();
    found.dedup();
}

/// The public functions that are `async`, return a future or poll, and the types that are futures or streams.
fn futures(text: &str) -> Vec<String> {
    let (mut names, mut function) = (Vec::new(), String::new());
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        if let Some((_, rest)) = line.split_once("pub fn ").or_else(|| line.split_once("pub async fn ")) {
            function = word(rest);
        }
        let polls = line.starts_with("pub fn poll_");
        if line.starts_with("pub async fn ") || polls || line.contains("-> impl Future<Output") {
            names.push(function.clone());
        }
        for of in
            [" Future for ", " Stream for ", " AsyncRead for ", " AsyncWrite for ", " AsyncBufRead for "]
        {
            if let Some((before, after)) = line.split_once(of)
                && (before.starts_with("impl") || before == "}")
            {
                names.push(word(after.trim_start_matches('&')));
            }
        }
    }
    names
}
