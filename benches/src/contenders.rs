//! Who takes part; one file each.
//!
//! Facts. Everybody is built in one go, with the same optimisation and the same allocator, and runs the programs of
//! [`programs`](crate::programs). Servers are written as each one's own users would write them: `TCP_NODELAY`, buffers of
//! 16 KiB, read, answer, write it all. Such a buffer belongs to a connection, but for ours and the floor's: ours come from
//! a pile that all connections share, as `roundel-net` offers it. Nobody has other settings than its defaults.
//!
//! Contract. Each module has `block_on`, what `programs!` needs, and `serve`; those with channels and locks of their own
//! run those programs, too. A module knows no other, except that tokio's two runtimes share a server.
//! Guests from another language are a script; they only serve.

pub mod compio;
pub mod guests;
pub mod mio;
pub mod monoio;
pub mod roundel;
pub mod smol;
pub mod tokio;
pub mod tokio_local;

pub use monoio::epoll as monoio_epoll;
#[cfg(target_os = "linux")]
pub use monoio::uring as monoio_uring;

/// Everyone's name, in the order of all tables; ours is the first, the floor and the guests are the last.
pub const NAMES: [&str; 10] = [
    "roundel",
    "tokio",
    "tokio_local",
    "smol",
    "monoio",
    "monoio_uring",
    "compio",
    "mio",
    "asyncio",
    "uvloop",
];

/// Serves in this thread for ever; `hot` tasks burn 20 µs, wake themselves, and so on.
pub fn serve(name: &str, listener: std::net::TcpListener, talk: crate::talk::Talk, hot: usize) {
    listener.set_nonblocking(true).unwrap();
    match name {
        "roundel" => roundel::serve(listener, talk, hot),
        "tokio" => tokio::serve(listener, talk, hot),
        "tokio_local" => tokio_local::serve(listener, talk, hot),
        "smol" => smol::serve(listener, talk, hot),
        "monoio" => monoio_epoll::serve(listener, talk, hot),
        #[cfg(target_os = "linux")]
        "monoio_uring" => monoio_uring::serve(listener, talk, hot),
        "compio" => compio::serve(listener, talk, hot),
        "mio" => mio::serve(listener, talk),
        other => panic!("no server is called `{other}`"),
    }
}
