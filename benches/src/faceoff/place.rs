//! Where the figures were measured, and with what.
//!
//! Facts. A figure without its machine, its date and its versions is a rumour.
//!
//! What follows. The report names all three. What the system does not say is called unknown. The versions are those of
//! the lock file with which the contenders were built.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::UNIX_EPOCH;
use std::{fs, thread};

use crate::faceoff::report::Machine;

const LOCK: &str = include_str!("../../../Cargo.lock");
/// The crates of the contenders.
const CRATES: [&str; 11] = [
    "roundel",
    "tokio",
    "async-executor",
    "async-io",
    "async-channel",
    "async-lock",
    "blocking",
    "monoio",
    "local-sync",
    "compio",
    "mio",
];

pub fn machine(pinned: bool) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let memory = value_of(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").trim().parse::<u64>().ok());
    Machine {
        cpu: value_of(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").into(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        memory: memory.unwrap_or(0) * 1024,
        kernel: said("uname", &["-sr"]).unwrap_or_else(|| "unknown".into()),
        pinned,
    }
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_once(':').map(|(_, value)| value.trim())
}

/// The first line that a command prints, if there is such a command.
pub fn said(command: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(command).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

/// The versions of the contenders, the compiler, and the guests.
pub fn versions() -> BTreeMap<String, String> {
    let locked = CRATES.iter().filter_map(|name| Some((name.to_string(), locked(LOCK, name)?)));
    let python = said("python3", &["--version"]).map(|text| ("python".into(), text));
    let uvloop = said("python3", &["-c", "import uvloop; print(uvloop.__version__)"]);
    let rustc = said("rustc", &["--version"]).map(|text| ("rustc".into(), text));
    locked.chain(python).chain(uvloop.map(|text| ("uvloop".into(), text))).chain(rustc).collect()
}

/// The version of a crate with which the contenders were built.
pub fn locked_version(name: &str) -> Option<String> {
    locked(LOCK, name)
}

/// The version of a crate in a lock file: the last of several, because the older ones are dependencies of other crates.
fn locked(lock: &str, name: &str) -> Option<String> {
    let after = lock.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(after.split('"').next()?.to_owned())
}

/// The date and time, UTC.
pub fn date() -> String {
    written(UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()))
}

fn written(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day, from the number of days after 1970. The years here begin in March, so that the leap day is the
/// last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let dates = [0, 951_782_400, 1_709_210_096, 4_102_444_799].map(written);
        let known =
            ["1970-01-01T00:00:00Z", "2000-02-29T00:00:00Z", "2024-02-29T12:34:56Z", "2099-12-31T23:59:59Z"];
        assert_eq!(dates, known);
    }

    #[test]
    fn the_lock_file_knows_the_contenders() {
        CRATES.iter().for_each(|name| assert!(locked(LOCK, name).is_some(), "{name} is not in Cargo.lock"));
    }
}
