//! The examples, as files that can be run.
//!
//! Facts. Cargo builds the examples beside this program, in the profile of this program.
//!
//! What follows. [`built`] builds all of them at its first call, because the book needs most. [`build`] builds those that
//! are named. Both build as `cargo test` does: with `-p examples` the features would differ, and cargo would build the
//! dependencies and the examples a second time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::root;

/// Runs an example: this command, with the arguments of the example. Returns what it prints to its standard output.
///
/// # Errors
///
/// If it fails: with what it printed to its standard error.
pub fn run(words: &[String], command: &mut Command) -> Result<String, String> {
    command.args(&words[1..]).current_dir(root());
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("`{}` fails ({}): {complaint}", words.join(" "), output.status)),
    }
}

/// Runs an example, and records its loop in this file. If it has several loops, the second one is recorded in `FILE.2`,
/// and so on.
///
/// # Errors
///
/// If it fails, or records nothing.
pub fn record(words: &[String], trace: &Path) -> Result<(), String> {
    let _ = std::fs::remove_file(trace);
    run(words, Command::new(built(&words[0])?).env("ROUNDEL_TRACE", trace))?;
    trace.exists().then_some(()).ok_or_else(|| format!("`{}` leaves no trace", words.join(" ")))
}

/// The folder of the examples, once they are built.
static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The file of an example. The first call builds all of them, unless [`build`] was called before.
///
/// # Errors
///
/// If it does not exist, or cannot be built.
pub fn built(name: &str) -> Result<PathBuf, String> {
    let file = BUILT.get_or_init(|| cargo(&["--examples"])).as_ref()?.join(name);
    file.exists().then_some(file).ok_or_else(|| format!("no example is called `{name}`"))
}

/// Builds only these examples. From then on [`built`] builds nothing more.
///
/// # Errors
///
/// If they cannot be built.
pub fn build(names: &[&str]) -> Result<(), String> {
    let flags: Vec<&str> = names.iter().flat_map(|name| ["--example", name]).collect();
    BUILT.get_or_init(|| cargo(&flags)).clone().map(drop)
}

/// The folder in which cargo builds, such as `target`.
///
/// # Errors
///
/// If this program does not lie in such a folder.
pub fn target() -> Result<PathBuf, String> {
    Ok(profile()?.parent().ok_or("no folder of the target")?.to_owned())
}

/// The folder of this program's profile, such as `target/debug`.
fn profile() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    // `target/debug/book`, or `target/debug/deps/book-123`.
    let folder = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    Ok(folder.ok_or("no folder")?.to_owned())
}

/// Builds, and returns the folder of the examples.
fn cargo(flags: &[&str]) -> Result<PathBuf, String> {
    let (folder, target) = (profile()?, target()?);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--offline", "--target-dir"]).arg(target).args(flags);
    let profile = folder.file_name().filter(|name| *name != "debug").unwrap_or("dev".as_ref());
    build.arg("--profile").arg(profile).current_dir(root());
    let output = build.output().map_err(|error| format!("cargo: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(folder.join("examples")),
        false => Err(format!("cargo build: {complaint}")),
    }
}
