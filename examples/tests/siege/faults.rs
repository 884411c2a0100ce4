//! Whatever the kernel may answer: an echo server whose system calls fail now and then (hazards 29, 30, 31).
//!
//! `strace` injects the errors. There are three possible outcomes, and no others. Either no client notices; or one
//! connection ends or waits a moment, and the others do not notice; or the error is final, and then the server ends and
//! says which error it was. On a connection that goes on, bytes are never lost, doubled or moved, and nothing ever
//! hangs.
//!
//! Not tried: lies. If a read says `EAGAIN` although there are bytes, no report will ever follow. No kernel does that.
//!
//! ```text
//! cargo test --release -p examples --test siege faults -- --nocapture
//! ROUNDEL_FULL=1 cargo test --release -p examples --test siege faults -- --nocapture
//! ```

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{self, Echo, echoes, has_tool, noise, reset, scaled, skipped, tell, turn};

/// What an error leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// No client notices.
    Nothing,
    /// Connections end, or are refused; those that go on are as they should be.
    Some,
    /// The server says that it cannot accept, and goes on.
    Waits,
    /// The server ends, and this is part of what it says.
    Ends(&'static str),
    /// It does not even begin.
    Never(&'static str),
}

use Fate::{Ends, Never, Nothing, Some, Waits};

/// The calls that fail, how often, with which errors, and the outcome.
type Row = (&'static str, &'static str, &'static [&'static str], Fate);

