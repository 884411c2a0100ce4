//! What one does with streams of bytes: copy them, cut them into lines, lend them buffers.
//!
//! Each file below has a header of its own.

mod buffers;

pub use buffers::{Buffers, Chunk};
