//! Exhibit F: a hundred sockets are opened and dropped, one after the other.

#![forbid(unsafe_code)]

use std::os::unix::net::UnixStream;

use roundel::source::{self, Source};

fn main() {
    roundel::run(async {
        println!("at first: {} sources", source::count());
        for _ in 0..100 {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            drop(Source::new(mio::net::UnixStream::from_std(ours)).unwrap());
        }
        println!("at last: {} sources", source::count());
    });
}
