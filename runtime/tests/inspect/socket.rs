//! What another process is told, asked over the socket of this one.
//!
//! All loops of a process have one socket, so each test runs in a process of its own, with a folder of its own.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use roundel::sync::Mutex;
use roundel::{Runtime, inspect, spawn, spawn_named, yield_now};
use testkit::alone::expect_success;

use super::common::{is_alone, rerun, watchdog_of};

/// Runs `body` in a process of its own, with an empty folder for its sockets. Returns what it says on standard error.
fn apart(test: &str, mode: u32, body: impl FnOnce()) -> String {
    // A hundred thousand tasks take seconds already where there is time.
    let _watchdog = watchdog_of(Duration::from_secs(300));
    let name = format!("socket::{test}");
    if is_alone(&name) {
        body();
        return String::new();
    }
    let base = new_folder();
    fs::create_dir(base.join("roundel")).unwrap();
    fs::set_permissions(base.join("roundel"), Permissions::from_mode(mode)).unwrap();
    let mut command = Command::new("env");
    command.env("XDG_RUNTIME_DIR", &base).env("ROUNDEL_INSPECT", "1");
    rerun(&mut command, &name);
    let output = command.output().unwrap();
    fs::remove_dir_all(&base).unwrap();
    expect_success(&name, &output);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a short name, because the path of a socket has at most about a hundred bytes. A process that was killed may
/// have left one of this name behind.
fn new_folder() -> PathBuf {
    static TESTS: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = TESTS.fetch_add(1, Relaxed);
        let base = std::env::temp_dir().join(format!("roundel-test-{}-{number}", std::process::id()));
        match fs::create_dir(&base) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => break made.map(|()| base).unwrap(),
        }
    }
}

fn socket() -> PathBuf {
    inspect::folder().unwrap().join(std::process::id().to_string())
}

/// The server leaves a client that is slow, and so is each client that the machine does not let run for a second. Then it asks
/// again. `is_whole` tells an answer that was cut short.
fn patiently(mut asks: impl FnMut() -> io::Result<String>, is_whole: impl Fn(&str) -> bool) -> String {
    let mut said = asks();
    for _ in 0..20 {
        match &said {
            Ok(text) if is_whole(text) => break,
            _ => said = asks(),
        }
    }
    said.unwrap()
}

/// What the server says until it leaves.
fn talk(question: &[u8]) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket()).unwrap();
    stream.write_all(question)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The answer to what is no question: one line.
fn refusal(question: &[u8]) -> String {
    patiently(|| talk(question), |text| text.ends_with('\n'))
}

fn ps() -> Vec<String> {
    let text = patiently(|| talk(b"ps 1\n"), |text| text.ends_with("{\"end\":1}\n"));
    let lines: Vec<_> = text.lines().map(String::from).collect();
    assert_eq!(lines.last().map(String::as_str), Some("{\"end\":1}"), "{lines:#?}");
    lines
}

/// The line that has this text.
fn line<'a>(lines: &'a [String], text: &str) -> &'a str {
    let mut found = lines.iter().filter(|line| line.contains(text));
    let line = found.next().unwrap_or_else(|| panic!("no line has `{text}`:\n{lines:#?}"));
    assert_eq!(found.next(), None, "two lines have `{text}`");
    line
}

#[test]
fn a_process_tells_of_its_loop_and_its_tasks() {
    apart("a_process_tells_of_its_loop_and_its_tasks", 0o700, || {
        Runtime::new().unwrap().block_on(async {
            let lock = std::rc::Rc::new(Mutex::new(()).named("the \"lock\""));
            let _guard = lock.lock().await;
            let wanted = lock.clone();
            let at = line!() + 1;
            let waiter = spawn_named("waiter", async move { drop(wanted.lock().await) });
            yield_now().await;
            let lines = ps();
            let head = format!("{{\"roundel\":1,\"pid\":{},\"program\":\"inspect-", std::process::id());
            assert!(
                lines[0].starts_with(&head) && lines[0].ends_with(",\"loops\":1,\"tasks\":2}"),
                "{lines:#?}"
            );
            let looped = line(&lines, "\"phase\"");
            assert!(looped.contains("\"virtual\":false,\"phase\":\"turning\""), "{looped}");
            assert!(looped.contains("\"running\":{\"task\":\"#0.1\",\"held_ns\":"), "{looped}");
            let task = line(&lines, "\"name\":\"waiter\"");
            assert!(task.contains(&format!("\"task\":\"{}\"", waiter.id())), "{task}");
            assert!(task.contains("\"state\":\"waiting\",\"polls\":1,\"busy_ns\":"), "{task}");
            assert!(
                task.contains(&format!("\"spawned_at\":\"runtime/tests/inspect/socket.rs:{at}\"")),
                "{task}"
            );
            assert!(task.contains("\"waits\":[{\"text\":\"mutex "), "{task}");
            assert!(
                task.contains("\"name\":\"the \\\"lock\\\"\"") && task.contains("\"holder\":\"#0.1\""),
                "{task}"
            );
            assert!(line(&lines, "\"state\":\"running\"").contains("\"task\":\"#0.1\""));
        });
    });
}

