//! The programs, each with a peer that shares no code with it: curl, openssl, a browser, Python's websockets, a real Redis
//! server, SQLite's own shell. A test whose peer is missing says `SKIPPED`.

#![forbid(unsafe_code)]

#[allow(dead_code)] // What the tests of the other programs use.
#[path = "../../tests/programs/common.rs"]
mod common;

#[path = "programs/browsers.rs"]
mod browsers;
#[path = "programs/command_lines.rs"]
mod command_lines;
#[path = "programs/quic.rs"]
mod quic;
#[path = "programs/servers.rs"]
mod servers;
#[path = "programs/stores.rs"]
mod stores;
