//! Other programs: started as with `std::process`, awaited like everything else.
//!
//! Facts. A child runs beside us and ends at any time. Its pipes hold 64 KiB; when they are full, it has to wait. So a
//! parent that waits for its end without reading waits for ever. A parent has to wait for its children, or they stay as
//! zombies.
//!
//! Contract. [`Command`] wraps the one of `std` and starts children in the same way, with the same care. Of our
//! descriptors they see only their `stdin`, `stdout` and `stderr`, no signal is blocked in them, and `SIGPIPE` has its
//! default effect. Starting one blocks the loop for as long as the kernel needs, usually less than a millisecond. A
//! [`Child`] that is dropped runs on, unless [`kill_on_drop`](Command::kill_on_drop) was set. In both cases the parent
//! waits for it (see `reaper`), and no zombie stays. A process is never signalled after it was waited for, because its
//! number may then belong to another process.
//!
//! | method | cancel safe |
//! |---|---|
//! | `Child::wait`, `Child::kill` | yes: wait again |
//! | `status`, `output`, `wait_with_output` | no: the child is dropped, and its output is lost |
//!
//! What it does not know: how the end of a child is noticed (`reaper`), and how its pipes are read (`pipes`).

mod pipes;
mod reaper;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
pub use std::process::{ExitStatus, Output, Stdio};

use std::pin::pin;
use std::task::Poll;

use rustix::process::Signal;

use crate::core::context;
pub use crate::process::pipes::{ChildOutput, ChildStderr, ChildStdin, ChildStdout};
use crate::process::reaper::Process;

/// A program to be started. It wraps a [`std::process::Command`].
///
/// ```
/// use roundel::process::Command;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let output = Command::new("echo").arg("hello").output().await?;
///     assert_eq!(output.stdout, b"hello\n");
///     assert!(Command::new("true").status().await?.success());
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct Command {
    std: std::process::Command,
    kill_on_drop: bool,
    /// Which of stdin, stdout and stderr were set. For those that were not, `output` has defaults of its own.
    set: [bool; 3],
}

impl Command {
    /// The program at `program`, which is searched for in `PATH` if it contains no slash. It gets no arguments, and our
    /// environment, directory, stdin, stdout and stderr.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command::from(std::process::Command::new(program))
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> &mut Command {
        self.std.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.std.env(name, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Command {
        self.std.envs(variables);
        self
    }

    /// Removes a variable from the environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Command {
        self.std.env_remove(name);
        self
    }

    /// Gives the child an empty environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// Sets the directory in which the child starts.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.std.current_dir(directory);
        self
    }

    /// Sets where the child reads from. A pipe of another child can be passed directly.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.std.stdin(stdin);
        self.set[0] = true;
        self
    }

    /// Sets where the child writes to.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.std.stdout(stdout);
        self.set[1] = true;
        self
    }

    /// Sets where the child writes its errors to.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.std.stderr(stderr);
        self.set[2] = true;
        self
    }

    /// Sets whether the child is killed (`SIGKILL`) when its [`Child`] is dropped before it has ended. The default is
    /// no.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.kill_on_drop = kill;
        self
    }

    /// The command of `std` inside.
    #[must_use]
    pub fn as_std(&self) -> &std::process::Command {
        &self.std
    }

    /// The command of `std` inside, for everything else that it can do: `uid`, `process_group`, `arg0`. Set stdin,
    /// stdout and stderr here instead, or [`output`](Command::output) does not know that they were set.
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// Starts the program.
    ///
    /// # Errors
    ///
    /// If there is no such program, or the system has no room for it. If its pipes cannot be registered after it was
    /// started, it is killed.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        context::expect("Command::spawn");
        let mut child = self.std.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // From here on the child is waited for, whatever happens.
        let mut process = Process::new(child, true);
        let stdin = stdin.map(ChildStdin::new).transpose()?;
        let stdout = stdout.map(ChildOutput::new).transpose()?;
        let stderr = stderr.map(ChildOutput::new).transpose()?;
        process.kill_on_drop = self.kill_on_drop;
        Ok(Child { stdin, stdout, stderr, process })
    }

    /// Starts the program at once, and waits for its end. Output that it writes into pipes is not read.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn).
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async move {
            let mut child = child?;
            (child.stdout, child.stderr) = (None, None);
            child.wait().await
        }
    }

    /// Starts the program at once, and waits for its end and for all of its output. Unless set otherwise, its `stdin`
    /// is empty, and both `stdout` and `stderr` are collected.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn), and if its output cannot be read.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.set_unset([Stdio::null, Stdio::piped, Stdio::piped]);
        let child = self.spawn();
        // The next call starts again from the defaults of `spawn`.
        self.set_unset([Stdio::inherit, Stdio::inherit, Stdio::inherit]);
        async move { child?.wait_with_output().await }
    }

    fn set_unset(&mut self, [stdin, stdout, stderr]: [fn() -> Stdio; 3]) {
        let [stdin_set, stdout_set, stderr_set] = self.set;
        (!stdin_set).then(|| self.std.stdin(stdin()));
        (!stdout_set).then(|| self.std.stdout(stdout()));
        (!stderr_set).then(|| self.std.stderr(stderr()));
    }
}

