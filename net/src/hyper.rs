//! HTTP with `hyper`, version 1: what it needs of a loop, and a server. With the feature `hyper`.
//!
//! Facts. `hyper` knows HTTP and no runtime. It asks for three things: a stream ([`Io`]), a clock ([`Timer`]), and, for
//! HTTP/2, a way to spawn ([`Executor`]). It does not ask that services and bodies are `Send`, so they may hold an `Rc`.
//!
//! What follows. [`serve_http`] is [`serve`](crate::serve()) with a handler that speaks HTTP/1 and HTTP/2, whichever the
//! client begins with. So it has the same limits, and survives the same errors. Use the three parts by themselves for a
//! client, or for a server of another kind.
//!
//! What is not promised. Upgrades (WebSockets, `CONNECT`): `hyper` asks that their stream is `Send`, and ours are not.
//!
//! What it does not know: TLS, and what is served.

mod clock;
mod http;
mod io;
mod spawn;

pub use clock::Timer;
pub use http::{Http, serve_http};
pub use io::Io;
pub use spawn::{Executor, Requests};
