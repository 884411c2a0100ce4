//! The contenders, what they run, and how the results are reported.
//!
//! [`contenders`] are the runtimes, one file each. [`programs`] and [`vocabulary`] are what they run, written once;
//! [`parts`] is what the programs need; [`talk`] is what servers say. A [`server`] is a process of its own, and the
//! [`client`] is the same for all servers. [`faceoff`] runs everything and reports it.

#![forbid(unsafe_code)]
#![allow(missing_docs, missing_debug_implementations, reason = "a bench, read as source")]

pub mod client;
pub mod contenders;
pub mod faceoff;
pub mod parts;
pub mod programs;
pub mod server;
pub mod talk;
pub mod vocabulary;
