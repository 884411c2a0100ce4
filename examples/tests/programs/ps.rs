//! `ps`: what it shows of an answer, and what it says when there is none.
//!
//! Most answers come from a socket of this test, so each line is known. The others come from real programs that are held up,
//! killed or stopped.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use examples::ps::value::Value;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use testkit::alone;

use crate::common::{Ended, Program, path_of, pipe_without_a_reader, run_command_into, watchdog};

/// A folder of sockets that no other test sees.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Relaxed);
        let base = std::env::temp_dir().join(format!("roundel-ps-{}-{number}", std::process::id()));
        fs::create_dir(&base).unwrap();
        fs::create_dir(base.join("roundel")).unwrap();
        fs::set_permissions(base.join("roundel"), Permissions::from_mode(0o700)).unwrap();
        Folder(base)
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(path_of(name));
        command.args(args).env("XDG_RUNTIME_DIR", &self.0).env_remove("COLUMNS");
        command
    }

    /// Starts a program that can be asked.
    fn start(&self, name: &str, args: &[&str]) -> Program {
        let program = Program::launch(self.command(name, args).env("ROUNDEL_INSPECT", "1"));
        // By its first line, its loop is there.
        program.next_line().unwrap();
        program
    }

    fn ps(&self, args: &[&str]) -> Ended {
        self.answered(|| self.command("ps", args))
    }

    /// Runs this, and again if it has given up because a busy machine has not let the other side answer within five seconds.
    fn answered(&self, ps: impl Fn() -> Command) -> Ended {
        let mut answers = (0..9).map(|_| Program::launch(&mut ps()).end());
        answers.find(|ended| !ended.complaints.contains("does not answer")).expect("one answer of nine")
    }

    /// The same in a terminal of this width.
    fn ps_within(&self, columns: &str, args: &[&str]) -> String {
        let ended = self.answered(|| {
            let mut command = self.command("ps", args);
            command.env("COLUMNS", columns);
            command
        });
        assert!(ended.status.success() && ended.complaints.is_empty(), "{ended:?}");
        let width = columns.parse::<usize>().unwrap();
        assert!(ended.lines.iter().all(|line| line.chars().count() < width), "{ended:?}");
        ended.text() + "\n"
    }

    /// Answers for this process number, whenever it is asked.
    fn serve(&self, pid: u32, answer: impl Fn(&mut UnixStream) + Send + 'static) {
        let listener = UnixListener::bind(self.0.join("roundel").join(pid.to_string())).unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let mut question = String::new();
                BufReader::new(&client).read_line(&mut question).unwrap();
                assert_eq!(question, "ps 1\n");
                answer(&mut client);
            }
        });
    }

    fn say(&self, pid: u32, text: &'static str) {
        self.serve(pid, move |client| _ = client.write_all(text.as_bytes()));
    }

    fn sockets(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.join("roundel")).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// No process has this number.
const NONE: u32 = i32::MAX as u32;

const BANK: &str = r##"{"roundel":1,"pid":4711,"program":"bank","loops":1,"tasks":6}
{"loop":0,"thread":"main","virtual":false,"phase":"parked","now_ns":65000000000,"tasks":6,"turns":12,"polls":31}
{"loop":0,"task":"#0.1","state":"waiting","polls":2,"busy_ns":61000,"age_ns":65000000000,"state_ns":64000000000,"waits":[{"text":"task #1.1","what":"task","holder":"#1.1","for_ns":64000000000}]}
{"loop":0,"task":"#1.1","name":"left","state":"waiting","polls":2,"busy_ns":18000,"age_ns":65000000000,"state_ns":64000000000,"spawned_by":"#0.1","spawned_at":"examples/src/bank.rs:40","waits":[{"text":"mutex 2 \"right\" (examples/src/bank.rs:13)","what":"mutex","name":"right","made_at":"examples/src/bank.rs:13","holder":"#2.1","for_ns":64000000000}]}
{"loop":0,"task":"#2.1","name":"right","state":"waiting","polls":2,"busy_ns":17000,"age_ns":65000000000,"state_ns":64000000000,"spawned_by":"#0.1","spawned_at":"examples/src/bank.rs:41","waits":[{"text":"mutex 1 \"left\" (examples/src/bank.rs:12)","what":"mutex","name":"left","made_at":"examples/src/bank.rs:12","holder":"#1.1","for_ns":64000000000}]}
{"loop":0,"task":"#3.1","name":"reader","state":"waiting","polls":20,"busy_ns":420000000,"age_ns":5000000000,"state_ns":1000,"spawned_by":"#0.1","spawned_at":"examples/src/bank.rs:55","waits":[{"text":"TcpStream 7, to read","what":"TcpStream","for_ns":1000},{"text":"timer (1.5 s left)","what":"timer","deadline_ns":66500000000,"for_ns":1000}]}
{"loop":0,"task":"#4.9","state":"ready","polls":0,"busy_ns":0,"age_ns":7000,"state_ns":7000,"spawned_by":"#3.1","spawned_at":"examples/src/bank.rs:60"}
{"loop":0,"task":"#5.1","name":"writer","state":"cleanup","polls":5,"busy_ns":90000,"age_ns":4000000000,"state_ns":2000000,"spawned_by":"#0.1","spawned_at":"examples/src/bank.rs:58","waits":[{"text":"timer (30 ms left)","what":"timer","deadline_ns":65030000000,"for_ns":2000000}]}
{"end":1}
"##;

