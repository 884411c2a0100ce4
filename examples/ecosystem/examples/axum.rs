//! A small service with axum: routes, JSON, and state. The new idea: axum asks that handlers and their futures are `Send`.
//! A wrapper says that they are, because they stay on this thread, and checks it.
//!
//! Run it with `cargo run --release -p ecosystem --example axum`, and then
//!
//! - `curl --json '{"text":"milk"}' http://127.0.0.1:7023/notes` to write a note,
//! - `curl http://127.0.0.1:7023/notes` for all notes, `curl http://127.0.0.1:7023/notes/1` for one,
//! - `curl http://127.0.0.1:7023/next` in another terminal to wait for the next note.
//!
//! The state is in an `Rc` with a `RefCell`. A handler that awaits something of roundel has a future that is not `Send`,
//! so that future is wrapped, too. axum comes without its feature `tokio`; `serve_http` takes the place of `axum::serve`.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use examples::args::{Args, end};
use examples::goodbye::shutdown_token;
use examples::{loops, println};
use hyper_util::service::TowerToHyperService;
use roundel::LoopBound;
use roundel::cancel::CancelToken;
use roundel::sync::Notify;
use roundel_net::TcpListener;
use roundel_net::hyper::serve_http;
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
usage: axum [--addr HOST:PORT]
  --addr  where to listen; port 0 is any free one (127.0.0.1:7023)";

/// More notes are refused.
const MOST_NOTES: usize = 1000;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Note {
    text: String,
}

#[derive(Debug)]
struct Board {
    notes: RefCell<Vec<Note>>,
    written: Notify,
    /// Cancelled when the server stops.
    stop: CancelToken,
}

/// What the handlers get: `Send`, and usable only on the thread of the loop.
type Shared = State<LoopBound<Rc<Board>>>;

async fn all(State(board): Shared) -> Json<Vec<Note>> {
    Json(board.get().notes.borrow().clone())
}

async fn one(State(board): Shared, Path(number): Path<usize>) -> Result<Json<Note>, StatusCode> {
    let note = number.checked_sub(1).and_then(|index| board.get().notes.borrow().get(index).cloned());
    note.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn write(State(board): Shared, Json(note): Json<Note>) -> Result<(StatusCode, String), StatusCode> {
    let board = board.get();
    if board.notes.borrow().len() == MOST_NOTES {
        return Err(StatusCode::INSUFFICIENT_STORAGE);
    }
    board.notes.borrow_mut().push(note);
    board.written.notify_all();
    Ok((StatusCode::CREATED, format!("/notes/{}\n", board.notes.borrow().len())))
}

/// Waits for the next note; if the server stops, there is none. The futures that it awaits belong to the loop, so they have
/// to be wrapped.
async fn next(State(board): Shared) -> Json<Option<Note>> {
    let board = board.get();
    let wait = async move {
        board.stop.run(board.written.notified()).await.ok()?;
        board.notes.borrow().last().cloned()
    };
    Json(LoopBound::new(wait).await)
}

async fn run(addr: String) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let (stop, told) = shutdown_token();
    let board = Board { notes: RefCell::default(), written: Notify::new(), stop };
    let routes = Router::new()
        .route("/notes", get(all).post(write))
        .route("/notes/{number}", get(one))
        .route("/next", get(next))
        .with_state(LoopBound::new(Rc::new(board)));
    let server = serve_http(listener, TowerToHyperService::new(routes));
    server.until(told).await.map(drop)
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let addr = args.value("--addr", "127.0.0.1:7023".to_owned());
    args.finish();
    end(loops::one(run(addr)))
}
