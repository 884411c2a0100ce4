//! A copy of the runtime, in which faults are planted.
//!
//! Facts. Cargo builds a file again if it was written since, and keeps most of what it knows of the others. A test of a
//! faulty runtime may fail, end the process, or never end.
//!
//! What follows. There is one copy, below the folder of Cargo's target. A file is written only if its text changes, so the
//! next fault costs one incremental build. Tests are built first and run afterwards, without Cargo: a patch that does not
//! compile is an error and not a fault that was noticed, and a test that hangs can be ended.
//!
//! What it does not know: faults, patches.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, fmt, fs, io, thread};

use crate::faults::{Target, Texts};
use crate::{programs, root, sources};

/// A test that takes longer with a fault hangs. The slowest takes a few seconds on a quiet machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The copy, and the texts that it has without a fault.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
    texts: Texts,
}

/// How a run of tests has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This many tests have passed.
    Passed(usize),
    /// A test has failed.
    Failed,
    /// The process has ended in another way.
    Aborted(String),
    /// It was ended, because it took too long.
    Hung(Duration),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed(tests) => write!(f, "{tests} passed"),
            Outcome::Failed => write!(f, "failed"),
            Outcome::Aborted(how) => write!(f, "ended the process: {how}"),
            Outcome::Hung(limit) => write!(f, "hung: no end after {} s", limit.as_secs()),
        }
    }
}

impl Copy {
    /// Makes the copy, or brings it up to date.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn new() -> Result<Copy, String> {
        let ours = |file: &str| {
            fs::read_to_string(root().join(file)).map_err(|error| format!("cannot read {file}: {error}"))
        };
        let mut texts = originals();
        texts.insert("Cargo.toml".to_owned(), workspace(&ours("Cargo.toml")?));
        let copy = Copy { folder: programs::target()?.join("faults"), texts };
        copy.write(&copy.texts)?;
        // Cargo leaves out of the lock file what the copy does not need. So it is none of the texts.
        copy.write_one("Cargo.lock", &ours("Cargo.lock")?)?;
        Ok(copy)
    }

    /// The texts without a fault.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Gives the copy these texts.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, texts: &Texts) -> Result<(), String> {
        for (path, text) in texts {
            if !fs::read_to_string(self.folder.join(path)).is_ok_and(|before| before == *text) {
                self.write_one(path, text)?;
            }
        }
        Ok(())
    }

    fn write_one(&self, path: &str, text: &str) -> Result<(), String> {
        let file = self.folder.join(path);
        let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&file, text));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    /// The folder of the copy.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds a program with tests.
    ///
    /// # Errors
    ///
    /// If Cargo fails: with what it says.
    pub fn build(&self, target: &Target) -> Result<PathBuf, String> {
        let mut words = vec!["test", "--no-run", "-p", &target.package];
        match target.name.as_str() {
            "lib" => words.push("--lib"),
            name => words.extend(["--test", name]),
        }
        if !target.has_features {
            words.extend(["--no-default-features", "--features", "diagnostics"]);
        }
        let said = self.cargo(&words)?;
        let mut programs = said.lines().filter(|line| line.trim_start().starts_with("Executable "));
        let program = programs.next().and_then(|line| line.rsplit_once('('));
        let program = program.ok_or(format!("Cargo does not say what it has built: {said}"))?;
        Ok(self.folder.join(program.1.trim_end_matches(')')))
    }

    /// Builds an example of the runtime.
    ///
    /// # Errors
    ///
    /// If Cargo fails: with what it says.
    pub fn build_example(&self, name: &str) -> Result<PathBuf, String> {
        self.cargo(&["build", "-p", "roundel", "--example", name])?;
        Ok(self.folder.join("target/debug/examples").join(name))
    }

    /// Runs Cargo; returns what it says.
    fn cargo(&self, words: &[&str]) -> Result<String, String> {
        // What is needed was fetched when this program was built. If not, Cargo may use the network.
        let said = self.cargo_once(&[words, &["--offline"]].concat());
        said.or_else(|why| if why.contains("--offline") { self.cargo_once(words) } else { Err(why) })
    }

    fn cargo_once(&self, words: &[&str]) -> Result<String, String> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Each fault changes a line or two, and no debugger will look at what is built.
        cargo.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.env("CARGO_TERM_COLOR", "never").args(words);
        cargo.arg("--target-dir").arg(self.folder.join("target")).current_dir(&self.folder);
        let output = cargo.output().map_err(|error| format!("cannot run {cargo:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Runs some tests of a program.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn run(&self, program: &Path, tests: &[&str], limit: Duration) -> Result<Outcome, String> {
        let words = [&["--exact"], tests].concat();
        Ok(match self.run_program(program, &words, &[], limit)? {
            Ended::Hung => Outcome::Hung(limit),
            Ended::With(status) => outcome(status, &self.said()),
        })
    }

    /// Runs a program of the copy for at most this long.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn run_program(
        &self,
        program: &Path,
        words: &[&str],
        variables: &[(&str, &Path)],
        limit: Duration,
    ) -> Result<Ended, String> {
        let error = |error: io::Error| format!("cannot run {}: {error}", program.display());
        // A file, not a pipe: one that is full would stop the program.
        let said = File::create(self.log()).map_err(error)?;
        let package = self.folder.join("runtime");
        let mut command = Command::new(program);
        command.args(words).envs(variables.iter().copied()).current_dir(&package);
        command.env("CARGO_MANIFEST_DIR", &package).env("RUST_BACKTRACE", "0");
        command.stderr(said.try_clone().map_err(error)?).stdout(said);
        let mut child = command.spawn().map_err(error)?;
        wait(&mut child, limit).map_err(error)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("said")
    }

    /// What the program said that was run last.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }
}

/// How a program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, or by a signal.
    With(ExitStatus),
    /// It took too long, and was killed.
    Hung,
}

/// Waits for the end of a process, and kills it if that takes too long.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Ended> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::With(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(Ended::Hung)
}

fn outcome(status: ExitStatus, said: &str) -> Outcome {
    let result = said.lines().rev().find_map(|line| line.strip_prefix("test result: "));
    let passed = result.and_then(|result| result.strip_prefix("ok. ")?.split(' ').next()?.parse().ok());
    match (status.signal(), passed) {
        (None, Some(passed)) if status.success() => Outcome::Passed(passed),
        (None, None) if result.is_some() => Outcome::Failed,
        (Some(signal), _) => Outcome::Aborted(format!("signal {signal}")),
        (None, _) => Outcome::Aborted(status.to_string()),
    }
}

/// The texts of the runtime and its tests.
#[must_use]
pub fn originals() -> Texts {
    let files = sources("runtime", &[".rs", ".toml", ".md"]);
    files.into_iter().map(|source| (source.path, source.text)).collect()
}

/// Our own workspace, with the runtime as its only member.
fn workspace(ours: &str) -> String {
    let lines = ours.lines().filter(|line| !line.starts_with("default-members"));
    let lines = lines.map(|line| match line.starts_with("members = ") {
        true => "members = [\"runtime\", \"runtime/testkit\"]\n".to_owned(),
        false => format!("{line}\n"),
    });
    lines.collect()
}
