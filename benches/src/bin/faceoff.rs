//! All contenders, all workloads, one command: `cargo run --release -p benches --bin faceoff -- --help`.
//!
//! The rows and the rounds are explained in `benches/src/faceoff.rs`. Whatever else the machine does meanwhile is in the
//! figures; the rounds take turns so that it is in everybody's.

#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::{env, fs};

use benches::faceoff::json::{Place, document};
use benches::faceoff::report::{Done, tables};
use benches::faceoff::rows::{rows, run};

const USAGE: &str = "\
usage: faceoff [--quick] [--only GROUP] [--json FILE]
  --quick  fewer and shorter rounds
  --only   one group: control, scheduler, channels, timers, wakes
  --json   writes all figures into a file, too";

struct Options {
    quick: bool,
    only: String,
    json: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { quick: false, only: String::new(), json: None };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => options.quick = true,
            "--only" => options.only = value()?,
            "--json" => options.json = Some(value()?),
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    match rows().iter().any(|row| row.group.starts_with(&options.only)) {
        true => Ok(options),
        false => Err(format!("there is no group `{}`", options.only)),
    }
}

fn first_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_once(':').map(|(_, value)| value.trim())
}

fn place(rounds: usize) -> Place {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
    Place {
        date: format!("{seconds} s after 1970"),
        cpu: first_after(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").into(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().into(),
        rounds,
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (rounds, share) = if options.quick { (5, 4) } else { (15, 1) };
    let chosen: Vec<_> = rows().into_iter().filter(|row| row.group.starts_with(&options.only)).collect();
    let mut done = Vec::new();
    for (index, row) in chosen.iter().enumerate() {
        let figures = run(row, rounds, share, |contender, round| {
            if stderr().is_terminal() {
                let (at, all) = (index + 1, chosen.len());
                let _ = write!(
                    stderr(),
                    "\r\x1b[K{at} of {all}: {}, {contender}, round {round} of {rounds}",
                    row.name
                );
            }
        });
        done.push(Done { group: row.group.into(), name: row.name.into(), figures });
    }
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    println!("{}", tables(&done));
    println!(
        "Each figure is for one operation; those of the others are ratios to ours. * is the best of its row."
    );
    if let Some(file) = options.json
        && let Err(error) = fs::write(&file, document(&place(rounds), &done))
    {
        eprintln!("faceoff: cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
