//! The contenders; one file each.
//!
//! Facts. All contenders are built in one go, with the same optimisation and the same allocator, and run the programs
//! of [`programs`](crate::programs). Each server is written as its contender's own users would write it: `TCP_NODELAY`,
//! buffers of 16 KiB, read, answer, write it all. Each connection has its own buffer, except with ours and with the
//! floor: ours come from a pile that all connections share, as `roundel-net` offers it. Every contender has its default
//! settings. In the rows named `default buffers`, it has the buffers that it offers when a program names no size: 8 KiB for
//! those with a `BufReader`, [`Buffers::default`](roundel_net::io::Buffers) for ours. The floor offers none, and keeps
//! 16 KiB. The guests read up to their own 256 KiB there.
//!
//! Contract. Each module has `block_on`, what `programs!` needs, and `serve`; a contender with its own channels and
//! locks runs those programs, too. A module knows no other, except that tokio's two runtimes share a server. A guest
//! from another language is a script, and only serves.

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

/// All names, in the order of all tables: ours is the first, the floor and the guests are the last.
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

/// Serves in this thread for ever. Each of `hot` tasks burns 20 µs, wakes itself, and so on.
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
