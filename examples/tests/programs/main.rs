//! The programs as their users meet them: each runs in a process of its own, and is talked to from outside.
//!
//! The tests mostly wait for their programs, so they are one binary, in which they run side by side.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

mod asking;
mod chaos;
mod chat;
mod datagrams_and_files;
mod echo;
mod every_program;
mod http_hello;
mod http_parse;
mod network;
#[cfg(target_os = "linux")]
mod open_files;
mod parts;
mod proxy;
mod ps;
mod see;
mod sharing;
#[cfg(target_os = "linux")]
mod status_line;
mod trees;
mod waiting;
mod working;
