//! Three things about epoll that a descriptor's number does not show.
//!
//! Facts. epoll registers the open file behind the number, not the number. A number that is free goes to the next file
//! that is opened. And a report says what was true when the kernel wrote it.
//!
//! What follows. A source is deregistered before it is closed. A report carries a name that is never used again,
//! instead of the number. A report whose name is unknown is discarded. Each of these has a line here that shows why.

#![forbid(unsafe_code)]

use examples::args;

#[cfg(target_os = "linux")]
mod linux {
    use examples::println;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

    fn watch(kernel: &OwnedFd, source: impl AsFd, name: u64) -> rustix::io::Result<()> {
        epoll::add(kernel, source, EventData::new_u64(name), EventFlags::IN | EventFlags::ET)
    }

    fn look(kernel: &OwnedFd) -> Vec<u64> {
        let mut events = Vec::with_capacity(64);
        let at_once = rustix::event::Timespec::default();
        epoll::wait(kernel, rustix::buffer::spare_capacity(&mut events), Some(&at_once)).expect("a look");
        events.iter().map(|event| event.data.u64()).collect()
    }

    /// A socket that has a byte to read.
    fn with_a_byte() -> (UnixStream, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket may be non-blocking");
        theirs.write_all(b"x").expect("there is room for a byte");
        (ours, theirs)
    }

    pub(super) fn main() {
        let kernel = epoll::create(CreateFlags::CLOEXEC).expect("a descriptor is free");
        let file = File::open("/proc/self/exe").expect("this program is a file");
        println!("a file on disk: {}", watch(&kernel, &file, 0).expect_err("epoll takes no files"));

        let (ours, _theirs) = with_a_byte();
        watch(&kernel, &ours, 7).expect("a socket can be watched");
        let copy = ours.try_clone().expect("a descriptor is free");
        drop(ours);
        println!("closed, but open under another number: {:?} is reported", look(&kernel));
        println!("to take it out by that number: {}", epoll::delete(&kernel, &copy).expect_err("not there"));

        let [(one, _peer), (two, _other_peer)] = [with_a_byte(), with_a_byte()];
        let number = |socket: &UnixStream| socket.as_raw_fd() as u64;
        watch(&kernel, &one, number(&one)).expect("a socket can be watched");
        watch(&kernel, &two, number(&two)).expect("a socket can be watched");
        let reports = look(&kernel);
        // What the first of the two has to do: close the second, and open a third.
        let second = number(&two);
        drop(two);
        let (mut three, _last_peer) = UnixStream::pair().expect("a pair of sockets");
        three.set_nonblocking(true).expect("a socket may be non-blocking");
        let hit = reports.iter().filter(|&&name| name == number(&three)).count();
        println!("the third socket has the number of the second: {}", number(&three) == second);
        println!("reports in that batch which seem to be for the third: {hit}");
        println!("a read of it: {}", three.read(&mut [0]).expect_err("nothing was sent"));
    }
}

#[cfg(target_os = "linux")]
fn main() {
    args::none();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    args::none();
    examples::println!("epoll is a part of Linux; read the chapter, or run this there");
}
