//! Plants each fault in a copy of the runtime, and runs the test that has to notice: `cargo run -p docs --bin faults`.
//!
//! It fails if a test passes in spite of its fault. All faults take about ten minutes on two cores; `--help` tells how to
//! run some of them, and how to show the exhibits of the bug gallery.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use docs::faults::copy::{Copy, LIMIT, Outcome};
use docs::faults::gallery::{EXHIBITS, Exhibit};
use docs::faults::{Fault, Target, exhibits, faults};

/// How long all tests of a target may take without a fault. They have to pass, however busy the machine is.
const SOUND: Duration = Duration::from_secs(600);

const HELP: &str = "\
Plants faults in a copy of the runtime, one at a time, and runs for each the
test that has to notice. It fails if a fault survives.

usage: cargo run -p docs --bin faults -- [OPTIONS]

  --list        print the faults, the promises that they break and the tests,
                and run nothing
  --quick       ten faults that unit tests notice
  --only NAME   only faults whose names contain NAME (may be given again)
  --exhibit A   run exhibit A of the bug gallery with its fault (A to J)
  --gallery     run all exhibits, and write what they print beside them
  --help        print this

The patches are in examples/labs/faults, the exhibits in examples/labs/gallery.
";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    list: bool,
    quick: bool,
    gallery: bool,
    help: bool,
    exhibit: Option<String>,
    only: Vec<String>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader of the output is gone, so there is nothing to tell.
        Err(why) if why.is_empty() => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(io::stderr(), "faults: {why}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => options.list = true,
            "--quick" => options.quick = true,
            "--gallery" => options.gallery = true,
            "--help" | "-h" => options.help = true,
            "--exhibit" => options.exhibit = Some(words.next().ok_or("`--exhibit` needs a letter after it")?),
            "--only" => options.only.push(words.next().ok_or("`--only` needs a name after it")?),
            other => return Err(format!("`{other}` is not known: `--help` tells what is")),
        }
    }
    Ok(options)
}

/// Prints, unless nothing reads it any more: that error has no words.
fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| String::new())
}

/// The copy, and word that it has to be built. That word is not part of the output.
fn copy() -> Result<Copy, String> {
    let _ = writeln!(io::stderr(), "faults: building a copy of the runtime (the first time, about a minute)");
    Copy::new()
}

/// Does what was asked for. Whether all is as it should be.
fn run(options: &Options) -> Result<bool, String> {
    if options.help {
        return say(HELP).map(|()| true);
    }
    if let Some(letter) = &options.exhibit {
        return show(letter).map(|()| true);
    }
    if options.gallery {
        return gallery(&copy()?, true);
    }
    let wanted = wanted(options)?;
    if options.list {
        return list(&wanted).map(|()| true);
    }
    let copy = copy()?;
    check_without_faults(&copy, &wanted)?;
    let all_noticed = check_all(&copy, &wanted)?;
    let is_everything = !options.quick && options.only.is_empty();
    Ok(all_noticed && (!is_everything || gallery(&copy, false)?))
}

fn list(faults: &[Fault]) -> Result<(), String> {
    for fault in faults {
        say(&format!("{}\n{}\n", fault.name, about(fault)))?;
    }
    say(&format!("{} faults\n", faults.len()))
}

/// The fault that an exhibit shows.
fn fault_of<'a>(exhibit: &Exhibit, faults: &'a [Fault]) -> Result<&'a Fault, String> {
    let end = format!("-{}", exhibit.fault);
    let fault = faults.iter().find(|fault| fault.name.ends_with(&end));
    fault.ok_or(format!("exhibit {} shows `{}`, which is no fault", exhibit.letter(), exhibit.fault))
}

/// Runs an exhibit with its fault, and says where its trace is.
fn show(letter: &str) -> Result<(), String> {
    let exhibit = EXHIBITS.iter().find(|exhibit| letter.eq_ignore_ascii_case(&exhibit.letter().to_string()));
    let exhibit = exhibit.ok_or(format!("there is no exhibit `{letter}`, only A to J"))?;
    let (copy, faults) = (copy()?, faults()?);
    let fault = fault_of(exhibit, &faults)?;
    say(&exhibits::run(&copy, exhibit, Some(fault))?)?;
    let trace = exhibits::record(&copy, exhibit, fault)?;
    copy.write(copy.texts())?;
    let see = |trace: PathBuf| format!("cargo run --release --example see -- {} --log", trace.display());
    say(&trace.map_or("\nIt leaves no trace.\n".to_owned(), |trace| format!("\nIts trace: {}\n", see(trace))))
}

