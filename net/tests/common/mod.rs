//! What several test files share: what `testkit` has, sockets, files that vanish, and processes under `strace`.

#![allow(dead_code)] // No file uses all of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use roundel::Runtime;
use roundel_net::{TcpListener, TcpStream};

use testkit::alone::expect_success;
#[allow(unused_imports)]
pub(crate) use testkit::alone::{alone, is_alone, nothing_starts, output, rerun, spawn};
#[allow(unused_imports)]
pub(crate) use testkit::{Log, Random, noise, on_virtual_time, really, say, settle, watchdog, watchdog_of};

/// Runs `body` on a virtual clock, in order and in some random orders: nothing but what is on this loop, and what
/// the kernel does at once, may matter to it. So no test beside it may start a process: a new process has copies of our
/// descriptors for a moment, and what we close then stays open.
pub(crate) fn virtually(body: impl AsyncFn(Log)) {
    on_virtual_time(Runtime::builder(), &body);
    (0..8).for_each(|seed| on_virtual_time(Runtime::builder().shuffle(seed), &body));
}

/// Both ends of a TCP connection over loopback.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let own = client.local_addr().unwrap();
    loop {
        // Another program may have connected to the port, which was that program's own a moment ago.
        let (server, peer) = listener.accept().await.unwrap();
        if peer == own {
            return (server, client);
        }
    }
}

/// A path that nothing else uses. Its file and its folder are removed when the guard is dropped.
pub(crate) struct Path(pub(crate) PathBuf);

/// In a folder of its own: a listener locks the folder for a moment, and it must not wait for one of another test.
pub(crate) fn path() -> Path {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("roundel-net-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    Path(folder.join("file"))
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

impl AsRef<std::path::Path> for Path {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

/// Whether a program is there that a test needs. If not, says that the test has tested nothing.
pub(crate) fn has(test: &str, program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let works = output(&mut command).is_ok_and(|output| output.status.success());
    if !works {
        say(&format!("SKIPPED: {program} is not installed, or not allowed here; {test} has tested nothing"));
    }
    works
}

/// Runs the test `name` under `strace`. What that has seen; `None` if it cannot be.
pub(crate) fn trace(name: &str, options: &[&str]) -> Option<String> {
    if !has(name, "strace", &["-o", "/dev/null", "true"]) {
        return None;
    }
    let file = path();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&file.0).args(options);
    rerun(&mut command, name);
    expect_success(name, &output(&mut command).unwrap());
    Some(std::fs::read_to_string(&file).unwrap())
}
