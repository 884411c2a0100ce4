//! What the book says about asyncio, run: the proofs are in `claims_asyncio.py`, and this runs them.
//!
//! Facts. Building roundel does not need Python, so it may be missing. CPython 3.11 has everything that the book names.
//! Contract. Each proof of the script prints its name and whether it holds; all of them must hold. Without Python the
//! words are compared with the book all the same, and one line says what was left out. What it does not know is written
//! at the top of the script.

#![forbid(unsafe_code)]

#[path = "claims/book.rs"]
mod book;

use std::io::Write;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/claims_asyncio.py");
const PROOFS: &str = include_str!("claims_asyncio.py");

#[test]
fn the_book_says_what_is_proven() {
    // 15 is about a tool; 16 and 18 are about figures, which no program of ours can check.
    book::agrees_with(PROOFS, "asyncio", &["15", "16", "18"]);
}

#[test]
fn asyncio_does_what_the_book_says() {
    let suits = "import sys; sys.exit(sys.version_info < (3, 11) or sys.platform != 'linux')";
    if !Command::new("python3").args(["-c", suits]).status().is_ok_and(|status| status.success()) {
        let text = b"SKIPPED: there is no python3 (from 3.11 on, on Linux); no claim about asyncio was run\n";
        return std::io::stderr().write_all(text).unwrap();
    }
    let output = Command::new("python3").arg(SCRIPT).output().unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let held = printed.lines().filter(|line| line.ends_with(": holds")).count();
    let proofs = PROOFS.matches("\n\n@claim(").count();
    assert!(held == proofs && proofs > 20, "{held} of {proofs} hold:\n{printed}{errors}");
}
