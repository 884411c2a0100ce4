//! A server before it runs: its listener, its handler, and what a program may set.
//!
//! Contract. Everything has a default. Nothing is accepted before the server is awaited.
//!
//! What it does not know: how a server runs.

use std::fmt;
use std::future::Pending;
use std::io::{self, Write};
use std::time::Duration;

use super::accept::{Accept, Outcome};
use super::guest::{Guest, Peer};
use super::handler::{Handler, OnError, WithGuest};

/// How long handlers may go on after `until` is done, unless the program sets another time.
const GRACE: Duration = Duration::from_secs(10);

/// Accepts connections and runs `handler` for each, as a task of its own, until the future given to
/// [`until`](Serve::until) is done. The handler may return nothing or a `Result`.
///
/// ```
/// use roundel_net::{TcpListener, TcpStream, serve};
///
/// async fn shout(stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = [0; 100];
///     while let n @ 1.. = stream.read(&mut buffer).await? {
///         buffer.make_ascii_uppercase();
///         stream.write_all(&buffer[..n]).await?;
///     }
///     Ok(())
/// }
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = async move {
///         let stream = TcpStream::connect(address).await.unwrap();
///         stream.write_all(b"hello").await.unwrap();
///         let mut answer = [0; 5];
///         stream.read_exact(&mut answer).await.unwrap();
///         assert_eq!(&answer, b"HELLO");
///     };
///     let served = serve(listener, shout).until(client).await?;
///     assert_eq!(served.accepted, 1);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub fn serve<L, H, F>(listener: L, handler: H) -> Serve<L, H>
where
    L: Accept,
    H: Fn(L::Stream) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
{
    Serve::new(listener, handler)
}

/// As [`serve`], for a handler that also takes the [`Guest`]: the address of the peer, and the signal that the server is
/// stopping. A handler that waits for its peer's next request should also wait for that signal, or it holds up the end
/// for the whole [`grace`](Serve::grace) period.
///
/// ```
/// use roundel_net::io::Reader;
/// use roundel_net::serve::Guest;
/// use roundel_net::{TcpListener, TcpStream, serve_guests};
///
/// /// Answers each line with the address of the peer.
/// async fn who_am_i(stream: TcpStream, guest: Guest) -> std::io::Result<()> {
///     let mut lines = Reader::new(&stream);
///     // It ends when the peer ends, or when the server stops between two requests.
///     while let Ok(Some(_)) = guest.run(lines.read_line()).await.unwrap_or(Ok(None)) {
///         stream.write_all(format!("{}\n", guest.peer()).as_bytes()).await?;
///     }
///     Ok(())
/// }
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?);
///     let asked = async {
///         let stream = client.await.unwrap();
///         stream.write_all(b"?\n").await.unwrap();
///         let answer = Reader::new(&stream).read_line().await.unwrap().map(String::from);
///         assert_eq!(answer, Some(stream.local_addr().unwrap().to_string()));
///         stream // The connection stays open, and does not hold up the server.
///     };
///     let (stop, stopped) = roundel::channel::oneshot();
///     let server = serve_guests(listener, who_am_i).until(stopped);
///     let (served, _stream) = roundel::group::join!(server.into_future(), async {
///         let stream = asked.await;
///         let _ = stop.send(());
///         stream
///     });
///     assert_eq!(served?.cut_off, 0);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub fn serve_guests<L, H, F>(listener: L, handler: H) -> Serve<L, WithGuest<H>>
where
    L: Accept,
    H: Fn(L::Stream, Guest) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
{
    Serve::new(listener, WithGuest { handler })
}

impl<L, H> Serve<L, H> {
    pub(crate) fn new(listener: L, handler: H) -> Serve<L, H> {
        let report: Report = Box::new(|trouble| {
            // `eprintln` would panic if standard error is closed.
            let _ = writeln!(io::stderr(), "{trouble}");
        });
        let until = std::future::pending();
        Serve { listener, handler, until, settings: Settings::default(), report }
    }
}

