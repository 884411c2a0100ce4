//! The traces of the chapters can be made, the chapters say how, and the commands of the README work.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::fs;
use std::path::Path;
use std::process::Command;

use docs::programs::{build, built, record, run, target};
use docs::root;
use docs::traces::{Shown, TRACES};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the command that makes the pages, and returns the lines that it prints.
fn traces(names: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_traces")).args(names).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then(|| said.lines().map(str::to_owned).collect()).ok_or(complaint)
}

#[test]
fn the_command_makes_a_page_for_each_trace_and_says_where_to_begin() {
    let names: Vec<&str> = TRACES.iter().map(|shown| shown.name).collect();
    let address = |line: &str, shown: &Shown| {
        let (_, event) = line.split_once("#event=").expect("an event");
        format!("{}.html#event={event}", shown.name)
    };
    let chapter = |shown: &Shown| read(&root().join("docs/chapters").join(shown.chapter));
    let is_told = |line: &str, shown: &Shown| {
        chapter(shown).contains(&format!("`target/traces/{}`", address(line, shown)))
    };
    // A busy machine may hold up a program for longer than it waits. Then other things happen before the event to look at.
    let are_told = |lines: &Vec<String>| lines.iter().zip(TRACES).all(|(line, shown)| is_told(line, shown));
    let lines = (0..5).find_map(|_| traces(&names).ok().filter(are_told));
    let lines = lines.unwrap_or_else(|| traces(&names).expect("all are made"));
    let index = read(&target().unwrap().join("traces/index.html"));
    assert_eq!(lines.len(), names.len(), "{lines:?}");
    for (line, shown) in lines.iter().zip(TRACES) {
        let (page, address) = (line.split('#').next().expect("a page"), address(line, shown));
        assert!(line.ends_with(&format!("/traces/{address}")), "{line}");
        assert!(read(Path::new(page)).contains(&format!("\"program\":\"{}\"", shown.name)), "{line}");
        assert!(index.contains(&address), "{address} is not in {index}");
        assert!(is_told(line, shown), "{} begins elsewhere", shown.chapter);
    }
}

/// The lines of `see --log` on `breakfast`, and how many bytes its trace has.
fn breakfast() -> (Vec<String>, u64) {
    build(&["breakfast", "see"]).expect("they are built");
    let trace = std::env::temp_dir().join(format!("roundel-told-{}.trace", std::process::id()));
    record(&["breakfast".to_owned()], &trace).expect("it is recorded");
    let words = ["see", &trace.display().to_string(), "--log"].map(str::to_owned);
    let log = run(&words, &mut Command::new(built("see").unwrap())).expect("it is a trace");
    let bytes = fs::metadata(&trace).expect("a file").len();
    fs::remove_file(trace).expect("the file can be removed");
    // Without the heading.
    (log.lines().skip(1).map(str::to_owned).collect(), bytes)
}

/// Each number of an event in the book is in what `see` prints, in an address that the test above makes, or here.
#[test]
fn the_numbers_of_events_that_are_told_are_those_of_the_trace() {
    let (log, bytes) = breakfast();
    let first = log.iter().position(|line| line.ends_with("wakes #0.1 main")).expect("a wake of main");
    let told = [
        ("docs/chapters/15-seeing-the-loop.md", format!("The {} events of breakfast take less", log.len())),
        ("docs/chapters/15-seeing-the-loop.md", format!("Stop after event {first}: coffee has ended and")),
        ("docs/chapters/15-seeing-the-loop.md", format!("see -- breakfast.trace --event {first} ")),
        ("README.md", format!("This is event {first} of `breakfast`: four tasks are ready")),
    ];
    for (path, words) in told {
        let text = read(&root().join(path)).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&words), "{path} does not say `{words}`");
    }
    assert!(bytes < 500, "the chapter says that they take less than 500 bytes, not {bytes}");
}

#[test]
fn a_name_that_is_unknown_is_refused() {
    let complaint = traces(&["cake"]).expect_err("there is no such trace");
    assert!(complaint.starts_with("traces: there is no trace of `cake`, only of journey, "), "{complaint}");
}

/// The chapter of each trace gives the command that makes it.
#[test]
fn each_chapter_says_how_to_step_through_its_program() {
    for shown in TRACES {
        let text = read(&root().join("docs/chapters").join(shown.chapter));
        let command = format!("cargo run --release -p docs --bin traces -- {}`", shown.name);
        let spoken = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(spoken.contains(&command), "{} does not say `{command}", shown.chapter);
        assert!(spoken.contains(&format!("target/traces/{}.html", shown.name)), "{}", shown.chapter);
    }
}

/// Both commands, as the README writes them, but with programs of this profile and in another folder.
#[test]
fn the_commands_of_the_readme_make_a_page() {
    let readme = read(&root().join("README.md"));
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let at = lines.iter().position(|line| line.starts_with("ROUNDEL_TRACE=")).expect("the first command");
    let (record, show) = (lines[at], lines[at + 1]);
    let (trace, program) = record.split_once(" cargo run --release --example ").expect("an example");
    let trace = trace.trim_start_matches("ROUNDEL_TRACE=");
    let args = show.strip_prefix("cargo run --release --example see -- ").expect("the second command");
    build(&[program, "see"]).expect("they are built");

    let folder = std::env::temp_dir().join(format!("roundel-readme-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let run = |command: &mut Command| {
        let output = command.current_dir(&folder).output().expect("it starts");
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    run(Command::new(built(program).unwrap()).env("ROUNDEL_TRACE", trace));
    run(Command::new(built("see").unwrap()).args(args.split(' ')));
    let page = args.split(' ').next_back().expect("a page");
    assert!(read(&folder.join(page)).contains(&format!("\"program\":\"{program}\"")));
    fs::remove_dir_all(folder).expect("the folder can be removed");
}
