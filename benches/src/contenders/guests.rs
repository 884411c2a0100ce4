//! CPython's asyncio and uvloop: guests from another language, who only serve.
//!
//! Facts. asyncio reads up to 256 KiB at once, uvloop as much; nobody who uses them says otherwise. Large messages cost them
//! fewer calls than the others, who read 16 KiB. The script `guests/echo.py` is part of this program, so the program needs no file when it runs. Nothing is
//! installed for a guest: who is not there is left out, and told so.
//!
//! Contract. [`become_one`] does not return unless it fails: this process is the guest then, with the same number, core
//! and limits.

use std::process::Command;

const SCRIPT: &str = include_str!("../../guests/echo.py");
pub const NAMES: [&str; 2] = ["asyncio", "uvloop"];

/// Why this guest cannot come, if so.
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