/// A server that has not started: await it. See [`serve`].
#[must_use = "a server does nothing unless awaited"]
pub struct Serve<L, H, U = Pending<()>> {
    pub(super) listener: L,
    pub(crate) handler: H,
    pub(super) until: U,
    pub(super) settings: Settings,
    pub(super) report: Report,
}

/// What a program may set.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) max_connections: usize,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) grace: Duration,
    /// `None`: each connection is as the system makes it.
    pub(super) nodelay: Option<bool>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { max_connections: usize::MAX, idle_timeout: None, grace: GRACE, nodelay: None }
    }
}

pub(super) type Report = Box<dyn FnMut(&Trouble)>;

/// Why the server accepts no connections at present.
#[derive(Debug)]
pub struct Trouble {
    /// The error of `accept`.
    pub error: io::Error,
    /// How many connections are open.
    pub connections: usize,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { error, connections } = self;
        let open = if *connections == 1 { "connection is" } else { "connections are" };
        write!(f, "cannot accept: {error}; {connections} {open} open, new ones wait until one ends")
    }
}

impl<L, H, U> Serve<L, H, U> {
    /// Serves at most this many connections at once. Further ones wait in the kernel's queue.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        assert!(most > 0, "`max_connections` was given zero: the server could never accept a connection");
        self.settings.max_connections = most;
        self
    }

    /// Cancels the handler of a connection on which no byte has moved for this long, in either direction. The handler
    /// is cancelled at most an eighth of the time (or two milliseconds) late. Without this, or with `None`, a connection
    /// may be idle for ever.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into();
        let is_zero = self.settings.idle_timeout.is_some_and(|timeout| timeout.is_zero());
        assert!(!is_zero, "`idle_timeout` was given zero: every connection would be idle at once");
        self
    }

    /// Serves until this future is done. Then the server closes the listener, and the handlers have the time of
    /// [`grace`](Serve::grace) to end by themselves. A program usually gives `roundel::signal::shutdown` here.
    pub fn until<V: Future>(self, until: V) -> Serve<L, H, V> {
        let Serve { listener, handler, settings, report, .. } = self;
        Serve { listener, handler, until, settings, report }
    }

    /// How long the handlers may go on after [`until`](Serve::until) is done; then they are cancelled. The default is
    /// ten seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Whether the kernel sends small writes of a connection at once. See [`TcpStream::set_nodelay`]. Without this, the
    /// server does not touch the option. Connections of other kinds than TCP have no such option.
    ///
    /// [`TcpStream::set_nodelay`]: crate::TcpStream::set_nodelay
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = Some(nodelay);
        self
    }

    /// Calls `report` when a handler returns an error, with the address of its peer. Without this, the server only
    /// [counts](super::Served::failed) the errors. The connection is closed by then. If `report` panics, the handler counts as
    /// panicked.
    ///
    /// ```
    /// use roundel_net::{TcpListener, TcpStream, serve};
    ///
    /// async fn refuse(_: TcpStream) -> Result<(), String> {
    ///     Err("not today".into())
    /// }
    ///
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let address = listener.local_addr()?;
    ///     let client = async move { TcpStream::connect(address).await.unwrap().read(&mut [0]).await };
    ///     let report = |peer: &_, error: &String| println!("{peer}: {error}");
    ///     let served = serve(listener, refuse).on_error(report).until(client).await?;
    ///     assert_eq!(served.failed, 1);
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    pub fn on_error<R, T, E>(self, report: R) -> Serve<L, OnError<H, R>, U>
    where
        L: Accept,
        H: Handler<L::Stream, Output = Result<T, E>>,
        R: FnMut(&Peer, &E) + 'static,
    {
        let Serve { listener, handler, until, settings, report: trouble } = self;
        Serve { listener, handler: OnError::new(handler, report), until, settings, report: trouble }
    }

    /// Calls `report` when no connection can be accepted at present, at most once a second. By default, the server
    /// writes a line to standard error.
    pub fn on_trouble(mut self, report: impl FnMut(&Trouble) + 'static) -> Self {
        self.report = Box::new(report);
        self
    }
}

impl<L: fmt::Debug, H, U> fmt::Debug for Serve<L, H, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).finish_non_exhaustive()
    }
}
