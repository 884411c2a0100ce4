//! What programs do with streams of bytes: copy them, cut them into lines, and lend them buffers.
//!
//! It works on anything that implements [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`], by value or
//! by reference. The streams of this crate do. Each file below has a header of its own.

mod both;
mod buffers;
mod copy;
mod error;
mod lent;
mod lines;
mod padded;
mod reader;
mod writer;

pub use both::{BothError, copy_bidirectional, copy_bidirectional_with};
pub use buffers::{Buffers, Chunk};
pub use copy::{copy, copy_with};
pub use error::ReadError;
#[cfg(feature = "hyper")]
pub(crate) use lent::Lent;
pub use lines::Lines;
pub use reader::Reader;
pub use writer::BufWriter;
