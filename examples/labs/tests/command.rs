//! The program `labs` as a learner runs it, and the desk with the learner's files.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use labs::check::{Check, ensure};
use labs::desk::{Desk, Reset, State};
use labs::diary::act;
use labs::judge::{Report, What, judge};
use labs::list::{How, LABS, Lab};
use labs::outcome::{Outcome, Trouble};
use labs::page::{page, row, wrap};

fn labs(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labs"));
    command.args(args).stdin(Stdio::null()).output().expect("labs runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_list_names_each_lab() {
    let output = labs(&[]);
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    for lab in LABS {
        let line = shown.lines().find(|line| line.contains(lab.title)).unwrap_or_else(|| panic!("{shown}"));
        assert!(line.contains(&lab.stars()) && line.contains(&format!("{} min", lab.minutes)), "{line}");
    }
    assert!(shown.contains(&format!("of {} solved", LABS.len())), "{shown}");
}

#[test]
fn help_and_mistakes_are_answered() {
    let help = labs(&["--help"]);
    assert!(
        help.status.success() && text(&help.stdout).starts_with("usage: cargo run -p labs -- "),
        "{help:?}"
    );
    for (args, says) in [
        (&["99"][..], "there is no lab 99; the labs are 1 to"),
        (&["five"], "`five` is not the number of a lab"),
        (&["--reset"], "--reset needs a value"),
        (&["--reset", "x"], "`x` is not a value for --reset"),
        (&["1", "--reset", "2"], "give one number"),
        (&["1", "2"], "`2` is not understood"),
        (&["--solve"], "`--solve` is not understood"),
    ] {
        let output = labs(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {output:?}");
    }
}

/// A learner may have changed the files, so it does not matter what the programs find.
#[test]
fn every_program_grades_its_own_lab() {
    let folder = Path::new(env!("CARGO_BIN_EXE_labs")).parent().expect("a program is in a folder");
    for lab in LABS.iter().filter(|lab| matches!(lab.how, How::File)) {
        let program = folder.join(format!("lab_{:02}", lab.number));
        let output =
            Command::new(&program).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let head = format!("Lab {}: {} {}\n\n", lab.number, lab.title, lab.stars());
        assert!(text(&output.stdout).starts_with(&head), "{output:?}");
        let solved = text(&output.stdout).contains("is solved.");
        assert_eq!(output.status.code(), Some(i32::from(!solved)), "{output:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labs"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("labs runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("labs ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// A desk in a folder of its own, which is removed at the end.
struct Temporary {
    folder: PathBuf,
    desk: Desk,
}

impl Temporary {
    fn new(test: &str) -> Temporary {
        let folder = std::env::temp_dir().join(format!("roundel-labs-{test}-{}", std::process::id()));
        for part in ["stubs", "work"] {
            fs::create_dir_all(folder.join(part)).expect("a folder");
            fs::write(folder.join(part).join("01_waker.rs"), "stub").expect("a file");
        }
        Temporary { desk: Desk::at(&folder), folder }
    }

    fn write(&self, text: &str) {
        fs::write(self.desk.work(lab()), text).expect("the learner writes");
    }

    fn read(&self, path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn lab() -> &'static Lab {
    Lab::of(1).expect("lab 1")
}

#[test]
fn a_reset_keeps_what_was_there() {
    let at = Temporary::new("reset");
    let work = at.desk.work(lab());
    at.write("mine");
    // A no changes nothing.
    assert_eq!(at.desk.reset(lab(), |_| false).expect("a reset"), Reset::Refused);
    assert_eq!(at.read(&work), "mine");
    // A yes puts the stub back, and keeps the learner's file under the name that was told.
    let mut told = PathBuf::new();
    let agrees = |copy: &Path| {
        told = copy.to_owned();
        true
    };
    assert_eq!(at.desk.reset(lab(), agrees).expect("a reset"), Reset::Done(told.clone()));
    assert_eq!((at.read(&work), at.read(&told)), ("stub".to_owned(), "mine".to_owned()));
    // A second one takes another name.
    at.write("mine, again");
    let Reset::Done(second) = at.desk.reset(lab(), |_| true).expect("a reset") else {
        panic!("it was not reset")
    };
    assert_eq!((at.read(&told), at.read(&second)), ("mine".to_owned(), "mine, again".to_owned()));
    // If there is nothing to lose, there is nothing to ask.
    assert_eq!(at.desk.reset(lab(), |_| panic!("it asks")).expect("a reset"), Reset::Fresh);
}

#[test]
fn if_the_copy_cannot_be_made_the_file_is_left_alone() {
    let at = Temporary::new("copy");
    at.write("mine");
    // The name is free when the question is asked, and taken when the copy is made.
    let reset = at.desk.reset(lab(), |copy| {
        fs::write(copy, "another's").expect("a file");
        true
    });
    let error = reset.expect_err("the copy cannot be made").to_string();
    assert!(error.contains("01_waker.rs.kept-1: "), "{error}");
    assert_eq!(at.read(&at.desk.work(lab())), "mine");
}

#[test]
fn only_a_missing_file_is_written() {
    let at = Temporary::new("prepare");
    at.write("mine");
    assert!(!at.desk.prepare(lab()).expect("it can look"));
    assert_eq!(at.read(&at.desk.work(lab())), "mine");
    fs::remove_file(at.desk.work(lab())).expect("it was there");
    assert!(at.desk.prepare(lab()).expect("it can write"));
    assert_eq!(at.read(&at.desk.work(lab())), "stub");
}

#[test]
fn the_list_knows_what_is_solved() {
    let at = Temporary::new("solved");
    assert_eq!(at.desk.state(lab()), State::Fresh);
    at.write("mine");
    assert_eq!(at.desk.state(lab()), State::Begun);
    at.desk.note_solved(lab()).expect("it can note");
    assert_eq!(at.desk.state(lab()), State::Solved);
    at.write("mine, and worse");
    assert_eq!(at.desk.state(lab()), State::Changed);
    at.write("mine");
    assert_eq!(at.desk.state(lab()), State::Solved);
    // A list that was damaged is no reason to fail.
    fs::write(at.folder.join("work/.solved"), "1\nx y\n\n1 many\n").expect("a file");
    assert_eq!(at.desk.state(lab()), State::Begun);
}

fn fine() -> Outcome {
    act("something");
    Ok(())
}

fn spins() -> Outcome {
    act("something that never ends");
    loop {
        std::hint::spin_loop();
    }
}

fn asks_for_ever() -> Outcome {
    loop {
        labs::diary::spend(1_000);
    }
}

fn panics() -> Outcome {
    act("something that panics");
    let none = "".chars().next();
    let _ = none.expect("there is one");
    Ok(())
}

fn misses() -> Outcome {
    act("look at a number which is described by a line that is so long that it does not fit into a row");
    ensure(false, "a number that is larger than all the numbers which were seen so far in this test", "12")
}

fn unwritten() -> Outcome {
    labs::not_written("`f`");
}

type Run = fn() -> Outcome;

const IDEA: &str =
    "An idea of several words, which is long enough to be broken into lines in any terminal that is narrow.";

/// Something that never ends is given up soon; the others have the time that they need.
fn report(run: Run) -> Report {
    let limit = if std::ptr::fn_addr_eq(run, spins as Run) { 100 } else { 60_000 };
    let checks = [
        Check::new("it begins", fine, IDEA),
        Check::new("it goes on", run, IDEA),
        Check::new("it ends", fine, IDEA),
    ];
    judge(&checks, Duration::from_millis(limit))
}

#[test]
fn the_judge_survives_every_answer() {
    let table: [(Run, &str); 6] = [
        (fine, "All 3 checks pass. Lab 1 is solved."),
        (spins, "it did not finish, and was stopped"),
        (asks_for_ever, "it did not finish, and was stopped"),
        (panics, "a panic at tests/command.rs:"),
        (misses, "expected"),
        (unwritten, "`f` is not written yet (tests/command.rs:"),
    ];
    for (run, says) in table {
        let shown = page(lab(), &report(run), 200);
        assert!(shown.contains(says), "{shown}");
    }
    let Some(failure) = report(panics).failure else { panic!("it has passed") };
    let What::Trouble(Trouble::Panicked { message, place }) = failure.what else { panic!("{failure:?}") };
    let line =
        include_str!("command.rs").lines().position(|line| line.contains("none.expect(")).map(|at| at + 1);
    assert_eq!(
        (message.as_str(), place),
        ("there is one", format!("tests/command.rs:{}", line.expect("a line")))
    );
    assert_eq!(failure.tried, ["something that panics"]);
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for width in [40, 60, 80, 200] {
        let pages = [fine, spins, panics, misses, unwritten].map(|run| page(lab(), &report(run), width));
        let rows = LABS.iter().map(|lab| row(lab, State::Changed, width));
        for line in pages.join("\n").lines().map(str::to_owned).chain(rows) {
            assert!(line.chars().count() <= width, "{width} columns: {line}");
        }
    }
    assert_eq!(wrap("a word", "  ", 80), ["  a word"]);
    assert_eq!(wrap("one two three", "label ", 80 - 67), ["label one two", "  three"]);
}
