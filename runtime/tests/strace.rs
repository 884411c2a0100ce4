//! The loop as the kernel sees it: system calls that a signal interrupts (hazard 31), and how many there are.
//!
//! A signal may interrupt any call that waits, at any time, and a program cannot cause that on purpose. `strace` can:
//! it answers every third call with `EINTR` before the kernel sees it. It also counts calls, which a program cannot do
//! for itself either. Without `strace`, these tests say so and pass.
//!
//! Three calls are not interrupted here: `epoll_ctl`, `timerfd_settime` and the non-blocking write that rings the bell.
//! They do not wait, so no kernel answers them with `EINTR`.
//!
//! Each test runs itself again under `strace`, in a separate process.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri), feature = "process"))]

mod common;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use mio::unix::pipe;
use roundel::blocking::ThreadPool;
use roundel::probe::Event;
use roundel::signal::{self, Signals};
use roundel::source::{AsyncFd, Direction, Source};
use roundel::{Runtime, spawn, time, yield_now};
use rustix::process::Signal;

use common::{is_alone, read, really, rerun, tcp, watchdog, watchdog_of, write_all};

/// Runs the test `name` under `strace`. Returns the trace and the output of the test, or `None` without `strace`.
fn trace(name: &str, options: &[&str], path: Option<&str>) -> Option<(String, String)> {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let missing = match works {
        Ok(status) if status.success() => None,
        Ok(_) => Some("strace may not trace here"),
        Err(_) => Some("strace is not installed"),
    };
    if let Some(reason) = missing {
        // Not with `eprintln`, because the harness would capture it.
        let message = format!("SKIPPED: {reason}; {name} has tested nothing\n");
        io::stderr().write_all(message.as_bytes()).unwrap();
        return None;
    }
    let file = std::env::temp_dir().join(format!("roundel-{}-{name}", std::process::id()));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&file).args(options).env(PATH, path.unwrap_or_default());
    rerun(&mut command, name);
    let output = command.output().unwrap();
    let trace = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}, traced: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{name} is not the name of the test:\n{out}");
    Some((trace, out.into_owned()))
}

/// How long a traced process may take. Each of its calls stops it twice, until `strace` has its turn.
const TRACED: Duration = Duration::from_secs(300);

/// Tells the traced process about a file.
const PATH: &str = "ROUNDEL_TEST_PATH";

/// How many calls of `name` there are in a trace.
fn calls(trace: &str, name: &str) -> usize {
    trace.lines().filter(|line| line.contains(&format!(" {name}("))).count()
}

/// How many waits for events there are. The call has two names.
fn looks(trace: &str) -> usize {
    calls(trace, "epoll_wait") + calls(trace, "epoll_pwait")
}

/// Runs a test whose calls are interrupted, and which must pass all the same.
fn interrupted(name: &str, which: &str, when: &str, body: impl AsyncFn()) {
    if is_alone(name) {
        return really(async |_| body().await);
    }
    let _watchdog = watchdog_of(TRACED);
    let (traced, injected) = (format!("trace={which}"), format!("inject={which}:error=EINTR:when={when}"));
    let Some((trace, _)) = trace(name, &["-e", &traced, "-e", &injected], None) else { return };
    let interruptions = trace.matches("(INJECTED)").count();
    assert!(interruptions >= 10, "only {interruptions} calls were interrupted");
}

/// Sends some messages each way. Each must come back as it was sent.
async fn talk() {
    let (ours, theirs) = tcp();
    let theirs = Source::new(mio::net::TcpStream::from_std(theirs)).unwrap();
    let echo = spawn(async move {
        let mut buffer = [0; 512];
        loop {
            match read(&theirs, &mut buffer).await.unwrap() {
                0 => break,
                count => write_all(&theirs, &buffer[..count]).await.unwrap(),
            }
        }
    });
    for round in 0..100 {
        let message = vec![round; usize::from(round) * 13 + 1];
        write_all(&ours, &message).await.unwrap();
        let mut got = Vec::new();
        while got.len() < message.len() {
            let mut buffer = [0; 100];
            let count = read(&ours, &mut buffer).await.unwrap();
            assert_ne!(count, 0);
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got == message, "round {round}");
    }
    drop(ours);
    echo.await.unwrap();
}

