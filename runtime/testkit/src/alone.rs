//! Tests that need a process of their own, because they count descriptors or threads, or handle signals.
//!
//! Such a test runs this program again, with its own name as the filter. There, [`is_alone`] is true.

use std::process::{Command, Output};

const ALONE: &str = "ROUNDEL_TEST_ALONE";

/// A command that runs one test of this program in a process of its own; see [`alone`].
///
/// # Panics
///
/// When the system does not know which program this is.
pub fn rerun(command: &mut Command, test: &str) {
    let program = std::env::current_exe().expect("a test knows where it is");
    command.arg(program).args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, test);
}

/// Whether this is the process that was started to run `test`, and nothing else.
#[must_use]
pub fn is_alone(test: &str) -> bool {
    std::env::var(ALONE).is_ok_and(|name| name == test)
}

/// Runs `body` in a process of its own, where nothing else opens descriptors, starts threads, allocates or handles
/// signals. To be called from the test that is named `test`.
///
/// # Panics
///
/// When `body` fails there.
pub fn alone(test: &str, body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    // `env` runs what it is given; so the program is an argument, as it is for `strace`.
    let mut command = Command::new("env");
    rerun(&mut command, test);
    expect_success(test, &command.output().expect("`env` runs"));
}

/// Fails unless the command of [`rerun`] has run the test, and the test has passed.
///
/// # Panics
///
/// Then.
pub fn expect_success(test: &str, output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, alone: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} is not the name of the test:\n{out}");
}
