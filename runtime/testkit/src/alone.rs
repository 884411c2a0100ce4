//! Tests that need their own process, because they count descriptors or threads, or handle signals.
//!
//! Such a test runs this program again, with its own name as the filter. There, [`is_alone`] is true.

use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Until a new process has begun its program, it has copies of all our descriptors, and what we close is not closed.
/// On a virtual clock that looks like a hang, because nothing comes and no time is left to wait for it. So no process
/// is started while such a loop runs, and the other way round.
static STARTING: RwLock<()> = RwLock::new(());

const ALONE: &str = "ROUNDEL_TEST_ALONE";

/// Completes a command so that it runs one test of this program in a separate process; see [`alone`]. It reads nothing,
/// unless the command is given another standard input afterwards.
///
/// # Panics
///
/// If the system does not know which program this is.
pub fn rerun(command: &mut Command, test: &str) {
    let program = std::env::current_exe().expect("a test knows where it is");
    command.arg(program).args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ALONE, test).stdin(Stdio::null());
}

/// Runs a command to its end, and starts it while no loop runs on a virtual clock. Unlike [`Command::output`], it leaves
/// the standard input to the command.
///
/// # Errors
///
/// If the command cannot be started.
pub fn output(command: &mut Command) -> io::Result<Output> {
    spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait_with_output()
}

/// Starts a command while no loop runs on a virtual clock.
///
/// # Errors
///
/// If the command cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// While this lives, [`spawn`] and [`output`] start no process.
pub fn nothing_starts() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process was started only to run `test`.
#[must_use]
pub fn is_alone(test: &str) -> bool {
    std::env::var(ALONE).is_ok_and(|name| name == test)
}

/// Runs `body` in a separate process, where nothing else opens descriptors, starts threads, allocates or handles
/// signals. Call it from the test that is named `test`.
///
/// # Panics
///
/// If `body` fails there.
pub fn alone(test: &str, body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    // `env` runs its arguments, as `strace` does. So the program is an argument in both cases.
    let mut command = Command::new("env");
    rerun(&mut command, test);
    expect_success(test, &output(&mut command).expect("`env` runs"));
}

/// Checks that the command of [`rerun`] has run the test, and that the test has passed.
///
/// # Panics
///
/// If not.
pub fn expect_success(test: &str, output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, alone: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} is not the name of the test:\n{out}");
}