/// Sleeps, which may not end early, and wakes from another thread.
async fn sleep_and_be_woken() {
    let remote = roundel::remote();
    let thread = std::thread::spawn(move || {
        (0..50).for_each(|number| assert_eq!(remote.spawn(async move || number).wait().unwrap(), number));
    });
    for micros in (0..50).map(|round| round * 40) {
        let (start, duration) = (Instant::now(), Duration::from_micros(micros));
        time::sleep(duration).await;
        assert!(start.elapsed() >= duration);
    }
    while !thread.is_finished() {
        time::sleep(Duration::from_millis(1)).await;
    }
    thread.join().unwrap();
}

#[test]
fn hazard_31_every_third_wait_is_interrupted() {
    interrupted("hazard_31_every_third_wait_is_interrupted", "?epoll_wait,epoll_pwait", "1+3", async || {
        talk().await;
        sleep_and_be_woken().await;
    });
}

#[test]
fn hazard_31_every_other_wait_is_interrupted() {
    interrupted("hazard_31_every_other_wait_is_interrupted", "?epoll_wait,epoll_pwait", "1+2", async || {
        sleep_and_be_woken().await;
        talk().await;
    });
}

#[test]
fn hazard_31_reads_and_writes_that_are_interrupted() {
    interrupted("hazard_31_reads_and_writes_that_are_interrupted", "recvfrom,sendto", "1+2", talk);
}

#[test]
fn hazard_31_accepts_that_are_interrupted() {
    interrupted("hazard_31_accepts_that_are_interrupted", "accept4", "1+2", async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Source::new(mio::net::TcpListener::from_std(listener)).unwrap();
        for round in 0..30 {
            let clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
            for client in &clients {
                let (_stream, peer) = listener.io(Direction::Read, |it| it.accept()).await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap(), "round {round}");
            }
        }
    });
}

/// Everything uses `read` and `write`. So only the calls on one pipe, which has a name, are interrupted.
#[test]
fn hazard_31_a_pipe_whose_reads_and_writes_are_interrupted() {
    const NAME: &str = "hazard_31_a_pipe_whose_reads_and_writes_are_interrupted";
    if is_alone(NAME) {
        return really(async |_| talk_through_a_pipe(&std::env::var(PATH).unwrap()).await);
    }
    let _watchdog = watchdog_of(TRACED);
    let pipe = std::env::temp_dir().join(format!("roundel-{}-pipe", std::process::id()));
    let pipe = pipe.to_str().unwrap();
    // A process of this number may have been killed before it could do that.
    let _ = std::fs::remove_file(pipe);
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let options = ["-e", "trace=read,write", "-e", "inject=read,write:error=EINTR:when=1+2", "-P", pipe];
    let trace = trace(NAME, &options, Some(pipe));
    std::fs::remove_file(pipe).unwrap();
    let Some((trace, _)) = trace else { return };
    for call in ["read", "write"] {
        let calls = trace.lines().filter(|line| line.contains(&format!(" {call}(")));
        let interruptions = calls.filter(|line| line.contains("(INJECTED)")).count();
        assert!(interruptions >= 10, "only {interruptions} calls of {call} were interrupted");
    }
}

async fn talk_through_a_pipe(path: &str) {
    // Opened for reading and writing, because to open only one end would block until the other end is opened.
    let open = || OwnedFd::from(File::options().read(true).write(true).open(path).unwrap());
    let (sender, receiver) = (pipe::Sender::from(open()), pipe::Receiver::from(open()));
    sender.set_nonblocking(true).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let (sender, receiver) = (Source::new(sender).unwrap(), Source::new(receiver).unwrap());
    let writer = spawn(async move {
        for _ in 0..300 {
            write_all(&sender, &[7; 1000]).await.unwrap();
        }
    });
    let (mut total, mut buffer) = (0, [0; 1000]);
    while total < 300_000 {
        total += read(&receiver, &mut buffer).await.unwrap();
    }
    assert_eq!((total, buffer), (300_000, [7; 1000]));
    writer.await.unwrap();
}

