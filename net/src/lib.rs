//! Sockets for [`roundel`]: this crate is still empty.
//!
//! It will use nothing that any user of `roundel` could not use, above all
//! [`roundel::source::Source`], which makes any object of `mio`'s awaitable today.

#![forbid(unsafe_code)]
