//! The terminal, as a program uses it that fills it and is ended by a key.
//!
//! Facts. A terminal gives a program whole lines, and shows what is typed. To get single keys, a program changes the terminal's
//! mode, which the shell shares. A second screen keeps what was on the first one.
//!
//! Contract. When a [`Screen`] is dropped, also by a panic, the terminal is as it was. A standard input that is no
//! terminal is left alone, and so is a standard output that is none.

use std::io::{IsTerminal, Write, stdin, stdout};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// No limit, for an output that is no terminal.
const ENDLESS: usize = 100_000;

/// How many columns and rows there are for the output. `COLUMNS` in the environment says how many columns, also for a
/// file. The last column stays empty, because a letter there moves some terminals to the next row.
#[must_use]
pub fn size() -> (usize, usize) {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    let found = if stdout().is_terminal() { tcgetwinsize(stdout()).ok() } else { None };
    let (columns, rows) = match found {
        // A terminal that does not say is as large as the first ones were.
        Some(size) if size.ws_col == 0 => (80, 24),
        Some(size) => (size.ws_col.into(), usize::from(size.ws_row).max(4)),
        None => (ENDLESS, ENDLESS),
    };
    (asked.filter(|columns| *columns > 0).unwrap_or(columns).saturating_sub(1).max(8), rows)
}

/// A second screen, and keys without Enter.
#[derive(Debug)]
pub struct Screen {
    /// Whether the output is a terminal.
    pub is_terminal: bool,
    /// The mode of the input before.
    before: Option<Termios>,
}

/// To the second screen, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the terminal.
    #[must_use]
    pub fn enter() -> Screen {
        let is_terminal = stdout().is_terminal();
        let before = if is_terminal { tcgetattr(stdin()).ok() } else { None };
        if let Some(mut mode) = before.clone() {
            mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            let _ = tcsetattr(stdin(), OptionalActions::Now, &mode);
        }
        if is_terminal {
            write(ENTER);
        }
        Screen { is_terminal, before }
    }

    /// Shows these lines, and nothing else. False if the reader of the output has gone.
    #[must_use]
    pub fn show(&self, lines: &[String]) -> bool {
        if !self.is_terminal {
            return write(&format!("{}\n\n", lines.join("\n")));
        }
        // Each line is cleared when it is written, and the rest at the end, so that nothing flickers.
        write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            write(LEAVE);
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn write(text: &str) -> bool {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
