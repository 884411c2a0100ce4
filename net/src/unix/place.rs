//! The file of a Unix listener: taken over from the dead, never from the living, and taken away at the end.
//!
//! Facts. Between `bind`, which makes the file, and `listen`, a socket refuses connections like a dead one. Two
//! servers that find the same dead file would both remove it, the second one removing the first one's new file. A
//! directory can be locked (`flock`); the lock is gone with the process that holds it.
//!
//! What follows. Whoever makes the file or removes a dead one holds the lock of its directory meanwhile, and only
//! who has got the lock removes anything. Servers hold it for microseconds, so it is waited for, although that holds up
//! the loop, but for a tenth of a second at most: somebody may have locked the directory for reasons of his own. Then, or
//! where a directory cannot be locked, a listener can still be made, but it takes over nothing.
//!
//! To find out whether a server lives, one has to connect: it sees a connection that is closed at once.
//!
//! Contract. Removed is only what is a socket and refuses connections; and at the end, only the very file that was
//! made (by device and number), by the process that made it.
//!
//! What is not promised. That a program which does not look for the lock is not disturbed between its `bind` and its
//! `listen`: those are microseconds.
//!
//! What it does not know: streams, the loop.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use socket2::{SockAddr, Socket, Type};

/// The file that a listener has made. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    number: u64,
    process: u32,
}

impl Place {
    /// Binds and listens. `None` if that has made no file.
    pub(super) fn take(
        socket: &Socket,
        path: &Path,
        address: &SockAddr,
        backlog: u32,
    ) -> io::Result<Option<Place>> {
        let is_file = !matches!(path.as_os_str().as_bytes().first(), None | Some(0));
        let lock = if is_file { lock_folder(path) } else { None };
        match socket.bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_file => {
                let file = dead(path, address)?.ok_or_else(|| taken(path))?;
                if lock.is_none() {
                    return Err(locked());
                }
                remove(path, &file)?;
                socket.bind(address)?;
            }
            result => result?,
        }
        let place = is_file.then(|| Place::of(path)).transpose()?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(place)
    }

    fn of(path: &Path) -> io::Result<Place> {
        // The program may go to another directory meanwhile.
        let (path, file) = (std::path::absolute(path)?, fs::symlink_metadata(path)?);
        Ok(Place { path, device: file.dev(), number: file.ino(), process: std::process::id() })
    }

    /// Leaves the file where it is.
    pub(super) fn forget(mut self) {
        self.process = 0;
    }

    fn is_still_ours(&self) -> bool {
        let same = |file: Metadata| (file.dev(), file.ino()) == (self.device, self.number);
        self.process == std::process::id() && fs::symlink_metadata(&self.path).is_ok_and(same)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_still_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The lock of the directory in which the file is, if it can be had within [`PATIENCE`] milliseconds.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..PATIENCE {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

const PATIENCE: u32 = 100;

/// The file, if it is a socket behind which nobody listens.
fn dead(path: &Path, address: &SockAddr) -> io::Result<Option<Metadata>> {
    let file = fs::symlink_metadata(path)?;
    if !file.file_type().is_socket() {
        return Ok(None);
    }
    let probe = super::socket(Type::STREAM)?;
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    Ok(probe.connect(address).is_err_and(refused).then_some(file))
}

/// Removes the file if it is the one that was found dead.
fn remove(path: &Path, found: &Metadata) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    if (now.dev(), now.ino()) != (found.dev(), found.ino()) {
        return Err(taken(path));
    }
    fs::remove_file(path)
}

fn taken(path: &Path) -> io::Error {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let text = if is_socket { "a server is there already" } else { "there is a file that is no socket" };
    io::Error::new(ErrorKind::AddrInUse, text)
}

fn locked() -> io::Error {
    let text = "a server that is no more has left its file there, and the directory cannot be locked in order to \
                remove it: another server may be about to start; if not, remove the file";
    io::Error::new(ErrorKind::AddrInUse, text)
}