#[test]
fn a_process_answers_while_a_task_holds_its_loop() {
    apart("a_process_answers_while_a_task_holds_its_loop", 0o700, || {
        let (release, held) = mpsc::channel::<()>();
        let asking = thread::spawn(move || {
            // The loop is not there yet, or the task does not run yet.
            let found = loop {
                let lines = if socket().exists() { ps() } else { Vec::new() };
                let found = lines
                    .iter()
                    .find(|line| line.contains("\"running\":") && line.contains("parse"))
                    .cloned();
                if let Some(found) = found {
                    break (found, lines);
                }
                thread::yield_now();
            };
            release.send(()).unwrap();
            found
        });
        let at = line!() + 2;
        roundel::run(async {
            let parse = spawn_named("parse", async move { held.recv().unwrap() });
            spawn_named("other", std::future::pending::<()>()).detach();
            parse.await.unwrap();
        });
        let (looped, lines) = asking.join().unwrap();
        let place = format!("\"spawned_at\":\"runtime/tests/inspect/socket.rs:{at}\"");
        assert!(
            looped.contains("{\"task\":\"#1.1\",\"name\":\"parse\",") && looped.contains(&place),
            "{looped}"
        );
        assert!(looped.contains("\"held_ns\":"), "{looped}");
        // All other tasks are told, too.
        assert!(line(&lines, "\"name\":\"other\"").contains("\"state\":\"ready\""));
        assert!(line(&lines, "\"task\":\"#0.1\"").contains("\"text\":\"task #1.1\""));
    });
}

#[test]
fn loops_come_and_go_and_the_last_one_takes_the_socket_with_it() {
    apart("loops_come_and_go_and_the_last_one_takes_the_socket_with_it", 0o700, || {
        assert!(!socket().exists(), "there is no loop yet");
        let one = Runtime::new().unwrap();
        assert!(socket().exists());
        one.block_on(async { spawn_named("in one", std::future::pending::<()>()).detach() });
        let other = Runtime::builder().virtual_time(true).build().unwrap();
        other.block_on(async { spawn_named("in the other", std::future::pending::<()>()).detach() });
        let closed = Runtime::builder().inspect(false).metrics(true).build().unwrap();
        closed.block_on(async { spawn_named("closed", std::future::pending::<()>()).detach() });
        let lines = ps();
        let count = |lines: &[String], text| lines.iter().filter(|line| line.contains(text)).count();
        assert!(lines[0].contains("\"loops\":2"), "{lines:#?}");
        assert_eq!((count(&lines, "\"phase\":\"outside\""), count(&lines, "\"virtual\":true")), (2, 1));
        assert_eq!(
            (count(&lines, "in one"), count(&lines, "in the other"), count(&lines, "closed")),
            (1, 1, 0)
        );
        drop(one);
        let lines = ps();
        assert_eq!((count(&lines, "in one"), count(&lines, "in the other")), (0, 1));
        drop(other);
        assert!(!socket().exists(), "the last loop has gone");
        // And again.
        let again = Runtime::new().unwrap();
        assert!(ps()[0].contains("\"loops\":1,\"tasks\":0"));
        drop((again, closed));
        assert!(!socket().exists());
    });
}

#[test]
fn the_folder_and_the_socket_are_closed_to_others() {
    apart("the_folder_and_the_socket_are_closed_to_others", 0o700, || {
        let _runtime = Runtime::new().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&socket()), mode(&inspect::folder().unwrap())), (0o600, 0o700));
    });
}

