//! Asking the kernel by hand: epoll, with nothing in between.
//!
//! Facts. A non-blocking read says `WouldBlock` where a blocking one would wait. One epoll watches any number of
//! descriptors, and one call names those that are ready: all that are ready (*level*), or all that have become ready
//! since the last report (*edge*).
//!
//! What follows. `ask` counts what it costs to ask each socket, and what it costs to ask for all of them. `again`
//! counts what each of the two kinds of report says, and what it does not say. Nothing here waits: each look returns at
//! once.

#![forbid(unsafe_code)]

use examples::args;

#[cfg(target_os = "linux")]
mod linux {
    use examples::println;
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

    struct Kernel(OwnedFd);

    impl Kernel {
        fn new() -> Kernel {
            Kernel(epoll::create(CreateFlags::CLOEXEC).expect("a descriptor is free"))
        }

        fn watch(&self, socket: &UnixStream, name: u64, flags: EventFlags) {
            epoll::add(&self.0, socket, EventData::new_u64(name), flags).expect("a socket can be watched");
        }

        /// The names that it reports now.
        fn look(&self) -> Vec<u64> {
            let mut events = Vec::with_capacity(64);
            let at_once = rustix::event::Timespec::default();
            epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events), Some(&at_once))
                .expect("a look");
            events.iter().map(|event| event.data.u64()).collect()
        }
    }

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket may be non-blocking");
        (ours, theirs)
    }

    /// How many bytes there are, up to `most`; none if the read would have to wait.
    fn read(mut socket: &UnixStream, most: usize) -> usize {
        match socket.read(&mut [0; 64][..most]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            count => count.expect("the other end is open"),
        }
    }

    /// Ten bytes arrive, one after the other, each at another one of a hundred sockets.
    pub(super) fn ask() {
        let mut pairs: Vec<_> = (0..100).map(|_| pair()).collect();
        let (mut reads, mut found) = (0, 0);
        for who in (5..100).step_by(10) {
            pairs[who].1.write_all(b"x").expect("there is room for a byte");
            reads += pairs.len();
            found += pairs.iter().map(|(ours, _)| read(ours, 1)).sum::<usize>();
        }
        println!("asking each socket: {reads} reads, {found} of them found a byte");
        let kernel = Kernel::new();
        (0..).zip(&pairs).for_each(|(name, (ours, _))| kernel.watch(ours, name, EventFlags::IN));
        let (mut reads, mut found) = (0, 0);
        for who in (5..100).step_by(10) {
            pairs[who].1.write_all(b"x").expect("there is room for a byte");
            for name in kernel.look() {
                reads += 1;
                found += read(&pairs[name as usize].0, 1);
            }
        }
        println!("asking the kernel: 10 looks, {reads} reads, {found} of them found a byte");
    }

    /// Eight bytes arrive at once. After each report, `reads` tries to read four.
    fn eight_bytes(how: &str, flags: EventFlags, reads: usize) {
        let (kernel, (ours, mut theirs)) = (Kernel::new(), pair());
        kernel.watch(&ours, 0, flags);
        theirs.write_all(b"12345678").expect("there is room for eight bytes");
        let (mut reports, mut bytes) = (0, 0);
        while !kernel.look().is_empty() {
            reports += 1;
            bytes += (0..reads).map(|_| read(&ours, 4)).sum::<usize>();
        }
        println!("{how}: {bytes} of 8 bytes; reports: {reports}");
        theirs.write_all(b"9").expect("there is room for a byte");
        println!("    a ninth byte comes; reports: {}", kernel.look().len());
    }

    pub(super) fn again() {
        eight_bytes("level, one read for each report", EventFlags::IN, 1);
        eight_bytes("edge, one read for each report", EventFlags::IN | EventFlags::ET, 1);
        eight_bytes("edge, read until it would block", EventFlags::IN | EventFlags::ET, 3);
        for (how, flags) in [("level", EventFlags::OUT), ("edge", EventFlags::OUT | EventFlags::ET)] {
            let (kernel, (ours, _theirs)) = (Kernel::new(), pair());
            kernel.watch(&ours, 0, flags);
            let reports: usize = (0..1000).map(|_| kernel.look().len()).sum();
            println!("{how}, 1000 looks at a socket that has room for more; reports: {reports}");
        }
    }
}

#[cfg(target_os = "linux")]
fn main() {
    let part = args::part(&["ask", "again"]);
    if part.as_deref() != Some("again") {
        linux::ask();
    }
    if part.as_deref() != Some("ask") {
        linux::again();
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    args::none();
    examples::println!("epoll is a part of Linux; read the chapter, or run this there");
}
