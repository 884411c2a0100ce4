//! The status line on a terminal: it stays on one row, however narrow the terminal is, and follows its size.
//!
//! The terminal is a pair of descriptors. What a program writes to one end can be read at the other.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use testkit::alone;

use crate::common::{Program, path_of, watchdog};

/// A program whose standard error is a terminal.
struct Watched {
    child: Child,
    terminal: File,
    /// What has been written since the last status line began.
    rest: Vec<u8>,
}

impl Watched {
    fn start(columns: u16, name: &str, args: &[&str]) -> Watched {
        let terminal =
            File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap());
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        resize(&terminal, columns);
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut command = Command::new(path_of(name));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(end);
        Watched { child: alone::spawn(&mut command).unwrap(), terminal, rest: Vec::new() }
    }

    /// The next complete status line: a line is complete when another one begins. `None` when the program has ended.
    fn line(&mut self) -> Option<String> {
        loop {
            let begin = b"\r\x1b[K";
            if let Some(at) = self.rest.windows(begin.len()).position(|bytes| bytes == begin) {
                let line: Vec<u8> = self.rest.drain(..at + begin.len()).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            let mut buffer = [0; 4096];
            // A terminal whose other end has been closed reports an error.
            let count = self.terminal.read(&mut buffer).ok()?;
            self.rest.extend_from_slice(&buffer[..count]);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[test]
fn echo_cuts_its_line_and_follows_a_resize() {
    let _watchdog = watchdog();
    let mut echo = Watched::start(40, "echo", &["--addr", "127.0.0.1:0"]);
    assert_eq!(echo.line().unwrap(), "");
    let narrow = echo.line().unwrap();
    assert!(narrow.starts_with("connections 0, ") && narrow.ends_with('…'), "{narrow}");
    assert_eq!(narrow.chars().count(), 39, "the last column stays free: {narrow}");
    resize(&echo.terminal, 200);
    // Some more narrow lines may be on their way.
    assert!(std::iter::from_fn(|| echo.line()).any(|line| line.ends_with(" in all")), "it never became wide");
}

#[test]
fn load_gives_its_bar_what_room_there_is() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    for columns in [20, 50, 200] {
        let options = ["--addr", &*echo.address, "--connections", "1", "--seconds", "0.5"];
        let mut load = Watched::start(columns, "load", &options);
        let lines: Vec<String> = std::iter::from_fn(|| load.line()).filter(|line| !line.is_empty()).collect();
        assert!(!lines.is_empty());
        for line in lines {
            assert!(line.chars().count() < columns.into(), "{columns} columns: {line}");
            assert_eq!(line.starts_with('['), columns > 20, "{columns} columns: {line}");
            assert_eq!(line.ends_with('…'), columns == 20, "{columns} columns: {line}");
        }
    }
    echo.stop();
}
