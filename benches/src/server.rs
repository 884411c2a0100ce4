//! A server: a process of its own, on its own core, that ends when this is dropped.
//!
//! Facts. A client in the same process shares the server's processor time, and the two cannot be told apart. A process
//! that is killed cannot stop what it has started.
//!
//! What follows. The program starts itself again, as `faceoff serve NAME TALK HOT`: [`serve`] is all that this process
//! does. It prints its address first, and ends when its standard input ends, which is when its parent ends, in whatever
//! way. Guests from another language replace the process, so they have the same core and limits.
//!
//! Contract. The processor time of a server is that of all its threads. A thread that ends between two readings takes
//! its time with it; no server here ends a thread while it serves. Without `/proc/PID/task/TID/schedstat` there is no
//! processor time.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, process, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::contenders::{self, guests};
use crate::faceoff::job::Miss;
use crate::faceoff::pins::pin_server;
use crate::talk::Talk;

/// The most connections that wait to be accepted; the system may allow fewer.
const WAITING: i32 = 4096;
/// A server whose processor time does not change for this long has done everything there was to do.
const CALM: Duration = Duration::from_millis(2);
/// The longest wait for a server that is never calm.
const CALMINGS: usize = 200;

#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts this contender's server in a process of its own.
    pub fn start(name: &str, talk: &str, hot: usize) -> Result<Server, Miss> {
        let program = env::current_exe().map_err(|error| unable(name, &error))?;
        let mut command = Command::new(program);
        command.args(["serve", name, talk, &hot.to_string()]);
        Server::started(name, &mut command)
    }

    /// Starts a program whose first output is its address.
    fn started(name: &str, command: &mut Command) -> Result<Server, Miss> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| unable(name, &error))?;
        let mut line = String::new();
        let read = BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line);
        let address = read.ok().and_then(|_| line.trim().parse().ok());
        let mut server = Server { child, address: address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()) };
        match address {
            Some(_) => Ok(server),
            None => Err(Miss::Absent(format!("its server does not start: {}", server.last_words()))),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time it has used so far, in nanoseconds.
    pub fn cpu(&self) -> Option<u64> {
        cpu(&self.pid().to_string())
    }

    /// The processor time when it has done everything there was to do.
    pub fn calm_cpu(&self) -> Option<u64> {
        let mut before = self.cpu()?;
        for _ in 0..CALMINGS {
            thread::sleep(CALM);
            let now = self.cpu()?;
            if now == before {
                break;
            }
            before = now;
        }
        Some(before)
    }

    /// Ends it, and returns its last complaint.
    pub fn last_words(&mut self) -> String {
        self.end();
        let mut text = String::new();
        let _ = self.child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut text));
        let told = text.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("note:"));
        told.unwrap_or("it says nothing").to_owned()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn unable(name: &str, error: &io::Error) -> Miss {
    Miss::Wrong(format!("the server of {name} cannot be started: {error}"))
}

/// The processor time of all threads of a process.
pub fn cpu(process: &str) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let times = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(times.sum()).filter(|&sum| sum > 0)
}

/// Raises the limit of descriptors as far as the system allows, and returns it: a thousand connections are more than
/// the default allows.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    raised.map_or(limit.current, |()| limit.maximum).unwrap_or(u64::MAX)
}

