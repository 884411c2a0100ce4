//! The process of a `Child`: waiting for its end, and reaping children that no task waits for.
//!
//! Facts. A process that has ended stays in the kernel's table, as a zombie, until its parent has waited for it. Only
//! until then does its number belong to it: a signal sent later may hit another process. Linux has a descriptor for a
//! process, which becomes readable when the process ends. Elsewhere there is only `SIGCHLD`, which says that some child
//! has ended, stopped or gone on. Descriptors can run out.
//!
//! What follows. Waiting means asking the kernel, *watching* for a hint, and asking again; only the answer counts. The
//! watch is a pidfd if possible, `SIGCHLD` if not, and the clock if no descriptor is left. It begins with the first
//! wait, so there is no step after the start of a child that can fail and leave it without care.
//!
//! A process whose `Child` is dropped becomes an *orphan*: a task of the loop waits for it. If there is no loop any
//! more, it is put on a list of the whole process. The list is searched whenever a child is started or dropped. This
//! needs no thread and leaves no zombies, except children that end after the last of these moments. They go when the
//! program ends.
//!
//! Invariants. A process is not signalled after it was reaped. Nothing else reaps the processes on the list.
//!
//! What it does not know: how the process was started, and what it writes.

use std::fmt;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::core::context;
use crate::signal::{self, Signals};
#[cfg(target_os = "linux")]
use crate::source::{AsyncFd, Direction};
use crate::task::{spawn, spend_budget};
use crate::time;

/// A process that we have started.
pub(crate) struct Process {
    /// `None` only in the destructor, when the child has become an orphan.
    child: Option<Child>,
    /// Set by the first wait that finds it running; `None` again when it has ended.
    watch: Option<Watch>,
    pub(crate) kill_on_drop: bool,
}

impl Process {
    pub(crate) fn new(child: Child, kill_on_drop: bool) -> Process {
        sweep();
        Process { child: Some(child), watch: None, kill_on_drop }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a process keeps its child until it is dropped")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("a process keeps its child until it is dropped").id()
    }

    /// How the process has ended; `None` if it has not. Returns the same when called again.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child().try_wait()?;
        if status.is_some() {
            self.watch = None;
        }
        Ok(status)
    }

    /// Waits for the end of the process.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        spend_budget().await;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            let child = self.child.as_mut().expect("a process keeps its child until it is dropped");
            match &mut self.watch {
                // Ask again at once, because it may have ended before the watch began.
                watch @ None => *watch = Some(Watch::new(child)),
                #[cfg(target_os = "linux")]
                Some(Watch::Descriptor(end)) => {
                    let ask = |_: &_| child.try_wait()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
                    end.io(Direction::Read, ask).await?;
                }
                Some(Watch::Signal(signals)) => drop(signals.recv().await),
                Some(Watch::Clock) => {
                    time::sleep(TICK).await;
                    self.watch = None; // There may be descriptors again.
                }
            }
        }
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.send(Signal::KILL)
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn send(&mut self, signal: Signal) -> io::Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        Ok(kill_process(Pid::from_child(self.child()), signal)?)
    }
}

impl Drop for Process {
    /// A process that still runs becomes an orphan, so that it is waited for.
    fn drop(&mut self) {
        if self.kill_on_drop {
            let _ = self.kill();
        }
        // An error says that it is no longer our child, so there is nothing to wait for.
        if let Ok(None) = self.try_wait()
            && let Some(child) = self.child.take()
        {
            Orphan(Some(child)).find_reaper();
        }
        sweep();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Where to look for a hint that a process has ended.
enum Watch {
    /// A pidfd, which becomes readable when the process ends.
    #[cfg(target_os = "linux")]
    Descriptor(AsyncFd<std::os::fd::OwnedFd>),
    /// `SIGCHLD`, which comes when any child ends. Used if there is no pidfd.
    Signal(Signals),
    /// No hints, because no descriptor is left: ask every `TICK`, and then look for descriptors again.
    Clock,
}

/// How often to ask where there are no hints.
const TICK: Duration = Duration::from_millis(10);

impl Watch {
    fn new(child: &Child) -> Watch {
        #[cfg(target_os = "linux")]
        if let Ok(watch) = Watch::descriptor(child) {
            return watch;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = child;
        Signals::new([signal::CHLD]).map_or(Watch::Clock, Watch::Signal)
    }

    #[cfg(target_os = "linux")]
    fn descriptor(child: &Child) -> io::Result<Watch> {
        let end = rustix::process::pidfd_open(Pid::from_child(child), rustix::process::PidfdFlags::empty())?;
        Ok(Watch::Descriptor(AsyncFd::new(end)?))
    }
}

/// A process whose `Child` is gone. Dropping it puts it on the list; `None` if a task waits for it.
struct Orphan(Option<Child>);

impl Orphan {
    /// Sends the orphan to the loop through its inbox. A task must not be spawned here: we may be inside another task
    /// that ends, and the new one would inherit its locals.
    fn find_reaper(self) {
        if let Some(context) = context::current() {
            // If the inbox refuses it, it is dropped, which puts it on the list.
            drop(context.inbox.send(Box::new(move || self.reap())));
        }
    }

    /// Runs on the loop: spawns a task that waits for the process. A loop that is ending is not delayed by it.
    fn reap(mut self) {
        let ending = context::current().is_none_or(|context| context.ending.get());
        let child = if ending { None } else { self.0.take() };
        if let Some(child) = child {
            let mut process = Process::new(child, false);
            spawn(async move { drop(process.exited().await) }).detach();
        }
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        lock().extend(self.0.take());
    }
}

/// Orphans without a loop.
static LIST: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Child>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps the processes on the list that have ended. (An error says that other code has reaped one.)
fn sweep() {
    lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}