/// Two tasks that wake each other in turn, `hops` times in all.
async fn ping_pong(hops: u32) {
    let hopped = Rc::new(Cell::new(0));
    let waiting: Rc<RefCell<[Option<Waker>; 2]>> = Rc::default();
    let players = [0, 1].map(|me| {
        let (hopped, waiting) = (Rc::clone(&hopped), Rc::clone(&waiting));
        spawn(poll_fn(move |cx| {
            if hopped.get() % 2 != me as u32 && hopped.get() < hops {
                waiting.borrow_mut()[me] = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let over = hopped.get() >= hops;
            hopped.set(hopped.get() + 1);
            let other = waiting.borrow_mut()[1 - me].take();
            other.into_iter().for_each(Waker::wake);
            waiting.borrow_mut()[me] = Some(cx.waker().clone());
            if over { Poll::Ready(()) } else { Poll::Pending }
        }))
    });
    for player in players {
        player.await.unwrap();
    }
}

/// Runs `body`, and counts how often the loop looks at the OS meanwhile.
///
/// One source becomes ready again before each look: whenever the probe reports it as ready, its byte is taken out and
/// put in again. So each look gives one report. (`strace` would slow each look down so much that the loop would rightly
/// look less often.)
fn count_looks(body: impl Future<Output = ()>) -> usize {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (ours, looks) = (Rc::new(ours), Rc::new(Cell::new(0)));
    let (reported, counted) = (Rc::clone(&ours), Rc::clone(&looks));
    let mut peer = theirs.try_clone().unwrap();
    let sink = move |event| {
        if matches!(event, Event::SourceReady { readable: true, .. }) {
            counted.set(counted.get() + 1);
            (&*reported).read_exact(&mut [0]).unwrap();
            peer.write_all(b"x").unwrap();
        }
    };
    let runtime = Runtime::builder().probe(sink).build().unwrap();
    runtime.block_on(async {
        let _source = AsyncFd::new(ours).unwrap();
        (&theirs).write_all(b"x").unwrap();
        body.await;
    });
    looks.get()
}

async fn yields(count: u32) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// A hundred thousand polls need few looks. The loop looks by the clock, so their number depends on how long a poll
/// takes, and on what else the machine does. The best of several rounds counts. On a slow machine more looks are right:
/// there, no round may have more than one in 40 µs, which is the loop's own pace.
fn expect_few_looks<F: Future<Output = ()>>(body: impl Fn() -> F) {
    let _watchdog = watchdog_of(TRACED);
    // A loop that looked after each 64 polls would look 1,562 times. Without optimisation, polls are slow, and
    // more looks are right.
    let limit = if cfg!(debug_assertions) { 100_000 / 32 } else { 100_000 / 200 };
    let (mut least, mut is_slow) = (usize::MAX, true);
    for _ in 0..50 {
        let start = Instant::now();
        let looks = count_looks(body());
        is_slow &= looks as u128 <= start.elapsed().as_micros() / 40 + 10;
        least = least.min(looks);
        assert_ne!(least, 0, "the loop looks now and then");
        if least < limit {
            return;
        }
    }
    assert!(is_slow, "{least} looks at the OS, and that was the best round: {limit} are too many");
}

#[test]
fn hazard_12_a_hundred_thousand_yields_are_few_looks() {
    expect_few_looks(|| yields(100_000));
}

#[test]
fn hazard_12_a_hundred_thousand_hops_are_few_looks() {
    expect_few_looks(|| ping_pong(100_000));
}

/// Checks with `strace` that the two tests above count correctly.
#[test]
fn a_look_is_one_system_call() {
    const NAME: &str = "a_look_is_one_system_call";
    if is_alone(NAME) {
        let _watchdog = watchdog();
        println!("LOOKS {}", count_looks(yields(1_000)) + count_looks(ping_pong(1_000)));
        return;
    }
    let _watchdog = watchdog_of(TRACED);
    let Some((trace, output)) = trace(NAME, &["-e", "trace=?epoll_wait,epoll_pwait"], None) else { return };
    let (_, counted) = output.split_once("LOOKS ").unwrap();
    let counted = counted.lines().next().unwrap().parse::<usize>().unwrap();
    let traced = looks(&trace);
    assert!(traced >= counted && traced <= counted + 2, "{traced} calls, {counted} looks");
}

/// One message to an idle server: it waits, reads, and writes. A timeout on every read costs nothing more.
#[test]
fn a_message_costs_three_system_calls() {
    const NAME: &str = "a_message_costs_three_system_calls";
    const MESSAGES: usize = 500;
    if is_alone(NAME) {
        return really(async |_| {
            let (ours, mut theirs) = tcp();
            theirs.set_nonblocking(false).unwrap();
            let client = std::thread::spawn(move || {
                for _ in 0..MESSAGES {
                    theirs.write_all(&[7; 64]).unwrap();
                    theirs.read_exact(&mut [0; 64]).unwrap();
                }
            });
            let mut buffer = [0; 512];
            loop {
                let count = time::timeout(Duration::from_secs(60), read(&ours, &mut buffer)).await;
                match count.unwrap().unwrap() {
                    0 => break,
                    count => write_all(&ours, &buffer[..count]).await.unwrap(),
                }
            }
            client.join().unwrap();
        });
    }
    let _watchdog = watchdog_of(TRACED);
    let options = ["-e", "trace=?epoll_wait,epoll_pwait,epoll_ctl,recvfrom,sendto,timerfd_settime"];
    let Some((trace, _)) = trace(NAME, &options, None) else { return };
    // The trace also has the client's two calls, and a few calls when a connection begins and ends.
    let counted = [looks(&trace), calls(&trace, "recvfrom"), calls(&trace, "sendto")];
    let expected = [MESSAGES, 2 * MESSAGES, 2 * MESSAGES];
    for (counted, expected) in counted.into_iter().zip(expected) {
        assert!(counted >= expected && counted < expected + 10, "{counted} calls, not {expected}");
    }
    assert!(calls(&trace, "timerfd_settime") < 10, "the alarm stands at an earlier time already");
    assert!(calls(&trace, "epoll_ctl") < 10, "a source is registered once");
}

/// An old kernel, or a container, may have no pidfd. Then `SIGCHLD` has to be enough.
#[test]
fn hazard_45_a_system_without_pidfds() {
    const NAME: &str = "hazard_45_a_system_without_pidfds";
    if is_alone(NAME) {
        return really(async |_| end_many_children().await);
    }
    let _watchdog = watchdog_of(TRACED);
    let options = ["-e", "trace=pidfd_open,wait4", "-e", "inject=pidfd_open:error=ENOSYS"];
    let Some((trace, _)) = trace(NAME, &options, None) else { return };
    let refusals = trace.matches("(INJECTED)").count();
    assert!(refusals >= 20, "only {refusals} calls were refused");
    // The waits are woken by signals, and do not poll. Each wait asks once for every child that ends, and a few times
    // more.
    let asked = calls(&trace, "wait4");
    assert!(asked < 2_000, "{asked} questions about 40 children");
}

async fn end_many_children() {
    let sh = |script: String| {
        let mut command = roundel::process::Command::new("sh");
        command.args(["-c", &script]);
        command
    };
    // They end when their standard input does: not before each of them is waited for.
    let (inputs, tasks): (Vec<_>, Vec<_>) = (0..20)
        .map(|code| {
            let mut child = sh(format!("read x; exit {code}")).stdin(Stdio::piped()).spawn().unwrap();
            (child.stdin.take(), spawn(async move { child.wait().await }))
        })
        .unzip();
    yield_now().await;
    drop(inputs);
    let dropped: Vec<u32> = (0..20).map(|_| sh("sleep 0.01".to_owned()).spawn().unwrap().id()).collect();
    for (code, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap().code(), Some(code as i32));
    }
    while dropped.iter().any(|id| Path::new(&format!("/proc/{id}")).exists()) {
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// The only system call of a handler is the write of its byte (hazard 47).
#[test]
fn hazard_47_a_handler_sends_a_byte_and_does_nothing_else() {
    const NAME: &str = "hazard_47_a_handler_sends_a_byte_and_does_nothing_else";
    if is_alone(NAME) {
        return really(async |_| {
            let mut signals = Signals::new([signal::USR1]).unwrap();
            for _ in 0..10 {
                rustix::process::kill_process(rustix::process::getpid(), Signal::USR1).unwrap();
                signals.recv().await;
            }
        });
    }
    let _watchdog = watchdog_of(TRACED);
    let Some((trace, _)) = trace(NAME, &[], None) else { return };
    let mut handled = 0;
    for (index, line) in trace.lines().enumerate().filter(|(_, line)| line.contains("--- SIGUSR1 {")) {
        let (thread, _) = line.split_once(' ').unwrap();
        let is_of_thread = |line: &&str| line.split(' ').next() == Some(thread);
        let after = trace.lines().skip(index + 1).filter(is_of_thread);
        let until_back = after.take_while(|line| !line.contains("rt_sigreturn("));
        let calls: Vec<&str> = until_back.filter(|line| !line.contains(" resumed>")).collect();
        assert!(
            matches!(calls[..], [call] if call.contains("sendto(") && call.contains("\"X\", 1")),
            "{calls:?}"
        );
        handled += 1;
    }
    assert_eq!(handled, 10);
}

/// For a thousand completions, the bell is rung only when the loop is parked, and at most once per park (invariant 6).
#[test]
fn row_89_completions_ring_a_parked_loop_once() {
    const NAME: &str = "row_89_completions_ring_a_parked_loop_once";
    const ROUNDS: usize = 50;
    if is_alone(NAME) {
        let parks = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&parks);
        let sink = move |event| {
            count.fetch_add(usize::from(event == Event::Park), SeqCst);
        };
        return Runtime::builder().probe(sink).build().unwrap().block_on(complete(ROUNDS, parks));
    }
    let _watchdog = watchdog_of(TRACED);
    let Some((trace, output)) = trace(NAME, &["-e", "trace=write"], None) else { return };
    let (_, parks) = output.split_once("PARKS ").unwrap();
    let parks: usize = parks.lines().next().unwrap().parse().unwrap();
    // If another thread's call interrupts a call, the trace shows it on two lines. The first line has what is written.
    let rings = trace.lines().filter(|line| line.contains(r#", "\1\0\0\0\0\0\0\0", 8"#)).count();
    assert!((ROUNDS..=parks).contains(&rings), "{rings} rings in {parks} parks");
}

/// The first of each twenty jobs is done while the loop sleeps. A thousand more are done before the loop looks.
async fn complete(rounds: usize, parks: Arc<AtomicUsize>) {
    let pool = ThreadPool::new(1);
    for _ in 0..rounds {
        let (seen, asleep) = (parks.load(SeqCst), Arc::clone(&parks));
        let first = spawn(pool.run(move || {
            while asleep.load(SeqCst) == seen {
                std::thread::sleep(Duration::from_micros(100));
            }
        }));
        let others = (1..20).map(|_| spawn(pool.run(|| ()))).collect::<Vec<_>>();
        for job in std::iter::once(first).chain(others) {
            job.await.unwrap().unwrap();
        }
    }
    let before = parks.load(SeqCst);
    let (sender, receiver) = std::sync::mpsc::channel();
    let jobs = (0..1_000).map(|_| sender.clone()).map(|done| pool.run(move || done.send(())));
    let jobs = jobs.map(spawn).collect::<Vec<_>>();
    yield_now().await;
    (0..1_000).for_each(|_| receiver.recv().unwrap());
    for job in jobs {
        job.await.unwrap().unwrap().unwrap();
    }
    // The last job has reported that it is done, a moment before its thread is.
    let more = parks.load(SeqCst) - before;
    assert!(more <= 1, "{more} parks for jobs that were done before");
    println!("PARKS {}", parks.load(SeqCst));
}
