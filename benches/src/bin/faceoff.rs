//! All contenders, all workloads, one command: `cargo run --release -p benches --bin faceoff -- --help`.
//!
//! `benches/src/faceoff.rs` explains the rows and the rounds. If the machine does something else meanwhile, that is in
//! the figures, too. The rounds take turns, so that it is in the figures of all contenders.

#![forbid(unsafe_code)]

use std::env;
use std::fs::OpenOptions;
use std::io::stdout;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use benches::faceoff::budgets;
use benches::faceoff::chapter;
use benches::faceoff::counting::child::{Allocated, child};
use benches::faceoff::groups::{GROUPS, Group};
use benches::faceoff::page::page;
use benches::faceoff::plan::Plan;
use benches::faceoff::progress::{Progress, columns};
use benches::faceoff::report::{Report, SCHEMA};
use benches::faceoff::rounds::run_all;
use benches::faceoff::tables::{LEGEND, losses, tables};
use benches::faceoff::{pins, place};
use benches::server;

fn usage() -> String {
    let groups: String =
        GROUPS.iter().map(|group| format!("\n  {:<12} {}", group.name, group.about)).collect();
    format!(
        "\
usage: faceoff [--quick] [--only GROUP]... [--json FILE] [--html FILE] [--from FILE] [--chapter FILE]
       faceoff --check [--write]
  --quick   everything in less than a minute, less exactly
  --only    only this group; may be given again
  --json    also writes all figures into a file
  --html    writes a page with drawings
  --from    measures nothing, and reports the figures of a file that --json has written
  --chapter rewrites the marked parts of a chapter such as docs/results.md
  --check   counts what roundel alone costs, and fails if that is more than benches/budgets.toml allows
  --write   ... and writes the costs into that file
groups:{groups}"
    )
}

#[derive(Default)]
struct Options {
    quick: bool,
    help: bool,
    check: bool,
    write: bool,
    only: Vec<String>,
    json: Option<String>,
    html: Option<String>,
    from: Option<String>,
    chapter: Option<String>,
}

fn options(words: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--quick" => options.quick = true,
            "--help" | "-h" => options.help = true,
            "--check" => options.check = true,
            "--write" => options.write = true,
            "--only" => options.only.push(known(value()?)?),
            "--json" => options.json = Some(value()?),
            "--html" => options.html = Some(value()?),
            "--from" => options.from = Some(value()?),
            "--chapter" => options.chapter = Some(value()?),
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    options.fit().map(|()| options)
}

impl Options {
    /// An option that would be ignored is an error.
    fn fit(&self) -> Result<(), String> {
        let measures = self.quick || !self.only.is_empty();
        let writes = [&self.json, &self.html, &self.from, &self.chapter].into_iter().any(Option::is_some);
        match self {
            _ if self.from.is_some() && measures => {
                Err("`--from` measures nothing: no --quick, no --only".into())
            }
            _ if self.check && (measures || writes) => {
                Err("`--check` goes with `--write` and nothing else".into())
            }
            _ if self.write && !self.check => Err("`--write` goes with `--check`".into()),
            _ => Ok(()),
        }
    }

    /// Checks that all output files can be written, before minutes are spent on the figures.
    fn can_write(&self) -> Result<(), String> {
        for file in self.json.iter().chain(&self.html) {
            let opened = OpenOptions::new().append(true).create(true).open(file);
            opened.map_err(|error| format!("cannot write {file}: {error}"))?;
        }
        self.chapter.as_ref().map_or(Ok(()), |file| chapter::readable(file))
    }
}

fn known(group: String) -> Result<String, String> {
    match GROUPS.iter().any(|known| known.name == group) {
        true => Ok(group),
        false => Err(format!("there is no group `{group}`")),
    }
}

/// Runs what the options ask for. Ctrl-C ends it after the current run; a second Ctrl-C ends the process.
fn measure(options: &Options, words: &[String]) -> Result<Report, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let handled = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        handled.map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    let mut report = Report {
        schema: SCHEMA,
        date: place::date(),
        command: ["faceoff"]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        quick: options.quick,
        machine: place::machine(false),
        versions: place::versions(),
        ..Report::default()
    };
    server::raise_descriptor_limit();
    let plan = Plan::new(options.quick);
    let chosen =
        |group: &&Group| options.only.is_empty() || options.only.iter().any(|name| name == group.name);
    let jobs =
        GROUPS.iter().filter(chosen).flat_map(|group| (group.jobs)(&plan, &mut report.notes)).collect();
    // Everything that has to be built is built by now.
    let start = Instant::now();
    run_all(jobs, &mut report, &mut Progress::new(), &stop);
    report.machine.pinned = pins::were_used();
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn print(report: &Report) {
    println!("{}\n{LEGEND}", tables(report, columns(stdout()).unwrap_or(usize::MAX)));
    let list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            println!("\n{title}");
            lines.iter().for_each(|line| println!("  {line}"));
        }
    };
    list("Where we lose:", &losses(report));
    list("Left out:", &report.notes);
    list("ERRORS, of contenders that did not do what they were told:", &report.errors);
    let end = if report.interrupted { "Interrupted after" } else { "Measured in" };
    println!("\n{end} {:.0} s.", report.seconds);
}

/// Also writes the part that was measured before Ctrl-C.
fn write(report: &Report, options: &Options) -> Result<(), String> {
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    if let Some(file) = &options.html {
        std::fs::write(file, page(report)).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    options.chapter.as_ref().map_or(Ok(()), |file| chapter::rewrite(file, report))
}

fn run(words: &[String]) -> Result<ExitCode, String> {
    // Not meant for users: this is a server that another face-off has started.
    if let [first, rest @ ..] = words
        && first == "serve"
    {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        return server::serve(&rest).map(|()| ExitCode::SUCCESS);
    }
    let options = options(words).map_err(|why| format!("{why}\n\n{}", usage()))?;
    if options.help {
        println!("{}", usage());
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        let good = budgets::check(options.write)?;
        return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    options.can_write()?;
    let report = match &options.from {
        Some(file) => Report::read(file)?,
        None => measure(&options, words)?,
    };
    print(&report);
    write(&report, &options)?;
    Ok(if report.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    // Programs that are counted run in processes of their own, and each of these is this program, too.
    if child(&words.iter().map(String::as_str).collect::<Vec<_>>(), Allocated::default) {
        return ExitCode::SUCCESS;
    }
    run(&words).unwrap_or_else(|why| {
        eprintln!("faceoff: {why}");
        ExitCode::from(2)
    })
}