/// Calls that the server makes before it serves may pass, unless the row is about them.
const TABLE: &[Row] = &[
    ("?epoll_wait,epoll_pwait", "3+5", &["EINTR"], Nothing),
    ("?epoll_wait,epoll_pwait", "20", &["EBADF", "EINVAL", "EFAULT"], Ends("the kernel refused")),
    ("accept4", "3+5", &["EINTR", "ECONNABORTED", "EPROTO"], Nothing),
    ("accept4", "3+5", &["ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH"], Nothing),
    ("accept4", "3+5", &["ENOPROTOOPT", "ETIMEDOUT", "EPERM"], Nothing),
    ("accept4", "3+5", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EIO", "ENOSR"], Waits),
    ("accept4", "8", &["EBADF"], Ends("echo: Bad file descriptor")),
    ("accept4", "8", &["EINVAL"], Ends("echo: Invalid argument")),
    ("accept4", "8", &["ENOTSOCK"], Ends("echo: Socket operation on non-socket")),
    ("accept4", "8", &["EOPNOTSUPP"], Ends("echo: Operation not supported")),
    ("recvfrom", "3+5", &["EINTR"], Nothing),
    ("recvfrom", "3+5", &["ECONNRESET", "ETIMEDOUT", "ENOMEM", "ENOBUFS", "EIO", "EFAULT"], Some),
    ("recvfrom", "3+5", &["EHOSTUNREACH", "ENETDOWN", "ECONNREFUSED", "ENOTCONN", "EBADF"], Some),
    ("sendto", "3+5", &["EINTR"], Nothing),
    ("sendto", "3+5", &["EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM", "ETIMEDOUT", "EIO"], Some),
    ("sendto", "3+5", &["EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EPERM", "EMSGSIZE"], Some),
    ("setsockopt", "3+5", &["EINVAL", "ENOMEM", "ENOPROTOOPT", "EPERM"], Some),
    ("epoll_ctl", "12+5", &["ENOMEM", "ENOSPC"], Waits),
    ("epoll_ctl", "12+5", &["EPERM"], Some),
    ("close", "22+5", &["EINTR", "EIO", "ENOSPC", "EDQUOT"], Nothing),
    ("timerfd_settime", "1+1", &["EINVAL", "ENOMEM"], Ends("the kernel refused")),
    ("socket", "1+1", &["EMFILE", "ENFILE", "ENOBUFS", "EACCES", "EAFNOSUPPORT"], Never("echo: ")),
    ("bind", "1", &["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"], Never("echo: cannot ")),
    ("listen", "1", &["EADDRINUSE", "EOPNOTSUPP"], Never("echo: cannot ")),
    ("epoll_create1", "1", &["EMFILE", "ENFILE", "ENOMEM"], Never("echo")),
    ("eventfd2", "1", &["EMFILE", "ENFILE", "ENOMEM"], Never("echo")),
    ("timerfd_create", "1", &["EMFILE", "ENFILE", "ENOMEM"], Never("echo")),
    ("epoll_ctl", "1", &["ENOMEM", "ENOSPC"], Never("echo")),
];

const CONNECTIONS: usize = 24;
const MESSAGES: usize = 4;

/// What happened to the clients.
#[derive(Debug, Default)]
struct Seen {
    whole: usize,
    ended: usize,
}

/// Talks on this many connections, one after the other, two at a time.
fn talk(echo: &Echo) -> Seen {
    let mut seen = Seen::default();
    for round in 0..CONNECTIONS / 2 {
        let pair = [echo.try_connect(), echo.try_connect()];
        for (number, stream) in pair.into_iter().enumerate() {
            let message = noise(1 + round * 331, number as u64);
            let talked = stream.and_then(|stream| {
                (0..MESSAGES).try_for_each(|_| echoes(&stream, &message))?;
                reset(stream);
                Ok(())
            });
            match talked {
                Ok(()) => seen.whole += 1,
                Err(error) if common::is_end(&error) => seen.ended += 1,
                Err(error) => panic!("a hang: {error}"),
            }
        }
    }
    seen
}

/// The file for the trace of a row.
fn trace_file() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("roundel-siege-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    std::env::temp_dir().join(name)
}

/// An echo server whose calls fail, with the trace in this file.
fn start_faulty(injections: &[String], traced: &str, file: &str) -> Echo {
    let trace = format!("trace={traced}");
    let mut wrapper = vec!["strace", "-D", "-f", "-qq", "-o", file, "-e", &trace];
    injections.iter().for_each(|injection| wrapper.extend(["-e", injection]));
    Echo::start_under(&wrapper, &["--idle-timeout", "300"])
}

/// How many calls failed.
fn injected(file: &PathBuf) -> usize {
    let trace = fs::read_to_string(file).unwrap();
    let _ = fs::remove_file(file);
    trace.matches("(INJECTED)").count()
}

fn try_pair(call: &str, when: &str, error: &str, fate: Fate) -> Result<(), String> {
    let file = trace_file();
    let injection = format!("inject={call}:error={error}:when={when}");
    let mut echo = start_faulty(&[injection], call, file.to_str().unwrap());
    let seen = if echo.has_started() { Option::Some(talk(&echo)) } else { None };
    if matches!(fate, Ends(_) | Never(_)) {
        echo.wait_for_its_end();
    }
    let (status, complaints) = echo.end();
    let count = injected(&file);
    let says = |text: &str| complaints.iter().any(|line| line.contains(text));
    let is_right = match (fate, &seen) {
        (Nothing, Option::Some(seen)) => seen.ended == 0 && status.success() && complaints.is_empty(),
        (Some, Option::Some(seen)) => seen.ended > 0 && seen.whole > 0 && status.success(),
        (Waits, Option::Some(seen)) => seen.whole > 0 && status.success() && says("cannot accept: "),
        (Ends(text), Option::Some(seen)) => seen.ended > 0 && !status.success() && says(text),
        (Never(text), None) => !status.success() && says(text),
        _ => false,
    };
    match is_right && count > 0 {
        true => Ok(()),
        false => {
            Err(format!("{call} {error}: {count} times; not {fate:?} but {seen:?}, {status}, {complaints:?}"))
        }
    }
}

#[test]
fn hazard_31_whatever_the_kernel_answers() {
    let _turn = turn();
    const NAME: &str = "hazard_31_whatever_the_kernel_answers";
    if !has_tool(&["strace", "-D", "-o", "/dev/null", "true"]) {
        return skipped(NAME, "strace is not installed, or may not trace here");
    }
    let of_row =
        |&(call, when, errors, fate): &Row| errors.iter().map(move |error| (call, when, *error, fate));
    let pairs: Vec<_> = TABLE.iter().flat_map(of_row).collect();
    assert!(pairs.len() >= 60, "{} pairs", pairs.len());
    let (step, next) = (scaled(5, 1, 1), AtomicUsize::new(0));
    let worker = || {
        let mut wrong = Vec::new();
        while let Option::Some((call, when, error, fate)) = pairs.get(next.fetch_add(step, Relaxed)) {
            wrong.extend(try_pair(call, when, error, *fate).err());
        }
        wrong
    };
    let start = Instant::now();
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    tell!(
        "faults: {} of {} pairs of call and error in {:.1?}",
        pairs.len().div_ceil(step),
        pairs.len(),
        start.elapsed()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Several calls fail at once, each seventh time.
#[test]
fn hazard_31_one_call_in_seven_fails() {
    let _turn = turn();
    const NAME: &str = "hazard_31_one_call_in_seven_fails";
    if !has_tool(&["strace", "-D", "-o", "/dev/null", "true"]) {
        return skipped(NAME, "strace is not installed, or may not trace here");
    }
    let faults = [
        ("?epoll_wait,epoll_pwait", "EINTR", "2+7"),
        ("accept4", "ECONNABORTED", "3+7"),
        ("recvfrom", "EINTR", "4+7"),
        ("sendto", "EINTR", "5+7"),
    ];
    let faults = faults.map(|(call, error, when)| format!("inject={call}:error={error}:when={when}"));
    let file = trace_file();
    let echo =
        start_faulty(&faults, "?epoll_wait,epoll_pwait,accept4,recvfrom,sendto", file.to_str().unwrap());
    let (start, mut whole) = (Instant::now(), 0);
    while whole == 0 || start.elapsed() < Duration::from_secs(scaled(1, 5, 60)) {
        let seen = talk(&echo);
        assert_eq!(seen.ended, 0);
        whole += seen.whole;
    }
    echo.end_well();
    let count = injected(&file);
    tell!(
        "faults: {count} calls of {whole} connections failed in {:.1?}, and no client noticed",
        start.elapsed()
    );
    assert!(count > 20, "only {count} calls failed");
}