const WIDE: &str = "\
bank (4711), loop 0 on thread main: 6 tasks, asleep after 12 turns
TASK  NAME    STATE    WAITS FOR                                   HOLDER  POLLS    BUSY     AGE  SPAWNED AT
#0.1          waiting  task #1.1                                   #1.1        2   61 µs  65.0 s  block_on
#1.1  left    waiting  mutex 2 \"right\" (examples/src/bank.rs:13)   #2.1        2   18 µs  65.0 s  examples/src/bank.rs:40
#2.1  right   waiting  mutex 1 \"left\" (examples/src/bank.rs:12)    #1.1        2   17 µs  65.0 s  examples/src/bank.rs:41
#3.1  reader  waiting  TcpStream 7, to read or timer (1.5 s left)             20  420 ms   5.0 s  examples/src/bank.rs:55
#4.9          ready                                                            0    0 µs    7 µs  examples/src/bank.rs:60
#5.1  writer  cleanup  timer (30 ms left)                                      5   90 µs   4.0 s  examples/src/bank.rs:58
";

#[test]
fn a_table_fits_the_width() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    let [narrow, usual, wide] = ["40", "80", "200"].map(|columns| folder.ps_within(columns, &["4711"]));
    assert_eq!(wide, WIDE, "{wide}");
    assert_eq!(usual, USUAL, "{usual}");
    assert_eq!(narrow, NARROW, "{narrow}");
    // Without a terminal and without a width, nothing is cut.
    assert_eq!(folder.ps(&["4711"]).text() + "\n", WIDE);
}

const USUAL: &str = "\
bank (4711), loop 0 on thread main: 6 tasks, asleep after 12 turns
TASK  NAME    STATE    WAITS FOR                HOLDER    BUSY  SPAWNED AT
#0.1          waiting  task #1.1                #1.1     61 µs  block_on
#1.1  left    waiting  mutex 2 \"right\" (examp…  #2.1     18 µs  …src/bank.rs:40
#2.1  right   waiting  mutex 1 \"left\" (exampl…  #1.1     17 µs  …src/bank.rs:41
#3.1  reader  waiting  TcpStream 7, to read o…          420 ms  …src/bank.rs:55
#4.9          ready                                       0 µs  …src/bank.rs:60
#5.1  writer  cleanup  timer (30 ms left)                90 µs  …src/bank.rs:58
";
const NARROW: &str = "\
bank (4711), loop 0 on thread main: 6
tasks, asleep after 12 turns
TASK  STATE    WAITS FOR
#0.1  waiting  task #1.1
#1.1  waiting  mutex 2 \"right\" (exampl…
#2.1  waiting  mutex 1 \"left\" (example…
#3.1  waiting  TcpStream 7, to read or…
#4.9  ready
#5.1  cleanup  timer (30 ms left)
";
const TREE: &str = "\
bank (4711), loop 0 on thread main: 6 tasks, asleep after 12 turns
#0.1  waiting for task #1.1
└─ #1.1 left  waiting for mutex 2 \"right\" (examples/src/bank.rs:13)
   └─ #2.1 right  waiting for mutex 1 \"left\" (examples/src/bank.rs:12)
      └─ #1.1 left  ⟲ closes a circle: it stands above
