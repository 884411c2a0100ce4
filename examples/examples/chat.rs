//! A chat: everyone hears every line. The new idea is the broadcast channel, and what it does with slow receivers.
//!
//! Run it with `cargo run --release --example chat`, then `nc 127.0.0.1 7003` in two terminals. Give each a name, and
//! talk.
//!
//! Each guest has one task that does two things at once: it reads what the guest says and sends it to the channel, and
//! it receives what others have said and writes it to the guest. `send` never waits. A guest that reads more slowly
//! than the others talk falls behind. If it falls behind by more than the channel keeps, it is told how many lines it
//! has lost. It delays no other guest.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use examples::args::{Args, end};
use examples::chat_room::{Ears, Guest, Room};
use examples::goodbye::{goodbye, shutdown_token};
use examples::{loops, println};
use roundel::channel::BroadcastError::{Closed, Lagged};
use roundel::group::select;
use roundel_net::io::{Buffers, ReadError, Reader};
use roundel_net::{TcpListener, TcpStream, serve};

const USAGE: &str = "\
usage: chat [--addr HOST:PORT] [--keep LINES] [--max-connections N]
  --addr             where to listen; port 0 is any free one (127.0.0.1:7003)
  --keep             how many lines late a guest may be before it loses any (100)
  --max-connections  more wait until one ends (1000)";

/// Longer lines are cut.
const LONGEST_LINE: usize = 1000;

/// The next line, without characters that could play tricks on other terminals; `None` at the end.
async fn hear(lines: &mut Reader<&TcpStream>) -> io::Result<Option<String>> {
    let line = match lines.read_line().await {
        Ok(None) => return Ok(None),
        Ok(Some(line)) => line.to_owned(),
        Err(ReadError::LimitExceeded { partial, .. }) => format!("{}…", String::from_utf8_lossy(&partial)),
        Err(ReadError::NotUtf8 { line, .. }) => String::from_utf8_lossy(&line).into(),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(line.replace(char::is_control, "").trim().to_owned()))
}

async fn write(stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await
}

/// Asks for a name until it gets one that can be used.
async fn greet<'a>(lines: &mut Reader<&TcpStream>, room: &'a Room) -> io::Result<Option<(Guest<'a>, Ears)>> {
    write(lines.get_ref(), "* your name?\n").await?;
    while let Some(name) = hear(lines).await? {
        match room.enter(&name) {
            Ok(entered) => return Ok(Some(entered)),
            Err(why) => write(lines.get_ref(), &format!("* {why}; your name?\n")).await?,
        }
    }
    Ok(None)
}

/// Writes what is said to the guest.
async fn tell(guest: &Guest<'_>, mut ears: Ears, stream: &TcpStream) -> io::Result<()> {
    write(stream, &format!("* here are: {}\n", guest.room.names())).await?;
    loop {
        match ears.recv().await {
            Ok(said) if said.by == guest.name => {}
            Ok(said) => write(stream, &said.line).await?,
            Err(Lagged(count)) => write(stream, &format!("* you are slow: {count} lines are lost\n")).await?,
            Err(Closed) => return Ok(()),
        }
    }
}

async fn visit(stream: &TcpStream, room: &Room, buffers: &Buffers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = Reader::new(stream).with_limit(LONGEST_LINE).sharing(buffers);
    let Some((guest, ears)) = greet(&mut lines, room).await? else { return Ok(()) };
    let listen = async {
        while let Some(line) = hear(&mut lines).await? {
            guest.say(&line);
        }
        Ok(()) // Our guest has hung up.
    };
    select! {
        left = listen => left,
        gone = tell(&guest, ears, stream) => gone,
    }
}

async fn run(addr: String, keep: usize, most: usize) -> io::Result<()> {
    let (listener, (stop, told)) = (TcpListener::bind(addr).await?, shutdown_token());
    println!("listening on {}", listener.local_addr()?);
    let (room, buffers) = (Rc::new(Room::new(keep)), Buffers::default());
    let handler = move |stream: TcpStream| {
        let (room, buffers, stop) = (Rc::clone(&room), buffers.clone(), stop.clone());
        async move {
            match stop.run(visit(&stream, &room, &buffers)).await {
                Ok(visited) => visited?,
                Err(_) => write(&stream, "* the chat is over\n").await?,
            }
            goodbye(stream, &buffers).await;
            io::Result::Ok(())
        }
    };
    let serving = serve(listener, handler).max_connections(most).grace(Duration::from_secs(3));
    serving.until(told).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7003".to_owned());
    let keep = args.count("--keep", 100);
    let most = args.count("--max-connections", 1000);
    args.finish();
    end(loops::one(run(addr, keep, most)))
}
