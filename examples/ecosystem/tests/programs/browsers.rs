//! `websocket`, with Python's websockets, with bytes written by hand, and with a real browser.

use std::io::Write;
use std::process::Command;

use rustix::process::Signal;

use crate::common::{Program, has, read, read_all, shell, watchdog};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn websocket() -> Program {
    Program::start("websocket", &["--addr", "127.0.0.1:0"])
}

/// A guest in Python, which says its name and prints what it hears. `then` is what it does next.
fn guest(program: &Program, name: &str, then: &str) -> Program {
    let script = format!(
        "import asyncio, websockets\n\
         async def main():\n \
          async with websockets.connect('ws://{}/') as w:\n  \
           async def hear(): print(await asyncio.wait_for(w.recv(), 100), flush=True)\n  \
           await w.recv(); await w.send('{name}'); await hear()\n  \
           {then}\n\
         asyncio.run(main())",
        program.address
    );
    Program::launch(Command::new("python3").args(["-c", &script]).env("no_proxy", "*"))
}

/// Whether Python has a module. If not, says that the test of this name has tested nothing.
pub(crate) fn has_module(module: &str, test: &str) -> bool {
    let found = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        testkit::say(&format!("SKIPPED: Python has no module {module}; {test} has tested nothing"));
    }
    has
}

/// What is left of a text frame that is shorter than 126 bytes, or its opcode.
fn frame(stream: &mut impl std::io::Read) -> (u8, String) {
    let head = read(stream, 2);
    (head[0], String::from_utf8_lossy(&read(stream, head[1].into())).into_owned())
}

/// A client masks what it sends; zeros are a mask, too.
fn say(stream: &mut impl Write, opcode: u8, text: &str) {
    let mut bytes = vec![0x80 | opcode, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(text.as_bytes());
    stream.write_all(&bytes).unwrap();
}

/// The handshake of the RFC, and the first message together with the request.
#[test]
fn websocket_follows_the_rfc_byte_by_byte() {
    let _watchdog = watchdog();
    let program = websocket();
    let mut stream = program.connect();
    let mut bytes = ASK.to_vec();
    say(&mut bytes, 1, "anna");
    stream.write_all(&bytes).unwrap();
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(read(&mut stream, answer.len()), answer);
    assert_eq!(frame(&mut stream), (0x81, "* your name?".into()));
    assert_eq!(frame(&mut stream), (0x81, "* here are: anna".into()));
    assert_eq!(frame(&mut stream), (0x81, "* anna is here".into()));
    say(&mut stream, 9, "ping");
    assert_eq!(frame(&mut stream), (0x8a, "ping".into()));
    say(&mut stream, 1, "<b>hello\u{7}</b>");
    assert_eq!(frame(&mut stream), (0x81, "anna: <b>hello</b>".into()));
    // The end of the server: a farewell (1001), our answer, the end.
    program.signal(Signal::TERM);
    let (opcode, text) = frame(&mut stream);
    assert_eq!((opcode, text.ends_with("the chat is over")), (0x88, true), "{text}");
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]).unwrap();
    assert!(read_all(&mut stream).0.is_empty());
    assert!(program.ended_well().is_empty());
}

#[test]
fn websocket_survives_guests_that_break_the_rules() {
    let _watchdog = watchdog();
    let program = websocket();
    let _silent = program.connect();
    // A frame without a mask, one of 2^63 bytes, and one that ends in the middle.
    for wrong in [&b"\x81\x04anna"[..], b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", b"\x81\x84\0\0"]
    {
        let mut stream = program.connect();
        stream.write_all(&[ASK, wrong].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        read_all(&mut stream);
    }
    // A frame of 5,000 bytes: the server does not wait for them.
    let mut long = program.connect();
    long.write_all(&[ASK, b"\x81\xfe\x13\x88\0\0\0\0"].concat()).unwrap();
    read_all(&mut long);
    // A head without an end.
    let mut endless = program.connect();
    let _ = endless.write_all(&[b'x'; 100_000]);
    read_all(&mut endless);
    // The page is still there.
    let mut stream = program.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(String::from_utf8(read_all(&mut stream).0).unwrap().ends_with("</html>\n"));
    assert!(program.stop().is_empty());
}

#[test]
fn websocket_is_understood_by_python() {
    let _watchdog = watchdog();
    if !has_module("websockets", "websocket_is_understood_by_python") {
        return;
    }
    let program = websocket();
    let anna = guest(&program, "anna", "for _ in range(5): await hear()");
    assert_eq!(anna.next_line().unwrap(), "* here are: anna");
    assert_eq!(anna.next_line().unwrap(), "* anna is here");
    let boris = guest(&program, "boris", "await w.send('hello'); await hear(); await hear()");
    for line in ["* boris is here", "boris: hello", "* boris has left"] {
        assert_eq!(anna.next_line().unwrap(), line);
    }
    assert_eq!(boris.ended_well(), ["* here are: anna, boris", "* boris is here", "boris: hello"]);
    program.signal(Signal::TERM);
    assert!(anna.end().complaints.contains("1001"), "the farewell of the server");
    assert!(program.ended_well().is_empty());
}

/// The browser runs the page, whose script says the name in its address.
#[test]
fn websocket_is_used_by_a_real_browser() {
    let _watchdog = watchdog();
    if !has("chromium", "websocket_is_used_by_a_real_browser") {
        return;
    }
    let program = websocket();
    let mut stream = program.connect();
    stream.write_all(ASK).unwrap();
    say(&mut stream, 1, "anna");
    let answer = String::from_utf8_lossy(&read(&mut stream, 129)).into_owned();
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let profile = std::env::temp_dir().join(format!("roundel-websocket-{}", std::process::id()));
    let script = r#"timeout 100 chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$1" \
                    --virtual-time-budget=5000 --dump-dom "$2" 2>/dev/null || true"#;
    let url = format!("http://{}/#bettina", program.address);
    // The browser's clock runs ahead while it waits, so on a busy machine it may show the page before it has heard anything.
    let look = || shell(script, &[profile.to_str().unwrap(), &url]);
    let page = (0..5).map(|_| look()).find(|page| page.contains("* bettina is here"));
    assert!(page.unwrap().contains("* here are: anna, bettina\n"), "it was there together with anna");
    for line in
        ["* your name?", "* here are: anna", "* anna is here", "* bettina is here", "* bettina has left"]
    {
        assert_eq!(frame(&mut stream), (0x81, line.into()));
    }
    drop(stream);
    assert!(program.stop().is_empty());
    let _ = std::fs::remove_dir_all(profile);
}
