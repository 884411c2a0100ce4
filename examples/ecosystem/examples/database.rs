//! SQLite, which blocks. The new idea: a connection with a thread of its own, and an `await` for each call.
//!
//! Run it with `cargo run --release -p ecosystem --example database -- --file /tmp/notes.sqlite`, and then
//! `sqlite3 /tmp/notes.sqlite 'select * from notes'`.
//!
//! A query may wait for the disk, or count for a second. On the loop's thread it would stop all tasks. The calls of all
//! tasks queue for the one thread, which is what SQLite wants: it lets only one writer write at a time. A call that has
//! begun runs to its end, even if its task is cancelled, so no transaction is left half done.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use examples::args::{Args, end};
use examples::{loops, println};
use roundel::blocking::ThreadPool;
use roundel::group::{gather, select};
use roundel::time;
use rusqlite::{Connection, params};

const USAGE: &str = "\
usage: database [--file FILE] [--tasks N]
  --file   keeps the notes in this file (in memory, and gone at the end)
  --tasks  how many tasks write notes (10)";

/// Of each task.
const NOTES: usize = 10;
const MOST_TASKS: usize = 10_000;

/// A connection, and the thread that makes its calls.
struct Database {
    thread: ThreadPool,
    connection: Arc<Mutex<Connection>>,
}

impl Database {
    async fn open(file: String) -> io::Result<Database> {
        let thread = ThreadPool::new(1).named("sqlite");
        let name = file.clone();
        let opened = thread.run(move || Connection::open(name)).await.map_err(io::Error::other)?;
        let connection = opened.map_err(|error| io::Error::other(format!("{file}: {error}")))?;
        Ok(Database { thread, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Makes a call on the thread, and waits for its result.
    async fn call<F, T>(&self, work: F) -> io::Result<T>
    where
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let ours = Arc::clone(&self.connection);
        let called = self.thread.run(move || work(&mut ours.lock().unwrap_or_else(PoisonError::into_inner)));
        called.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

/// Writes some notes, all or none, and returns how many there are now.
async fn write(database: &Database, task: usize) -> io::Result<i64> {
    let work = move |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        for note in 0..NOTES {
            let text = format!("note {note} of task {task}");
            transaction.execute("insert into notes (text) values (?1)", params![text])?;
        }
        let count = transaction.query_row("select count(*) from notes", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(count)
    };
    database.call(work).await
}

/// Lets SQLite count, which takes a while, and counts the turns of the loop meanwhile.
async fn count_together(database: &Database) -> io::Result<(i64, u64)> {
    const LONG: &str = "with recursive n(i) as (values (1) union all select i + 1 from n where i < 300000) \
                        select count(*) from n";
    let ticks = Cell::new(0);
    let tick = async {
        loop {
            time::sleep(Duration::from_millis(1)).await;
            ticks.set(ticks.get() + 1);
        }
    };
    let counted = select! {
        counted = database.call(|connection| connection.query_row(LONG, [], |row| row.get(0))) => counted?,
        () = tick => unreachable!("the clock ticks on"),
    };
    Ok((counted, ticks.get()))
}

async fn run(file: String, tasks: usize) -> io::Result<()> {
    let database = Database::open(file).await?;
    let schema = "create table if not exists notes (id integer primary key, text text not null)";
    database.call(|connection| connection.execute_batch(schema)).await?;
    let counts = gather((0..tasks).map(|task| write(&database, task))).await;
    let most = counts.into_iter().collect::<io::Result<Vec<_>>>()?.into_iter().max();
    println!(
        "{tasks} tasks have written {} notes; there are {} now",
        tasks * NOTES,
        most.unwrap_or_default()
    );
    let (counted, ticks) = count_together(&database).await?;
    println!("while SQLite counted to {counted}, a task of the loop ran {ticks} times");
    Ok(())
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let file = args.value("--file", ":memory:".to_owned());
    let tasks = args.count("--tasks", 10);
    if tasks > MOST_TASKS {
        args.refuse(&format!("--tasks can be at most {MOST_TASKS}"));
    }
    args.finish();
    end(loops::one(run(file, tasks)))
}
