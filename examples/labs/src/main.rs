//! Lists the labs, grades one, or puts back its stub.
//!
//! Run it with `cargo run -p labs`, or with the number of a lab: `cargo run -p labs -- 5`.
//!
//! Facts. A learner's file may not compile. Then only its own lab can say nothing.
//!
//! What follows. This program is built without the learner's files. It has cargo build the program of one lab, and runs
//! it. Nothing is fetched from the network.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use examples::args::Args;
use examples::println;
use examples::status::complain;
use labs::desk::{Desk, Reset, State};
use labs::list::{How, LABS, Lab};
use labs::page::{columns, row, wrap};

const USAGE: &str = "usage: cargo run -p labs -- [N | --reset N]
  Without arguments: lists the labs, and which are solved.
  N          grades lab N: what was tried, expected and seen, and an idea
  --reset N  puts the stub of lab N back, after a question; your file is kept";

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let (reset, number) = (args.option("--reset"), args.positional("the number of a lab"));
    if reset.is_some() && number.is_some() {
        args.refuse("give one number: of the lab to grade, or of the lab to reset");
    }
    let wanted: Option<usize> = reset.or(number);
    let lab = wanted.map(|number| match Lab::of(number) {
        Some(lab) => lab,
        None => args.refuse(&format!("there is no lab {number}; the labs are 1 to {}", LABS.len())),
    });
    args.finish();
    // Everything is asked for; now do it.
    let done = match lab {
        None => Ok(list(&Desk::here())),
        Some(lab) if reset.is_some() => put_back(&Desk::here(), lab),
        Some(lab) => grade(&Desk::here(), lab),
    };
    done.unwrap_or_else(|error| {
        complain(format_args!("labs: {error}"));
        ExitCode::FAILURE
    })
}

fn list(desk: &Desk) -> ExitCode {
    let width = columns();
    let mut solved = 0;
    for lab in LABS {
        let state = desk.state(lab);
        solved += usize::from(state == State::Solved);
        println!("{}", row(lab, state, width));
    }
    println!("");
    let then = "To grade one: `cargo run -p labs -- 1`. The statements are in `docs/labs`.";
    for line in wrap(&format!("{solved} of {} solved. {then}", LABS.len()), "", width) {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// Grades a lab, and notes if it is solved.
fn grade(desk: &Desk, lab: &Lab) -> io::Result<ExitCode> {
    if desk.prepare(lab)? {
        println!("The stub of lab {} is now in {}.", lab.number, shown(&desk.work(lab)));
    }
    let is_solved = match lab.how {
        How::File => by_program(desk, lab)?,
        How::Text(grade) => grade(&desk.work(lab)),
    };
    if !is_solved {
        return Ok(ExitCode::FAILURE);
    }
    desk.note_solved(lab)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds and runs the program of a lab, which prints the report.
fn by_program(desk: &Desk, lab: &Lab) -> io::Result<bool> {
    let Some(program) = build(lab)? else {
        let file = shown(&desk.work(lab));
        complain(format_args!("\n{file} does not compile yet, so nothing was tried."));
        return Ok(false);
    };
    let status = Command::new(program).status()?;
    if status.code().is_none() {
        tell_of_signal(status);
    }
    Ok(status.success())
}

/// An answer can end its whole process.
fn tell_of_signal(status: ExitStatus) {
    complain(format_args!(
        "The answer has ended the program ({status}). Two things do that: a destructor that"
    ));
    complain("panics while another panic unwinds, and a function that calls itself without end.");
}

/// Has cargo build the program of a lab beside this one. `None` if the learner's file does not compile; cargo has said why.
fn build(lab: &Lab) -> io::Result<Option<PathBuf>> {
    let this = std::env::current_exe()?;
    // This program is `target/debug/labs`.
    let folder = this.parent().expect("a program is in a folder");
    let target = folder.parent().expect("a profile is in a folder");
    let profile = folder.file_name().filter(|name| *name != "debug").unwrap_or("dev".as_ref());
    let name = format!("lab_{:02}", lab.number);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--offline", "--package", "labs", "--bin", &name]);
    build.arg("--target-dir").arg(target).arg("--profile").arg(profile);
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().map_err(no_cargo)?;
    Ok(status.success().then(|| folder.join(name)))
}

fn no_cargo(error: io::Error) -> io::Error {
    let text =
        format!("cargo cannot be run, so the lab cannot be built: {error}. Run this as `cargo run -p labs`");
    io::Error::new(error.kind(), text)
}

/// Asks before it puts the stub back.
fn put_back(desk: &Desk, lab: &Lab) -> io::Result<ExitCode> {
    let file = shown(&desk.work(lab));
    match desk.reset(lab, |copy| agrees(&file, copy))? {
        Reset::Fresh => {
            println!("{file} is the stub already.");
        }
        Reset::Refused => {
            println!("{file} is as it was.");
        }
        Reset::Done(copy) => {
            println!("{file} is the stub again. Your file is {}.", shown(&copy));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the learner says yes. The end of the input means no.
fn agrees(file: &str, copy: &Path) -> bool {
    let question = format!("Replace {file} by its stub? Your file is kept as {}. [y/N]", shown(copy));
    let question = format!("{} ", wrap(&question, "", columns()).join("\n"));
    let asked = stdout().write_all(question.as_bytes()).and_then(|()| stdout().flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| stdin().lock().read_line(&mut answer));
    if !answer.ends_with('\n') {
        println!("");
    }
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// A file of the desk as a learner in the root of the workspace would name it.
fn shown(path: &Path) -> String {
    format!("examples/labs/work/{}", path.file_name().unwrap_or_default().display())
}