/// The stdin, stdout and stderr of `std`'s command count as not set.
impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Command {
        Command { std, kill_on_drop: false, set: [false; 3] }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}

/// A program that was started.
///
/// ```
/// use roundel::process::{Command, Stdio};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     cat.stdin.as_ref().unwrap().write_all(b"meow").await?;
///     // This closes stdin first, so that `cat` ends.
///     assert_eq!(cat.wait_with_output().await?.stdout, b"meow");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct Child {
    /// Our end of the child's `stdin`, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// Our end of the child's `stdout`, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Our end of the child's `stderr`, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    process: Process,
}

impl Child {
    /// The number of the process. It belongs to the child until the child was waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Changes the setting of [`Command::kill_on_drop`].
    pub fn kill_on_drop(&mut self, kill: bool) {
        self.process.kill_on_drop = kill;
    }

    /// Waits for the child's end, and returns how it ended. It can be called again and returns the same. It closes
    /// `stdin` first, or both processes might wait for each other. If the output goes into pipes, it has to be read in
    /// the meantime: see [`wait_with_output`](Child::wait_with_output).
    ///
    /// # Errors
    ///
    /// If it is no longer our child: other code has waited for it, or the program ignores `SIGCHLD`.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.exited().await
    }

    /// How the child has ended; `None` if it has not.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits for the child's end, and collects its output until then, if that goes into pipes. Closes `stdin` first.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait), and if the output cannot be read.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = both(collect(self.stdout.take()), collect(self.stderr.take())).await;
        let (stdout, stderr) = (stdout?, stderr?);
        Ok(Output { status: self.wait().await?, stdout, stderr })
    }

    /// Kills the child (`SIGKILL`), and waits for its end. Nothing happens if it has already ended.
    ///
    /// # Errors
    ///
    /// If we may not, for example because the program runs as another user.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Kills the child (`SIGKILL`), and does not wait. Nothing happens if it has already ended.
    ///
    /// # Errors
    ///
    /// As [`kill`](Child::kill).
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.process.send(Signal::KILL)
    }

    /// Asks the child to end (`SIGTERM`), and does not wait. Nothing happens if it has already ended.
    ///
    /// # Errors
    ///
    /// As [`kill`](Child::kill).
    pub fn terminate(&mut self) -> io::Result<()> {
        self.process.send(Signal::TERM)
    }

    /// Sends the child a signal, with a number as in [`signal`](crate::signal). Nothing happens if it has already
    /// ended.
    ///
    /// # Errors
    ///
    /// As [`kill`](Child::kill); also if that is not the number of a signal.
    pub fn send_signal(&mut self, signal: i32) -> io::Result<()> {
        let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is no signal"));
        self.process.send(Signal::from_named_raw(signal).ok_or_else(unknown)?)
    }
}

async fn collect(output: Option<ChildOutput>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        output.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Waits for both futures at once.
async fn both<T>(one: impl Future<Output = T>, two: impl Future<Output = T>) -> (T, T) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        // Poll each future until it has given its output.
        if first.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = two.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.expect("both are ready"), second.expect("both are ready"))
}
