//! Tools that look at a child: strace for system calls, callgrind for instructions.
//!
//! Facts. Callgrind writes another file whenever the program enters a certain function; the first is called `NAME.1`,
//! and the last `NAME`. Strace writes a line for each system call, in two pieces if another thread came in between.
//!
//! What follows. Both outputs are cut at the marks of the [`child`](super::child): everything before the first mark is
//! the start, everything after the last one the end, and neither is a part. Instructions are those of user space,
//! because valgrind does not see the kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::faceoff::counting::child::MARK;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Strace,
    Callgrind,
}

impl Tool {
    pub fn name(self) -> &'static str {
        match self {
            Tool::Strace => "strace",
            Tool::Callgrind => "valgrind",
        }
    }

    /// Whether this machine has it.
    pub fn is_there(self) -> bool {
        let mut command = Command::new(self.name());
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Its own words, which come before those of the child.
    pub fn words(self, folder: &Path) -> Vec<String> {
        let file = self.file(folder).display().to_string();
        let words: &[&str] = match self {
            Tool::Strace => &["strace", "-f", "-qq", "-s", "64", "-o", &file],
            Tool::Callgrind => &[
                "valgrind",
                "-q",
                "--tool=callgrind",
                "--dump-line=no",
                "--dump-before=*mark_for_tools*",
                &format!("--callgrind-out-file={file}"),
            ],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn file(self, folder: &Path) -> PathBuf {
        folder.join(self.name())
    }

    /// What it has counted between each mark and the next.
    ///
    /// # Errors
    ///
    /// If a file is missing or has another form.
    pub fn parts(self, folder: &Path) -> io::Result<Vec<f64>> {
        match self {
            Tool::Strace => Ok(calls(&fs::read_to_string(self.file(folder))?)),
            Tool::Callgrind => instructions(&self.file(folder)),
        }
    }
}

/// System calls between each mark and the next, of all threads. The second line of an interrupted call is not another
/// call.
fn calls(log: &str) -> Vec<f64> {
    let mut parts = Vec::new();
    for line in log.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        if line.contains(MARK) {
            parts.push(0.0);
        } else if let (true, Some(part)) = (call.starts_with(char::is_alphabetic), parts.last_mut()) {
            *part += 1.0;
        }
    }
    parts.pop();
    parts
}

/// Instructions between each mark and the next. The first file is the part before the first mark.
fn instructions(file: &Path) -> io::Result<Vec<f64>> {
    let numbered = |number: usize| PathBuf::from(format!("{}.{number}", file.display()));
    let files = (2..).map(numbered).take_while(|file| file.exists());
    files.map(|file| total(&fs::read_to_string(file)?)).collect()
}

fn total(text: &str) -> io::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| io::Error::other("callgrind has written no summary"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_once_and_between_marks() {
        let log = "\
7 execve(\"faceoff\") = 0
7 statx(AT_FDCWD, \"/a-mark-for-tools\", 0) = -1 ENOENT (No such file or directory)
7 read(3,  <unfinished ...>
8 epoll_wait(4, [], 8, 0) = 0
7 <... read resumed>\"x\", 1) = 1
7 --- SIGCHLD {si_signo=SIGCHLD} ---
8 +++ exited with 0 +++
7 statx(AT_FDCWD, \"/a-mark-for-tools\", 0) = -1 ENOENT (No such file or directory)
7 statx(AT_FDCWD, \"/a-mark-for-tools\", 0) = -1 ENOENT (No such file or directory)
7 exit_group(0) = ?
";
        assert_eq!(calls(log), [2.0, 0.0]);
        assert!(calls("7 exit_group(0) = ?\n").is_empty());
    }

    #[test]
    fn a_part_of_callgrind_has_a_summary() {
        assert_eq!(total("part: 2\nevents: Ir\nsummary: 2409693\n\nfn=(1)\n").unwrap(), 2_409_693.0);
        assert!(total("part: 2\n").is_err());
    }

    #[test]
    fn the_first_and_the_last_file_are_no_parts() {
        let folder = std::env::temp_dir().join(format!("parts-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, count) in [("valgrind.1", 9), ("valgrind.2", 20), ("valgrind.3", 300), ("valgrind", 7)] {
            fs::write(folder.join(name), format!("summary: {count}\n")).unwrap();
        }
        let parts = Tool::Callgrind.parts(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(parts, [20.0, 300.0]);
    }
}