#3.1 reader  waiting for TcpStream 7, to read or timer (1.5 s left)
#4.9  ready
#5.1 writer  cleanup for timer (30 ms left)
";

#[test]
fn a_tree_shows_which_task_waits_for_which_and_marks_a_circle() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    let shown = folder.ps_within("200", &["4711", "--tree"]);
    assert_eq!(shown, TREE, "{shown}");
    folder.ps_within("40", &["4711", "--tree"]);
}

#[test]
fn the_answer_itself_is_shown_as_it_came() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    assert_eq!(folder.ps(&["4711", "--json"]).text() + "\n", BANK);
}

#[test]
fn errors_are_one_sentence_that_says_what_to_do() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(1001, "{\"roundel\":2,\"error\":\"this program speaks version 2, not `1`\"}\n");
    folder.say(1002, "{\"roundel\":1,\"pid\":1002,\"program\":\"x\",\"loops\":1,\"tasks\":1}\n");
    folder.say(1003, "no answer at all\n");
    folder
        .say(1004, "{\"roundel\":1,\"pid\":1004,\"loops\":1,\"tasks\":0}\n{\"loop\":[[[[[[[[[[[[[[[[[[[[\n");
    folder.say(1005, "");
    let here = std::process::id().to_string();
    for (pid, why) in [
        (NONE.to_string(), "there is no process 2147483647"),
        (here, "has no loop that can be asked: start it with ROUNDEL_INSPECT=1"),
        ("1001".into(), "uses another version of roundel than this `ps`: this program speaks version 2"),
        ("1002".into(), "process 1002 has ended while it answered"),
        ("1003".into(), "process 1003 has sent something that is no answer"),
        ("1004".into(), "process 1004 has sent something that is no answer"),
        ("1005".into(), "process 1005 has ended while it answered"),
    ] {
        for more in [None, Some("--tree"), Some("--watch"), Some("--json")] {
            let args: Vec<&str> = [pid.as_str()].into_iter().chain(more).collect();
            let ended = folder.ps(&args);
            let said = ended.complaints.trim_end();
            assert_eq!(ended.code(), Some(1), "{args:?}: {ended:?}");
            assert!(said.starts_with("ps: ") && said.contains(why), "{args:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        }
    }
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    fs::set_permissions(folder.0.join("roundel"), Permissions::from_mode(0o755)).unwrap();
    for args in [&[][..], &["4711"]] {
        let ended = folder.ps(args);
        assert!(ended.complaints.ends_with("is open to other users: give it the mode 0700\n"), "{ended:?}");
    }
}

#[test]
fn names_cannot_control_the_terminal() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(
        4711,
        "{\"roundel\":1,\"pid\":4711,\"program\":\"\\u001b[2J\",\"loops\":1,\"tasks\":1}\n\
         {\"loop\":0,\"thread\":\"\\u001b]0;x\",\"phase\":\"parked\",\"tasks\":1,\"turns\":1}\n\
         {\"loop\":0,\"task\":\"#0.1\",\"name\":\"\\u009b31m\\nx\",\"state\":\"ready\"}\n{\"end\":1}\n",
    );
    for args in [&[][..], &["4711"], &["4711", "--tree"]] {
        let text = folder.ps(args).text();
        assert!(!text.chars().any(|char| char.is_control() && char != '\n'), "{args:?}: {text:?}");
    }
}

