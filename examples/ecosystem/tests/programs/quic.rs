//! `quic`, with Python's aioquic, and with itself in another process.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::browsers::has_module;
use crate::common::{Program, lines_of, run, watchdog};

/// Asks for fifty streams at once: the port and the certificate are its arguments.
const PYTHON: &str = "import asyncio, ssl, sys
from aioquic.asyncio import connect
from aioquic.quic.configuration import QuicConfiguration
async def main():
    certificate = ssl.DER_cert_to_PEM_cert(open(sys.argv[2], 'rb').read()).encode()
    trusting = QuicConfiguration(server_name='localhost', cadata=certificate)
    async with connect('127.0.0.1', int(sys.argv[1]), configuration=trusting) as client:
        async def ask(words):
            reader, writer = await client.create_stream()
            writer.write(words)
            writer.write_eof()
            return await reader.read()
        asked = [b'%d ' % number * 1000 for number in range(50)]
        answers = await asyncio.gather(*map(ask, asked))
        print('all came back' if answers == asked else 'other bytes came back')
asyncio.run(asyncio.wait_for(main(), 100))";

fn quic(test: &str) -> (Program, PathBuf) {
    let file = std::env::temp_dir().join(format!("roundel-quic-{test}-{}.der", std::process::id()));
    let program = Program::start("quic", &["--addr", "127.0.0.1:0", "--certificate", file.to_str().unwrap()]);
    (program, file)
}

#[test]
fn quic_brings_back_every_stream() {
    let _watchdog = watchdog();
    let (program, file) = quic("streams");
    let start = ["--certificate", file.to_str().unwrap(), "--connect", &program.address];
    // More than a packet, more than the window of a stream's first flight, and many streams.
    let long = "x".repeat(100_000);
    let words: Vec<String> = (0..200).map(|number| format!("word-{number}")).chain([long]).collect();
    let args: Vec<&str> = start.into_iter().chain(words.iter().map(String::as_str)).collect();
    assert_eq!(lines_of("quic", &args), words);
    assert_eq!(lines_of("quic", &args[..5]), ["word-0"]);
    // The end waits for no client that has gone.
    assert!(program.stop().is_empty());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn quic_trusts_only_its_certificate_and_survives_noise() {
    let _watchdog = watchdog();
    let ((program, file), (other, wrong)) = (quic("one"), quic("other"));
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    noise.set_write_timeout(Some(Duration::from_secs(100))).unwrap();
    for length in [1, 20, 1200] {
        noise.send_to(&crate::common::noise(length), program.socket_address()).unwrap();
    }
    let refused =
        run("quic", &["--certificate", wrong.to_str().unwrap(), "--connect", &program.address, "hello"]);
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(
        refused.complaints.contains("certificate") && refused.complaints.lines().count() == 1,
        "{refused:?}"
    );
    let args = ["--certificate", file.to_str().unwrap(), "--connect", &program.address, "hello"];
    assert_eq!(lines_of("quic", &args), ["hello"]);
    for (program, file) in [(program, file), (other, wrong)] {
        assert!(program.stop().is_empty());
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn quic_is_understood_by_python() {
    let _watchdog = watchdog();
    if !has_module("aioquic", "quic_is_understood_by_python") {
        return;
    }
    let (program, file) = quic("python");
    let port = program.socket_address().port().to_string();
    let python = Program::launch(Command::new("python3").args(["-c", PYTHON, &port, file.to_str().unwrap()]));
    assert_eq!(python.ended_well(), ["all came back"]);
    assert!(program.stop().is_empty());
    std::fs::remove_file(file).unwrap();
}
