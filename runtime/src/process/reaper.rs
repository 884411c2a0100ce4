//! The process behind a `Child`: waiting for its end, and reaping children that no task waits for.
//!
//! Facts. A process that has ended stays in the kernel's table, as a zombie, until its parent has waited for
//! it. Until then, and no longer, its number is its own: a signal sent later may hit a stranger. Linux gives
//! a descriptor for a process that becomes readable when the process ends; elsewhere there is only `SIGCHLD`,
//! which says that some child has ended, stopped or gone on. Descriptors can run out.
//!
//! What follows. To wait is to ask the kernel, to *watch* for a hint, and to ask again; only the answer counts.
//! The watch is a pidfd if there can be one, `SIGCHLD` if there cannot, and the clock if there are no descriptors
//! left at all. It begins with the first wait, so nothing can go wrong between the birth of a child and its
//! being looked after.
//!
//! A process whose `Child` is dropped becomes an *orphan*: a task of the loop waits for it. Where there is no
//! loop any more, it is put on a process-wide list that is gone through whenever a child is begun or let go. No thread is needed, and no zombie is left, but for those that end after the last
//! of these moments; they go when the program ends.
//!
//! Invariants. A process is not signalled after it was reaped. What is on the list is not reaped by anybody else.
//!
//! What it does not know: how the process was started, and what it says.

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
    /// `None` only at the very end, when it is handed over to a reaper.
    child: Option<Child>,
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

    /// How it has ended, if it has; again and again the same.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child().try_wait()?;
        if status.is_some() {
            self.watch = None;
        }
        Ok(status)
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        spend_budget().await;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            let child = self.child.as_mut().expect("a process keeps its child until it is dropped");
            match &mut self.watch {
                // Asked again at once: it may have ended before anybody watched.
                watch @ None => *watch = Some(Watch::new(child)),
                #[cfg(target_os = "linux")]
                Some(Watch::Descriptor(end)) => {
                    let ask = |_: &_| child.try_wait()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
                    end.io(Direction::Read, ask).await?;
                }
                Some(Watch::Signal(signals)) => drop(signals.recv().await),
                Some(Watch::Clock) => {
                    time::sleep(TICK).await;
                    self.watch = None; // Perhaps there are descriptors again.
                }
            }
        }
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.send(Signal::KILL)
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn send(&mut self, signal: Signal) -> io::Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        Ok(kill_process(Pid::from_child(self.child()), signal)?)
    }
}

impl Drop for Process {
    /// If it still runs, somebody else has to wait for it now.
    fn drop(&mut self) {
        if self.kill_on_drop {
            let _ = self.kill();
        }
        // An error says that it is not our child any more, so there is nothing to wait for.
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
    /// Readable when it has.
    #[cfg(target_os = "linux")]
    Descriptor(AsyncFd<std::os::fd::OwnedFd>),
    /// Comes when any child has.
    Signal(Signals),
    /// No hints: ask now and then.
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

/// A process that nobody waits for.
struct Orphan(Option<Child>);

impl Orphan {
    /// By mail: we may be in the middle of anything, such as a task that ends, whose locals a child of it would
    /// inherit.
    fn find_reaper(self) {
        if let Some(context) = context::current() {
            // Refused, it is dropped, which puts it on the list.
            drop(context.inbox.send(Box::new(move || self.reap())));
        }
    }

    /// On the loop: has a task wait for it. A loop that ends is not kept from ending.
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

/// Orphans that no loop cares for.
static LIST: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Child>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buries those on the list that have ended. (An error says that somebody else has.)
fn sweep() {
    lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}