/// The socket sends the last tasks only when the first ones have been shown.
#[test]
fn the_first_page_does_not_wait_for_the_last() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    let (shown, is_shown) = mpsc::channel();
    folder.serve(4711, move |client| {
        let task = |number| format!("{{\"loop\":0,\"task\":\"#{number}.1\",\"state\":\"ready\"}}\n");
        let head = "{\"roundel\":1,\"pid\":4711,\"program\":\"x\",\"loops\":1,\"tasks\":100000}\n\
                    {\"loop\":0,\"phase\":\"turning\",\"tasks\":100000}\n";
        let first: String = (0..2_000).map(task).collect();
        client.write_all(format!("{head}{first}").as_bytes()).unwrap();
        is_shown.recv().unwrap();
        let rest: String = (2_000..100_000).map(task).collect();
        client.write_all(format!("{rest}{{\"end\":1}}\n").as_bytes()).unwrap();
    });
    let ps = Program::launch(&mut folder.command("ps", &["4711"]));
    let first: Vec<String> = (0..1_000).map(|_| ps.next_line().unwrap()).collect();
    assert!(first[2].starts_with("#0.1"), "{first:?}");
    shown.send(()).unwrap();
    let ended = ps.end();
    assert_eq!((ended.code(), first.len() + ended.lines.len()), (Some(0), 100_002));
    assert!(ended.lines.last().unwrap().starts_with("#99999.1"), "{:?}", ended.lines.last());
}

#[test]
fn a_task_that_holds_the_loop_is_named_with_its_place() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    let program = folder.start("health", &["--block", "200"]);
    let pid = program.pid().to_string();
    let text = loop {
        let ended = folder.ps(&[&pid]);
        if ended.text().contains("has held the loop for") {
            break ended.text();
        }
        assert!(ended.status.success(), "{ended:?}");
    };
    let [first, second, titles, ..] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(first.starts_with(&format!("health ({pid}), loop 0 on thread main: ")), "{text}");
    assert!(second.starts_with("task #0.1 has held the loop for "), "{text}");
    assert!(second.ends_with("the future of a `block_on`"), "{text}");
    assert!(titles.starts_with("TASK "), "{text}");
    assert!(text.contains("#1.1") && text.contains("examples/examples/health.rs:"), "{text}");
}

#[test]
fn all_loops_of_a_process_are_shown_and_the_list_counts_them() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    let one = folder.start("echo", &["--addr", "127.0.0.1:0"]);
    let two = folder.start("echo", &["--addr", "127.0.0.1:0", "--threads", "2"]);
    // When the first line is printed, a loop may not listen yet.
    let text = loop {
        let text = folder.ps(&[&two.pid().to_string()]).text();
        if text.matches("TcpListener, to read").count() == 2 {
            break text;
        }
    };
    let headings = text.lines().filter(|line| line.contains("), loop "));
    assert_eq!(headings.count(), 2, "{text}");
    // On a busy machine, one may not answer in time.
    let list = loop {
        let list = folder.ps(&[]).text();
        if !list.contains("does not answer") {
            break list;
        }
    };
    for (program, loops) in [(&one, " 1 "), (&two, " 2 ")] {
        let pid = program.pid().to_string();
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(&pid));
        assert!(line.is_some_and(|line| line.contains("echo") && line.contains(loops)), "{list}");
    }
    one.stop();
    two.stop();
    assert_eq!(folder.sockets(), [""; 0], "an orderly end removes the socket");
}

#[test]
fn a_process_that_was_killed_is_cleaned_up_and_one_that_is_stopped_is_said_to_be() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    let [killed, stopped] = [(); 2].map(|()| folder.start("echo", &["--addr", "127.0.0.1:0"]));
    let pid = killed.pid().to_string();
    killed.signal(Signal::KILL);
    killed.end();
    stopped.signal(Signal::STOP);
    assert_eq!(folder.sockets().iter().filter(|name| **name == pid).count(), 1, "it was left behind");
    let list = folder.ps(&[]).text();
    assert!(list.lines().all(|line| line.split_whitespace().next() != Some(&*pid)), "{list}");
    assert!(list.contains("(does not answer)"), "{list}");
    assert_eq!(folder.sockets(), [stopped.pid().to_string()]);
    assert!(folder.ps(&[&pid]).complaints.contains(&format!("there is no process {pid}")));
    stopped.signal(Signal::CONT);
    stopped.stop();
}

/// A `ps` on a terminal of its own.
struct Watched {
    terminal: File,
    /// The end that `ps` has. As long as it is open, the terminal keeps its mode.
    end: File,
    child: std::process::Child,
    seen: String,
}

impl Watched {
    fn start(folder: &Folder, args: &[&str]) -> Watched {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        // No program that another test starts meanwhile may have it.
        #[cfg(target_os = "linux")]
        let flags = flags | OpenptFlags::CLOEXEC;
        let terminal = File::from(openpt(flags).unwrap());
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 8, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut command = folder.command("ps", args);
        let [input, output] = [(); 2].map(|()| Stdio::from(end.try_clone().unwrap()));
        let child = alone::spawn(command.stdin(input).stdout(output).stderr(Stdio::null())).unwrap();
        Watched { terminal, end, child, seen: String::new() }
    }