/// The work of such a process: it serves for ever.
///
/// # Errors
///
/// If the words are not understood, or if it cannot listen.
pub fn serve(words: &[&str]) -> Result<(), String> {
    let [name, talk, hot] = words else {
        return Err("serve needs a name, a talk, and how many hot tasks".into());
    };
    let hot = hot.parse().map_err(|error| format!("`{hot}` hot tasks: {error}"))?;
    raise_descriptor_limit();
    pin_server();
    if guests::NAMES.contains(name) {
        return Err(format!("cannot become {name}: {}", guests::become_one(name, talk)));
    }
    let listener = listen().map_err(|error| format!("cannot listen on 127.0.0.1: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("has no address: {error}"))?;
    end_with_the_parent();
    println!("{address}");
    contenders::serve(name, listener, Talk::named(talk), hot);
    Ok(())
}

fn listen() -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

/// A thread that does nothing but wait for that.
fn end_with_the_parent() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Pace, Words};
    use crate::contenders::NAMES;
    use std::io::Write;
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const LONG: Duration = Duration::from_secs(100);

    /// A thread that serves for ever; the test does not wait for it.
    fn in_a_thread(name: &'static str, talk: &'static str) -> SocketAddr {
        let listener = listen().unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || contenders::serve(name, listener, Talk::named(talk), 0));
        address
    }

    fn answers(name: &str, address: SocketAddr, words: Words) {
        let outcome =
            Client::connect(address, 3, words, LONG).and_then(|mut client| client.run(20, Pace::InFlight(2)));
        assert_eq!(outcome.map(|outcome| outcome.answered), Ok(60), "{name}");
    }

    /// Requests that come in two pieces, split at every place.
    fn answers_pieces(name: &str, address: SocketAddr) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let request = crate::talk::REQUEST;
        let mut answer = vec![0; crate::talk::response_length()];
        for cut in (1..request.len()).step_by(5).chain(request.len() - 4..request.len()) {
            stream.write_all(&request[..cut]).unwrap();
            thread::sleep(Duration::from_millis(1));
            stream.write_all(&request[cut..]).unwrap();
            stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{name}, cut at {cut}: {error}"));
            assert!(answer.ends_with(b"Hello, world!"), "{name}, cut at {cut}");
        }
    }

    #[test]
    fn every_contender_echoes_and_says_hello() {
        for name in NAMES.into_iter().filter(|name| !guests::NAMES.contains(name)) {
            let (echo, hello) = (in_a_thread(name, "echo"), in_a_thread(name, "hello"));
            if name == "monoio_uring" && Client::connect(echo, 1, Words::echo(1), LONG).is_err() {
                println!("SKIPPED monoio_uring: the kernel refuses io_uring; its server is not tested");
                continue;
            }
            answers(name, echo, Words::echo(64));
            answers(name, echo, Words::echo(100 << 10));
            answers(name, hello, Words::hello());
            answers_pieces(name, hello);
        }
    }

    #[test]
    fn guests_echo_and_say_hello_and_end_with_their_parent() {
        for name in guests::NAMES {
            if let Some(why) = guests::missing(name) {
                println!("SKIPPED {name}: {why}; its server is not tested");
                continue;
            }
            let echo = Server::started(name, &mut guests::command(name, "echo")).unwrap();
            let mut hello = Server::started(name, &mut guests::command(name, "hello")).unwrap();
            answers(name, echo.address(), Words::echo(64));
            answers(name, echo.address(), Words::echo(100 << 10));
            answers(name, hello.address(), Words::hello());
            answers_pieces(name, hello.address());
            assert!(echo.calm_cpu().is_none_or(|cpu| cpu > 0));
            drop(hello.child.stdin.take());
            assert!(hello.child.wait().unwrap().success(), "{name} is still there");
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_absent_and_says_why() {
        let mut command = Command::new("sh");
        let started = Server::started("sh", command.args(["-c", "echo no room >&2; exit 1"]));
        assert_eq!(started.unwrap_err(), Miss::Absent("its server does not start: no room".into()));
    }

    #[test]
    fn processor_time_is_that_of_all_threads() {
        let Some(before) = cpu("self") else {
            return println!("SKIPPED processor time: there is no /proc/self/task/TID/schedstat");
        };
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            // If the sum counted only this thread, which sleeps, it would hardly grow.
            let grown = || cpu("self").is_some_and(|now| now >= before + 20_000_000);
            let grows = (0..60_000).any(|_| {
                thread::sleep(Duration::from_millis(1));
                grown()
            });
            over.store(true, Relaxed);
            assert!(grows, "the processor time of another thread is not in the sum");
        });
    }
}
