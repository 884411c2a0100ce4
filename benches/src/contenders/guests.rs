//! CPython's asyncio and uvloop: guests from another language, which only serve.
//!
//! Facts. A `Protocol` is given what was read, up to 256 KiB at once. A `BufferedProtocol` reads into a buffer that the program
//! gives it. The script `guests/echo.py` is part of this program, so the program needs no file when it runs. Nothing is
//! installed for a guest: a guest that is not installed is left out, and the report says so.
//!
//! What follows. Where all contenders have agreed on a buffer, the guests use it, too. Where each reads as much as it does when
//! it is not told, they read up to 256 KiB.
//!
//! Contract. [`become_one`] does not return unless it fails: after it, this process is the guest, with the same process
//! id, core and limits.

use std::process::Command;

const SCRIPT: &str = include_str!("../../guests/echo.py");
pub const NAMES: [&str; 2] = ["asyncio", "uvloop"];

/// Why this guest is missing, if it is.
pub fn missing(name: &str) -> Option<String> {
    let imports = |module: &str| {
        let output = Command::new("python3").args(["-c", &format!("import {module}")]).output();
        output.is_ok_and(|output| output.status.success())
    };
    match name {
        "asyncio" if !imports("asyncio") => Some("python3 is missing".into()),
        "uvloop" if !imports("uvloop") => Some(
            "python3 has no uvloop; to have it beside the others: python3 -m pip install uvloop (optional)"
                .into(),
        ),
        _ => None,
    }
}

/// The words that start a guest.
pub fn command(name: &str, talk: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT, name, talk]);
    command
}

/// Turns this process into the guest.
#[cfg(unix)]
pub fn become_one(name: &str, talk: &str) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(&mut command(name, talk))
}
