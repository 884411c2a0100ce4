//! A chat for browsers, with async-tungstenite. The new idea: a WebSocket is a stream of messages, and one task can wait
//! for a message and for a line of the room at the same time.
//!
//! Run it with `cargo run --release -p ecosystem --example websocket`, and open `http://127.0.0.1:7022/` in two windows.
//!
//! A browser asks for the page and for the socket at the same address (`src/upgrade.rs`). A guest that reads more slowly
//! than the others talk loses lines, and delays no other guest. After Ctrl-C the server tells each browser that it is
//! going away.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use ecosystem::upgrade::{Socket, shake_hands};
use examples::args::{Args, end};
use examples::chat_room::Room;
use examples::{loops, println};
use futures_util::StreamExt;
use roundel::channel::BroadcastError::{Closed, Lagged};
use roundel::group::select;
use roundel::{signal, time};
use roundel_net::serve::Guest;
use roundel_net::{TcpListener, TcpStream, serve_guests};

const USAGE: &str = "\
usage: websocket [--addr HOST:PORT] [--keep LINES]
  --addr  where to listen; port 0 is any free one (127.0.0.1:7022)
  --keep  how many lines late a guest may be before it loses any (100)";

const PAGE: &str = include_str!("chat.html");
const LONGEST_MESSAGE: usize = 4 << 10;
/// More guests wait until one leaves.
const MOST_GUESTS: usize = 1000;
/// How long a browser has for its request, and for its farewell.
const PATIENCE: Duration = Duration::from_secs(5);

/// The next text that the guest sends; `None` at the end.
async fn hear(socket: &mut Socket) -> Result<Option<String>, Error> {
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            return Ok(Some(text.replace(char::is_control, "").trim().to_owned()));
        }
    }
    Ok(None)
}

async fn chat(socket: &mut Socket, room: &Room) -> Result<(), Error> {
    // The first text that can be a name is the guest's name.
    socket.send("* your name?".into()).await?;
    let (guest, mut ears) = loop {
        let Some(name) = hear(socket).await? else { return Ok(()) };
        match room.enter(&name) {
            Ok(entered) => break entered,
            Err(why) => socket.send(format!("* {why}; your name?").into()).await?,
        }
    };
    socket.send(format!("* here are: {}", room.names()).into()).await?;
    // Then it hears what is said, its own words among it, and says what it likes.
    loop {
        select! {
            said = hear(socket) => match said? {
                Some(line) => guest.say(&line),
                None => return Ok(()),
            },
            heard = ears.recv() => match heard {
                Ok(said) => socket.send(said.line.trim_end().into()).await?,
                Err(Lagged(count)) => socket.send(format!("* you are slow: {count} lines are lost").into()).await?,
                Err(Closed) => return Ok(()),
            },
        }
    }
}

async fn visit(stream: TcpStream, guest: Guest, room: Rc<Room>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    // Between its connection and its request, a browser may take a while. The server does not wait for it at the end.
    let shaken = guest.run(time::timeout(PATIENCE, shake_hands(stream, PAGE, LONGEST_MESSAGE))).await;
    let Ok(Ok(shaken)) = shaken else { return Ok(()) };
    let Some(mut socket) = shaken? else { return Ok(()) };
    if let Ok(left) = guest.run(chat(&mut socket, &room)).await {
        return left;
    }
    // The server is stopping: say so, and wait until the guest has heard it.
    let farewell = CloseFrame { code: CloseCode::Away, reason: "the chat is over".into() };
    let part = async {
        socket.close(Some(farewell)).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    };
    time::timeout(PATIENCE, part).await.unwrap_or(Ok(()))
}

async fn run(addr: String, keep: usize) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Rc::new(Room::new(keep));
    let server = serve_guests(listener, move |stream, guest| visit(stream, guest, Rc::clone(&room)));
    server.max_connections(MOST_GUESTS).until(signal::shutdown()).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7022".to_owned());
    let keep = args.count("--keep", 100);
    args.finish();
    end(loops::one(run(addr, keep)))
}