    fn has_keys(&self) -> bool {
        !tcgetattr(&self.end).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn read_until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let mut buffer = [0; 4096];
            let count = self.terminal.read(&mut buffer).unwrap();
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watched_process_fills_the_screen_and_the_terminal_is_given_back() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    for end in ["a key", "SIGTERM", "SIGINT", "SIGHUP"] {
        let mut ps = Watched::start(&folder, &["4711", "--watch"]);
        ps.read_until("q ends");
        assert!(ps.seen.starts_with("\x1b[?1049h\x1b[?25l\x1b[Hbank (4711)"), "{:?}", ps.seen);
        // Six tasks and three other lines do not fit on eight rows. (On a busy machine, it has been shown again already.)
        let first = ps.seen.split_inclusive("q ends").next().unwrap();
        let lines: Vec<&str> = first.split("\r\n").collect();
        assert!(lines.len() <= 8 && first.contains("more lines"), "{lines:?}");
        // Twice: it is shown again after a second.
        ps.seen.clear();
        ps.read_until("q ends");
        assert!(ps.has_keys());
        match end {
            "a key" => ps.terminal.write_all(b"xq").unwrap(),
            name => {
                let signal = match name {
                    "SIGTERM" => Signal::TERM,
                    "SIGINT" => Signal::INT,
                    _ => Signal::HUP,
                };
                rustix::process::kill_process(rustix::process::Pid::from_child(&ps.child), signal).unwrap();
            }
        }
        ps.read_until("\x1b[?25h\x1b[?1049l");
        assert!(ps.child.wait().unwrap().success(), "{end}");
        assert!(!ps.has_keys(), "{end}: the terminal is not as it was");
    }
}

#[test]
fn without_a_terminal_q_and_enter_end_the_watch_and_so_does_the_end_of_the_process() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    let mut command = folder.command("ps", &["4711", "--watch", "--tree"]);
    let mut child = alone::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "q ends"));
    child.stdin.take().unwrap().write_all(b"q\n").unwrap();
    assert!(child.wait().unwrap().success());
    // (The watch of a process that ends is over, too.)
    let echo = folder.start("echo", &["--addr", "127.0.0.1:0"]);
    let watch = Program::launch(&mut folder.command("ps", &[&echo.pid().to_string(), "--watch"]));
    assert!(watch.next_line().unwrap().starts_with("echo ("));
    let pid = echo.pid();
    echo.stop();
    let ended = watch.end();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let last = ended.lines.last().unwrap();
    assert!(last.contains(&format!("process {pid}")), "{last}");
}

#[test]
fn a_reader_that_has_gone_ends_a_watch_quietly() {
    let _watchdog = watchdog();
    let folder = Folder::new();
    folder.say(4711, BANK);
    let ended = run_command_into(pipe_without_a_reader(), &mut folder.command("ps", &["4711", "--watch"]));
    assert!(ended.status.success() && ended.complaints.is_empty(), "{ended:?}");
}

#[test]
fn no_text_makes_the_reader_of_answers_panic() {
    let mut random = testkit::Random::new(1);
    for line in BANK.lines() {
        let value = Value::read(line).unwrap();
        assert!(value.get("roundel").is_some() || value.get("loop").is_some() || value.get("end").is_some());
        for _ in 0..2_000 {
            let mut bytes = line.as_bytes().to_vec();
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes.truncate(at),
                1 => bytes[at] = b"{}[]\",:\\u0 -."[random.below(13)],
                _ => _ = bytes.remove(at),
            }
            let _ = Value::read(&String::from_utf8_lossy(&bytes));
        }
    }
    assert_eq!(Value::read(&"[".repeat(100_000)), None);
    assert_eq!(Value::read("1e3"), Some(Value::Fraction(1000.0)));
    assert_eq!(
        Value::read("[1, -2, true, null] "),
        Some(Value::List(vec![Value::Number(1), Value::Fraction(-2.0), Value::Flag(true), Value::Null]))
    );
}
