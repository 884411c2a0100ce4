//! roundel with the libraries of others. Each program in `examples/` uses one of them, and says which line joins the two.
//!
//! 1. `http`: HTTP/1 and HTTP/2, with hyper. `https`: the same over TLS, with rustls.
//! 2. `axum`: routes, JSON, and state that need not be `Send`.
//! 3. `websocket`: a chat for browsers, with async-tungstenite.
//! 4. `client`: requests over a few connections that are kept, with hyper.
//! 5. `redis`: a protocol that is so small that it needs no library.
//! 6. `database`: SQLite, which blocks, on a thread of its own.
//! 7. `quic`: streams over UDP, with quinn.
//!
//! Run one with `cargo run --release -p ecosystem --example http`. The page `docs/ecosystem.md` has a table of more
//! libraries. Each row of it is a test in `tests/`.

#![forbid(unsafe_code)]

pub mod quic;
pub mod resp;
pub mod tls;
pub mod upgrade;
