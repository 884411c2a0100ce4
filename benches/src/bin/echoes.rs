//! What an echo costs: instructions, system calls, processor time; and how long it takes beside tasks that will not
//! stop working.
//!
//! `cargo run --release -p benches --bin echoes [-- instructions | calls | time | fairness]`
//!
//! Each server runs in a process of its own, from the same program as all the others; the client is the same for all,
//! and writes to all its connections before it reads from any. Instructions (callgrind) and system calls (strace) are
//! slopes between a short run and a long one, so what it takes to start is not in them. Processor time is compared in
//! rounds that take turns, because machines have moods. What needs a tool that is missing is left out, loudly. With
//! `--check`, only our own instructions and calls are taken, and have to stay within the budgets below.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use benches::contenders::serve;
use benches::talk::Talk;

const SERVERS: [&str; 5] = ["mio", "roundel", "tokio", "smol", "monoio"];

const SIZE: usize = 64;
/// User instructions per echo with 20 connections; system calls per echo with 20 connections, and with one.
const BUDGETS: [f64; 3] = [680.0, 2.1, 3.01];
const ROUNDS: usize = 15;
const HOT: [usize; 4] = [0, 1, 4, 16];

/// A server that has not answered within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// `connections` connections, on which `rounds` messages each go there and back: all are written, then all are
/// read, and so on. How long each round took, until the server did not answer any more.
fn client(to: SocketAddr, connections: usize, rounds: u64, size: usize, pause: Duration) -> Vec<Duration> {
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| TcpStream::connect(to).unwrap()).collect();
    for stream in &streams {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let (message, mut answer) = (vec![b'x'; size], vec![0; size]);
    let round = |_| {
        std::thread::sleep(pause);
        let start = Instant::now();
        streams.iter_mut().for_each(|stream| stream.write_all(&message).unwrap());
        for stream in &mut streams {
            stream.read_exact(&mut answer).ok()?;
            assert_eq!(answer, message);
        }
        Some(start.elapsed())
    };
    (0..rounds).map_while(round).collect()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server under a tool, whose words come before ours.
    fn start(name: &str, hot: usize, tool: &[&str]) -> Option<Server> {
        let program = env::current_exe().unwrap();
        let words = tool.iter().map(|word| word.to_string());
        let ours = [program.to_str().unwrap().to_owned(), "serve".into(), name.into(), hot.to_string()];
        let mut words = words.chain(ours);
        let mut command = Command::new(words.next().unwrap());
        let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap_or_else(|_| panic!("{name} under {tool:?} does not serve"));
        Some(Server { child, address })
    }

    /// Ends it, and waits for it and its tool.
    fn stop(mut self) {
        // The tool is the child; the server has the number that it was given, or that of its only child.
        let tool = self.child.id();
        let children = fs::read_to_string(format!("/proc/{tool}/task/{tool}/children")).unwrap_or_default();
        let server = children.split_whitespace().next().map_or(tool.to_string(), str::to_owned);
        Command::new("kill").args(["-TERM", &server]).status().unwrap();
        self.child.wait().unwrap();
    }

    /// The processor time it has used, all in all, in nanoseconds.
    fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// What a tool counts in a run of so many rounds.
fn counted(name: &str, connections: usize, rounds: u64, pause: Duration, tool: Tool) -> Option<f64> {
    let file = env::temp_dir().join(format!("echoes-{}-{name}-{rounds}", std::process::id()));
    let path = file.to_str().unwrap();
    let output = format!("--callgrind-out-file={path}");
    let words: &[&str] = match tool {
        Tool::Callgrind => &["valgrind", "--tool=callgrind", &output],
        Tool::Strace => &["strace", "-f", "-c", "-U", "calls", "-o", path],
    };
    let server = Server::start(name, 0, words)?;
    let took = client(server.address, connections, rounds, SIZE, pause);
    assert_eq!(took.len() as u64, rounds, "{name} has not answered");
    server.stop();
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    match tool {
        Tool::Callgrind => text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok(),
        Tool::Strace => text.lines().last()?.split_whitespace().next()?.parse().ok(),
    }
}

#[derive(Clone, Copy)]
enum Tool {
    Callgrind,
    Strace,
}

/// What a tool counts per echo.
fn slope(name: &str, connections: usize, rounds: u64, pause: Duration, tool: Tool) -> Option<f64> {
    let short = counted(name, connections, rounds / 10, pause, tool)?;
    let long = counted(name, connections, rounds, pause, tool)?;
    Some((long - short) / ((rounds - rounds / 10) as f64 * connections as f64))
}

fn instructions(name: &str) -> Option<f64> {
    slope(name, 20, 2_000, Duration::ZERO, Tool::Callgrind)
}

fn calls(name: &str, connections: usize, pause: Duration) -> Option<f64> {
    slope(name, connections, 20_000 / connections as u64, pause, Tool::Strace)
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("(needs a tool)".into(), |figure| format!("{figure:.digits$}"))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Processor time per echo of each server, in rounds that take turns; and the ratio to the bare loop, round by round.
fn time() {
    let connections = 50;
    let servers = SERVERS.map(|name| Server::start(name, 0, &[]).unwrap());
    let mut rounds = vec![Vec::new(); servers.len()];
    for round in 0..=ROUNDS {
        for (index, server) in servers.iter().enumerate() {
            let before = server.cpu();
            client(server.address, connections, 1_000, SIZE, Duration::ZERO);
            let cpu = (server.cpu() - before) / (1_000 * connections) as f64;
            if round > 0 {
                rounds[index].push(cpu);
            }
        }
    }
    println!(
        "\nprocessor time per echo, {connections} connections, {ROUNDS} rounds by turns (median; ratio to mio)"
    );
    for (name, took) in SERVERS.iter().zip(&rounds) {
        let ratio = median(took.iter().zip(&rounds[0]).map(|(ours, bare)| ours / bare).collect());
        println!("{name:>8}  {:6.2} µs  {ratio:.3}", median(took.clone()) / 1000.0);
    }
    servers.into_iter().for_each(Server::stop);
}

/// How long an echo takes beside tasks that burn 20 µs and wake themselves.
fn fairness() {
    println!("\nan echo beside tasks that burn 20 µs and wake themselves, µs (p50, p99)");
    for name in SERVERS.iter().filter(|name| **name != "mio") {
        print!("{name:>8}");
        for hot in HOT {
            let server = Server::start(name, hot, &[]).unwrap();
            let mut took = client(server.address, 1, 3_000, SIZE, Duration::ZERO);
            server.stop();
            took.sort();
            let at = |share: f64| took.get((took.len() as f64 * share) as usize).map(Duration::as_micros);
            match (at(0.5), at(0.99)) {
                (Some(p50), Some(p99)) => print!("  {hot:>2} hot: {p50:>6} {p99:>6}"),
                _ => print!("  {hot:>2} hot:     no answer"),
            }
        }
        println!();
    }
}

fn all_instructions() {
    println!("\nuser instructions per echo, 20 connections");
    SERVERS.iter().for_each(|name| println!("{name:>8}  {}", shown(instructions(name), 0)));
}

fn all_calls() {
    println!("\nsystem calls per echo: 20 connections; one connection that pauses between messages");
    for name in SERVERS {
        let (busy, idle) = (calls(name, 20, Duration::ZERO), calls(name, 1, Duration::from_micros(200)));
        println!("{name:>8}  {}  {}", shown(busy, 2), shown(idle, 2));
    }
}

fn check() -> ExitCode {
    let idle = Duration::from_micros(200);
    let ours = [instructions("roundel"), calls("roundel", 20, Duration::ZERO), calls("roundel", 1, idle)];
    let names = ["instructions per echo", "system calls per echo, busy", "system calls per echo, idle"];
    let mut good = true;
    for ((name, figure), budget) in names.iter().zip(ours).zip(BUDGETS) {
        let Some(figure) = figure else {
            println!("SKIPPED {name}: valgrind or strace is missing");
            continue;
        };
        println!("{name}: {figure:.2}, of {budget}");
        good &= figure <= budget;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", name, hot] => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            println!("{}", listener.local_addr().unwrap());
            serve(name, listener, Talk::Echo, hot.parse().unwrap());
        }
        ["--check"] => return check(),
        ["instructions"] => all_instructions(),
        ["calls"] => all_calls(),
        ["time"] => time(),
        ["fairness"] => fairness(),
        [] => [all_instructions, all_calls, time, fairness].iter().for_each(|part| part()),
        _ => {
            eprintln!("usage: echoes [instructions | calls | time | fairness | --check]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