#[test]
fn a_folder_that_is_open_to_others_is_refused_in_one_sentence() {
    let said = apart("a_folder_that_is_open_to_others_is_refused_in_one_sentence", 0o755, || {
        assert_eq!(roundel::run(async { spawn(async { 7 }).await.unwrap() }), 7, "the program goes on");
        assert_eq!(inspect::folder().unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
    if !said.is_empty() {
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("roundel: ")).collect();
        let [line] = lines[..] else { panic!("{said}") };
        assert!(line.starts_with("roundel: this process cannot be asked about its loops: "), "{line}");
        assert!(line.ends_with("is open to other users: give it the mode 0700"), "{line}");
    }
}

/// A process with the same number was killed, and has left its socket behind.
#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    apart("a_socket_that_was_left_behind_is_replaced", 0o700, || {
        for path in [socket(), inspect::folder().unwrap().join(format!(".{}", std::process::id()))] {
            drop(UnixListener::bind(&path).unwrap());
            assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        let runtime = Runtime::new().unwrap();
        assert!(ps()[0].contains("\"loops\":1"));
        drop(runtime);
        assert_eq!(fs::read_dir(inspect::folder().unwrap()).unwrap().count(), 0);
    });
}

/// Processes in different containers may have the same number and share the folder.
#[test]
fn a_socket_that_another_process_listens_at_is_left_alone() {
    let said = apart("a_socket_that_another_process_listens_at_is_left_alone", 0o700, || {
        let other = UnixListener::bind(socket()).unwrap();
        let file = fs::metadata(socket()).unwrap().ino();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(yield_now());
        drop(runtime);
        assert_eq!(fs::metadata(socket()).unwrap().ino(), file);
        // Ours is left alone as well, by a server whose file was replaced.
        drop(other);
        let runtime = Runtime::new().unwrap();
        assert_ne!(fs::metadata(socket()).unwrap().ino(), file);
        fs::remove_file(socket()).unwrap();
        let _other = UnixListener::bind(socket()).unwrap();
        drop(runtime);
        assert!(socket().exists());
    });
    if !said.is_empty() {
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("roundel: ")).collect();
        let [line] = &lines[..] else { panic!("{said}") };
        assert!(line.contains("this process cannot be asked about its loops: "), "{line}");
        assert!(line.ends_with("another process with this number answers there"), "{line}");
    }
}

/// The beginning of an answer.
fn leave_early() -> io::Result<String> {
    let mut early = UnixStream::connect(socket()).unwrap();
    early.write_all(b"ps 1\n")?;
    let mut first = [0; 200];
    early.read_exact(&mut first)?;
    Ok(String::from_utf8_lossy(&first).into_owned())
}

#[test]
fn a_hundred_thousand_tasks_are_told_and_a_client_may_leave_early() {
    apart("a_hundred_thousand_tasks_are_told_and_a_client_may_leave_early", 0o700, || {
        Runtime::new().unwrap().block_on(async {
            (0..100_000).for_each(|_| spawn(std::future::pending::<()>()).detach());
            for _ in 0..3 {
                let first = patiently(leave_early, |_| true);
                assert!(first.starts_with("{\"roundel\":1,"), "{first}");
            }
            let lines = ps();
            assert!(lines[0].ends_with("\"tasks\":100001}"), "{}", lines[0]);
            assert_eq!(lines.iter().filter(|line| line.contains("\"task\":\"#")).count(), 100_002);
        });
    });
}

#[test]
fn what_is_no_question_gets_an_error_and_a_silent_client_holds_up_no_other_for_long() {
    apart("what_is_no_question_gets_an_error_and_a_silent_client_holds_up_no_other_for_long", 0o700, || {
        let _runtime = Runtime::new().unwrap();
        let silent = UnixStream::connect(socket()).unwrap();
        for (question, why) in [
            ("ps 2\n", "speaks version 1, not `2`"),
            ("hello\n", "`hello` is no question: ask `ps 1`"),
            ("\n", "`` is no question"),
        ] {
            let said = refusal(question.as_bytes());
            assert!(said.lines().count() == 1 && said.contains(why), "{question:?}: {said:?}");
        }
        // Far too long, without an end, and not even text.
        let said = refusal(&[0xff; 64]);
        assert!(said.starts_with("{\"roundel\":1,\"error\":"), "{said}");
        drop(silent);
    });
}