/// Runs all exhibits with and without their faults. Writes what they print beside them, or only compares it.
fn gallery(copy: &Copy, write: bool) -> Result<bool, String> {
    let (faults, mut all_same) = (faults()?, true);
    // All without a fault first: so the runtime is built once for them.
    let sound = EXHIBITS.iter().map(|exhibit| exhibits::run(copy, exhibit, None));
    let sound = sound.collect::<Result<Vec<String>, String>>()?;
    for (exhibit, sound) in EXHIBITS.iter().zip(&sound) {
        let faulty = exhibits::run(copy, exhibit, Some(fault_of(exhibit, &faults)?))?;
        let text = exhibits::side_by_side(sound, &faulty);
        if text == exhibits::text(exhibit) {
            continue;
        }
        say(&format!("{}.txt {}\n", exhibit.program, if write { "is new" } else { "should be:" }))?;
        match write {
            true => exhibits::write_text(exhibit, &text)?,
            false => say(&text)?,
        }
        all_same = false;
    }
    copy.write(copy.texts())?;
    let seen = if all_same { "as the texts beside them say" } else { "not as the texts beside them said" };
    say(&format!("{} exhibits: {seen}\n", EXHIBITS.len()))?;
    Ok(write || all_same)
}

/// The faults that were asked for.
fn wanted(options: &Options) -> Result<Vec<Fault>, String> {
    let mut wanted = faults()?;
    if let Some(name) = options.only.iter().find(|name| !wanted.iter().any(|it| it.name.contains(*name))) {
        return Err(format!("no fault is called `{name}`: `--list` prints all names"));
    }
    let is_wanted = |fault: &Fault| options.only.iter().any(|name| fault.name.contains(name));
    wanted.retain(|fault| options.only.is_empty() || is_wanted(fault));
    if options.quick {
        wanted.retain(|fault| fault.killed_by.target.name == "lib" && fault.killed_by.target.has_features);
        // Ten of them, far apart.
        let chosen: Vec<usize> = (0..10).map(|tenth| tenth * wanted.len() / 10).collect();
        let numbered = wanted.into_iter().enumerate();
        wanted = numbered.filter(|(index, _)| chosen.contains(index)).map(|(_, fault)| fault).collect();
    }
    Ok(wanted)
}

/// A test that fails by itself would notice anything. So first, each has to pass.
fn check_without_faults(copy: &Copy, wanted: &[Fault]) -> Result<(), String> {
    let mut tests: BTreeMap<&Target, Vec<&str>> = BTreeMap::new();
    for fault in wanted {
        let tests = tests.entry(&fault.killed_by.target).or_default();
        if !tests.contains(&fault.killed_by.name.as_str()) {
            tests.push(&fault.killed_by.name);
        }
    }
    for (target, tests) in tests {
        let outcome = copy.run(&copy.build(target)?, &tests, SOUND)?;
        if outcome != Outcome::Passed(tests.len()) {
            let (name, said) = (&target.name, copy.said());
            let wanted = tests.len();
            return Err(format!("{wanted} tests of `{name}` should pass without a fault: {outcome}\n{said}"));
        }
        say(&format!("tests of `{}` that pass without a fault: {}\n", target.name, tests.len()))?;
    }
    Ok(())
}

/// Whether all faults were noticed.
fn check_all(copy: &Copy, wanted: &[Fault]) -> Result<bool, String> {
    let (begin, mut survivors) = (Instant::now(), Vec::new());
    for fault in wanted {
        if !check(copy, fault)? {
            survivors.push(fault.name.as_str());
        }
    }
    copy.write(copy.texts())?;
    let (all, seconds) = (wanted.len(), begin.elapsed().as_secs());
    say(&format!("{} of {all} faults were noticed, in {seconds} s\n", all - survivors.len()))?;
    if !survivors.is_empty() {
        say(&format!("SURVIVED: {}\n", survivors.join(", ")))?;
    }
    Ok(survivors.is_empty())
}

/// Whether the test has noticed this fault.
fn check(copy: &Copy, fault: &Fault) -> Result<bool, String> {
    let begin = Instant::now();
    let mut texts = copy.texts().clone();
    fault.plant(&mut texts)?;
    copy.write(&texts)?;
    let test = &fault.killed_by;
    let program = copy.build(&test.target).map_err(|why| format!("{} does not build:\n{why}", fault.name))?;
    let outcome = copy.run(&program, &[&test.name], LIMIT)?;
    let survived = matches!(outcome, Outcome::Passed(_));
    let verdict = if survived { "SURVIVED".to_owned() } else { format!("killed: the test {outcome}") };
    let seconds = begin.elapsed().as_secs();
    say(&format!("{} {verdict} ({seconds} s)\n{}\n", fault.name, about(fault)))?;
    Ok(!survived)
}

/// What a fault is about, in lines that fit a narrow terminal.
fn about(fault: &Fault) -> String {
    let test = &fault.killed_by;
    let features = if test.target.has_features { "" } else { ", with few features" };
    let place = if test.target.name == "lib" { "unit tests" } else { test.target.name.as_str() };
    let lines = [
        ("in", fault.file.clone()),
        ("slip", fault.slip.clone()),
        ("breaks", fault.invariant.clone()),
        ("test", format!("{} ({place}{features})", test.name)),
    ];
    lines.iter().map(|(key, text)| wrapped(key, text)).collect()
}

/// A key and a text, in lines of at most 78 columns where its words allow that.
fn wrapped(key: &str, text: &str) -> String {
    let mut lines = vec![format!("    {key:7}")];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 11 && last + 1 + word.chars().count() > 78 {
            lines.push(" ".repeat(11));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}
