//! The folder in which the sockets of a user's processes are.
//!
//! Facts. A program that asks has to find the socket by the number of a process. What a loop says about its tasks is not
//! for other users. A folder in `/tmp` can be made by any user, under any name.
//!
//! Contract. The folder is `$XDG_RUNTIME_DIR/roundel`, or else `roundel-UID` in the folder for temporary files. Another user's
//! `XDG_RUNTIME_DIR`, as under `sudo -E`, is left alone: what root makes there would shut that user out. The folder is made
//! with mode 0700. It is refused if it is not a folder, belongs to another user, or is open to others. In it, the socket of a
//! process is a file with the number of the process as its name.
//!
//! What it does not know: what is said on the sockets.

use std::env;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The folder, made if it is missing, and checked.
pub(super) fn folder() -> io::Result<PathBuf> {
    let user = user()?;
    let path = path(user, env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(about(&path, &error.to_string())),
        _ => check(&path, user).map(|()| path),
    }
}

fn path(user: u32, runtime: Option<PathBuf>) -> PathBuf {
    let is_own = |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user);
    match runtime.filter(|path| path.is_absolute() && is_own(path)) {
        Some(path) => path.join("roundel"),
        None => env::temp_dir().join(format!("roundel-{user}")),
    }
}

/// A link would lead to a folder that was not checked, so the link itself is looked at.
fn check(path: &Path, user: u32) -> io::Result<()> {
    let found = path.symlink_metadata().map_err(|error| about(path, &error.to_string()))?;
    let wrong = match found {
        _ if !found.is_dir() => "is no folder: remove it",
        _ if found.uid() != user => "belongs to another user: set XDG_RUNTIME_DIR to a folder of your own",
        _ if found.mode() & 0o077 != 0 => "is open to other users: give it the mode 0700",
        _ => return Ok(()),
    };
    Err(about(path, wrong))
}

fn about(path: &Path, what: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("{} {what}", path.display()))
}

/// The number of the user, whose sockets are the user's own. The standard library does not say it in a simpler way.
fn user() -> io::Result<u32> {
    let (socket, _) = UnixStream::pair()?;
    Ok(File::from(OwnedFd::from(socket)).metadata()?.uid())
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_number_of_the_user_is_that_of_its_files() {
        let file = env::temp_dir().join(format!("roundel-user-{}", std::process::id()));
        fs::write(&file, "").unwrap();
        assert_eq!(user().unwrap(), fs::metadata(&file).unwrap().uid());
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn the_runtime_folder_of_another_user_is_left_alone() {
        let (user, base) =
            (user().unwrap(), env::temp_dir().join(format!("roundel-own-{}", std::process::id())));
        fs::create_dir(&base).unwrap();
        let own = |user: u32| env::temp_dir().join(format!("roundel-{user}"));
        assert_eq!(path(user, Some(base.clone())), base.join("roundel"));
        assert_eq!(path(user + 1, Some(base.clone())), own(user + 1));
        assert_eq!(path(user, Some(base.join("missing"))), own(user));
        assert_eq!(path(user, Some("relative".into())), own(user));
        assert_eq!(path(user, None), own(user));
        fs::remove_dir(&base).unwrap();
    }

    #[test]
    fn only_a_closed_folder_of_the_user_is_accepted() {
        let base = env::temp_dir().join(format!("roundel-folder-{}", std::process::id()));
        let said = |path: &Path, user| check(path, user).map_err(|error| error.to_string()).err();
        DirBuilder::new().mode(0o700).create(&base).unwrap();
        let user = user().unwrap();
        assert_eq!(said(&base, user), None);
        assert!(said(&base, user + 1).unwrap().contains("belongs to another user"));
        fs::set_permissions(&base, Permissions::from_mode(0o750)).unwrap();
        assert!(said(&base, user).unwrap().contains("is open to other users"));
        let link = base.with_extension("link");
        symlink(&base, &link).unwrap();
        assert!(said(&link, user).unwrap().contains("is no folder"));
        fs::remove_file(&link).unwrap();
        fs::remove_dir(&base).unwrap();
    }
}
