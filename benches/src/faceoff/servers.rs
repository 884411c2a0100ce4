//! The servers of a job: started when they are first needed, kept for all its rounds, and ended with it.
//!
//! Facts. Starting a server takes longer than a round, most of all for one in Python. A server that waits costs
//! nothing; one with hot tasks costs a core.
//!
//! What follows. [`Servers`] keeps them by name. [`present`] finds out, once in a process, which contenders can serve
//! here at all: a kernel may refuse io_uring, and a guest may not be installed. A contender that is not present is a
//! note, and in no job.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crate::client::{Client, Words};
use crate::contenders::{NAMES, guests};
use crate::faceoff::job::Miss;
use crate::faceoff::pins::{self, Pinned};
use crate::server::Server;

/// A server that says nothing for this long never will.
pub const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Servers {
    talk: &'static str,
    running: BTreeMap<&'static str, Server>,
}

impl Servers {
    /// None yet; those that will be started talk like this.
    pub fn that(talk: &'static str) -> Servers {
        Servers { talk, running: BTreeMap::new() }
    }

    /// Does something with this contender's server. A server that fails is ended, and its last words are part of the
    /// error.
    pub fn with<T>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&Server) -> Result<T, Miss>,
    ) -> Result<T, Miss> {
        if !self.running.contains_key(name) {
            self.running.insert(name, Server::start(name, self.talk, 0)?);
        }
        run(&self.running[name]).map_err(|miss| match (miss, self.running.remove(name)) {
            (Miss::Wrong(why), Some(mut server)) => Miss::Wrong(format!("{why} ({})", server.last_words())),
            (miss, _) => miss,
        })
    }
}

/// The contenders that can serve here, and why the others cannot.
#[derive(Debug, Default)]
pub struct Present {
    pub names: Vec<&'static str>,
    pub notes: Vec<String>,
}

/// Asks every contender for one answer, the first time only.
pub fn present() -> &'static Present {
    static PRESENT: OnceLock<Present> = OnceLock::new();
    PRESENT.get_or_init(|| {
        let mut present = Present::default();
        for name in NAMES {
            match answers(name) {
                Ok(()) => present.names.push(name),
                Err(Miss::Wrong(why) | Miss::Absent(why)) => present.notes.push(format!("{name}: {why}")),
            }
        }
        if !pins::were_used() {
            present
                .notes
                .push("server and client share the cores there are: pinning was not possible".into());
        }
        present
    })
}

fn answers(name: &'static str) -> Result<(), Miss> {
    let one_answer = |server: &Server| {
        let _pinned = Pinned::beside(server.pid());
        Client::connect(server.address(), 1, Words::echo(64), PATIENCE).map(drop)
    };
    Servers::that("echo").with(name, one_answer).map_err(|miss| match guests::missing(name) {
        Some(why) => Miss::Absent(why),
        None => miss,
    })
}
