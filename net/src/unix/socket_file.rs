//! The file of a Unix listener: how it takes over an abandoned file, and never that of a running server.
//!
//! Facts. `bind` makes the file; until `listen`, the socket refuses connections, just as an abandoned file
//! does. Two servers that find the same abandoned file would both remove it, and the second one would remove
//! the first one's new file. A directory can be locked (`flock`); the lock disappears with the process that
//! holds it.
//!
//! What follows. A server locks the directory while it makes its file or removes an abandoned one. Without
//! the lock, it removes nothing. Servers hold the lock for microseconds, so it is worth waiting for, although
//! that blocks the loop. The wait is a tenth of a second at most, because another program may have locked the
//! directory for another reason. If the lock cannot be had, a listener can still be made, but it takes over
//! nothing.
//!
//! To find out whether a server is running, one has to connect to it. The server sees a connection that is
//! closed at once.
//!
//! Contract. A file is removed at the start only if it is a socket that refuses connections. At the end, only
//! the very file that was made is removed (by device and number), and only by the process that made it.
//!
//! What is not promised. A program that ignores the lock may still come between the `bind` and the `listen`
//! of a server. That is a matter of microseconds.
//!
//! What it does not know: streams, the loop.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::kernel;

/// The file that a listener has made. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    number: u64,
    /// The process that made the file; zero, which no process is, if the file is to stay. No other process removes it.
    process: u32,
}

impl SocketFile {
    /// Binds and listens. `None` if that has made no file.
    pub(super) fn listen(
        socket: &Socket,
        path: &Path,
        address: &SockAddr,
        backlog: u32,
    ) -> io::Result<Option<SocketFile>> {
        // An empty path and one that begins with a zero byte are no files.
        let is_file = !matches!(path.as_os_str().as_bytes().first(), None | Some(0));
        let lock = if is_file { lock_folder(path) } else { None };
        match socket.bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_file => {
                let file = abandoned(path, address)?.ok_or_else(|| taken(path))?;
                if lock.is_none() {
                    return Err(locked());
                }
                remove(path, &file)?;
                socket.bind(address)?;
            }
            result => result?,
        }
        // The lock is held until after `listen`: before, the new file looks abandoned to another server.
        let file = is_file.then(|| SocketFile::of(path)).transpose()?;
        kernel::listen(socket, backlog)?;
        Ok(file)
    }

    fn of(path: &Path) -> io::Result<SocketFile> {
        // Absolute, because the program may change its directory before the file is removed.
        let (path, file) = (std::path::absolute(path)?, fs::symlink_metadata(path)?);
        Ok(SocketFile { path, device: file.dev(), number: file.ino(), process: std::process::id() })
    }

    /// Leaves the file where it is.
    pub(super) fn keep(mut self) {
        self.process = 0;
    }

    fn is_still_ours(&self) -> bool {
        let same = |file: Metadata| (file.dev(), file.ino()) == (self.device, self.number);
        self.process == std::process::id() && fs::symlink_metadata(&self.path).is_ok_and(same)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_still_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks the directory of the file. `None` if that fails, or takes longer than [`LOCK_TRIES`] milliseconds.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..LOCK_TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

const LOCK_TRIES: u32 = 100;

/// The file, if it is a socket on which no server listens.
fn abandoned(path: &Path, address: &SockAddr) -> io::Result<Option<Metadata>> {
    let file = fs::symlink_metadata(path)?;
    if !file.file_type().is_socket() {
        return Ok(None);
    }
    let probe = kernel::open(Domain::UNIX, Type::STREAM, None)?;
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    Ok(probe.connect(address).is_err_and(refused).then_some(file))
}

/// Removes the file if it is still the one that was found abandoned.
fn remove(path: &Path, found: &Metadata) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    if (now.dev(), now.ino()) != (found.dev(), found.ino()) {
        return Err(taken(path));
    }
    fs::remove_file(path)
}

fn taken(path: &Path) -> io::Error {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let text = if is_socket { "a server is there already" } else { "there is a file that is not a socket" };
    io::Error::new(ErrorKind::AddrInUse, text)
}

fn locked() -> io::Error {
    let text = "a server that has ended left its file there, and the file was not removed, because the directory \
                cannot be locked: another server may be about to start; if not, remove the file";
    io::Error::new(ErrorKind::AddrInUse, text)
}
