//! From a name to addresses.
//!
//! Facts. The system's resolver blocks: it reads files, and may wait for a server for seconds. An address in
//! digits needs no resolver.
//!
//! What follows. An address in digits is parsed on the loop. A name is looked up by a thread of a separate
//! pool ([`roundel::blocking::ThreadPool`]), so that lookups and the program's own jobs do not wait for each
//! other. Dropping the future withdraws a lookup that has not begun. A lookup that has begun goes on in its
//! thread, and its result is dropped. The shutdown of a runtime does not wait for it.
//!
//! At most 16 names are looked up at a time for the loops of one thread; further ones wait. The threads are
//! started on demand, are called `roundel-names-N`, and end after ten idle seconds.
//!
//! Contract. A text is either understood, or refused with a sentence that says how to write it. There is no
//! guessing: `::1:80` might be an address with a port, or a longer address without one, so it is refused.
//!
//! | method | cancel safe |
//! |---|---|
//! | `resolve`, `lookup_host` | yes: there is nothing to lose |
//!
//! What it does not know: what the addresses are used for.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use roundel::blocking::ThreadPool;
use roundel::task::spend_budget;

/// How many names are looked up at a time. A waiting thread costs little, and a name that is in a file
/// should not wait for a slow server.
const LOOKUPS: usize = 16;

thread_local! {
    /// The pool for the loops of this thread, and the process that made it. A forked child does not have the
    /// threads, so it makes its own pool.
    static POOL: RefCell<Option<(u32, ThreadPool)>> = const { RefCell::new(None) };
}

fn pool() -> ThreadPool {
    POOL.with_borrow_mut(|pool| {
        let process = std::process::id();
        let (_, pool) = match pool.take() {
            Some(ours) if ours.0 == process => pool.insert(ours),
            _ => pool.insert((process, ThreadPool::new(LOOKUPS).named("roundel-names"))),
        };
        pool.clone()
    })
}

/// What can be connected to or listened on: addresses, or a name with a port.
///
/// ```
/// use roundel_net::ToAddrs;
///
/// assert_eq!("127.0.0.1:80".target().unwrap().to_string(), "127.0.0.1:80");
/// assert_eq!(("localhost", 80).target().unwrap().to_string(), "localhost:80");
/// assert!("localhost".target().is_err(), "a port is missing");
/// ```
pub trait ToAddrs {
    /// Parses it. This looks up nothing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is neither an address nor a name with a port.
    fn target(&self) -> io::Result<Target>;
}

/// Addresses, or a name that has to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The addresses are known.
    Addresses(Vec<SocketAddr>),
    /// A name and a port.
    Name(String, u16),
}

impl Target {
    /// The addresses. If this is a name, a thread looks it up.
    ///
    /// # Errors
    ///
    /// Says which name was not found, and why.
    pub async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        spend_budget().await;
        let (host, port) = match self {
            Target::Addresses(addresses) => return Ok(addresses),
            Target::Name(host, port) => (host, port),
        };
        // The resolver blocks, so a thread of the pool calls it.
        let name = host.clone();
        let found = pool().run(move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
        // A lookup that panicked counts as a failed one; so does one that finds no address.
        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(empty) if empty.is_empty() => {
                Err(LookupError { name, cause: io::Error::new(ErrorKind::NotFound, "it has no address") })
            }
            Ok(found) => Ok(found),
            Err(cause) => Err(LookupError { name, cause }),
        }
        .map_err(|error| io::Error::new(error.cause.kind(), error))
    }

    /// The result of the first address for which `attempt` succeeds, or else the last error.
    pub(crate) async fn first<T>(self, attempt: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
        let mut failed = None;
        for address in self.resolve().await? {
            match attempt(address) {
                Ok(found) => return Ok(found),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
    }
}

/// A name that was not found, and the resolver's error.
#[derive(Debug)]
struct LookupError {
    name: String,
    cause: io::Error,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look up {}: {}", self.name, self.cause)?;
        match self.name.is_ascii() {
            true => Ok(()),
            false => f.write_str(" (most resolvers need such a name in ASCII: its `xn--` form)"),
        }
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Target::Name(host, port) => write!(f, "{host}:{port}"),
            Target::Addresses(addresses) => {
                for (index, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

/// The addresses of `name`, which includes a port: `"localhost:80"` or `("localhost", 80)`.
///
/// ```
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let found = roundel_net::lookup_host("127.0.0.1:80").await?;
///     assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
///
/// # Errors
///
/// Says which name was not found, and why.
pub async fn lookup_host(name: impl ToAddrs) -> io::Result<Vec<SocketAddr>> {
    name.target()?.resolve().await
}

impl ToAddrs for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.target();
        }
        let (host, port) = split(self).map_err(|why| refused(self, why))?;
        named(host, port).map_err(|why| refused(self, why))
    }
}

/// Splits `HOST:PORT`, where a host with colons is in brackets.
fn split(text: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').ok_or(PORTLESS)?),
        None if text.parse::<Ipv6Addr>().is_ok() => return Err(BRACKETLESS),
        None => text.rsplit_once(':').ok_or(PORTLESS)?,
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PORTLESS);
    }
    match (text.starts_with('['), host.contains(':')) {
        (false, true) => Err(BRACKETLESS),
        (true, false) => Err("only an IPv6 address is written in brackets"),
        _ => Ok((host, port.parse().map_err(|_| "a port is at most 65535")?)),
    }
}

const PORTLESS: &str = "write HOST:PORT, for example 127.0.0.1:7000";
const BRACKETLESS: &str = "an IPv6 address with a port is written in brackets, for example [::1]:7000";

fn named(host: &str, port: u16) -> Result<Target, &'static str> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Target::Addresses(vec![SocketAddr::new(address, port)]));
    }
    // With `%`, this is an address on one network interface. Only the resolver can translate the interface's
    // name.
    let is_scoped = host.split_once('%').is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok());
    if host.is_empty() {
        Err("it has no host; to listen on all addresses, write 0.0.0.0 or [::]")
    } else if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Err("a host has no spaces or control characters")
    } else if host.contains(['[', ']', '/', '@']) || host.contains(':') && !is_scoped {
        Err("this is not a host: write a name or an address, without brackets, user or path")
    } else {
        Ok(Target::Name(host.to_owned(), port))
    }
}

fn refused(text: &str, why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("`{}` is not an address: {why}", text.escape_debug()))
}

impl ToAddrs for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl ToAddrs for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        named(self.0, self.1).map_err(|why| refused(self.0, why))
    }
}

impl ToAddrs for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).target()
    }
}

impl ToAddrs for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addresses(self.to_vec()))
    }
}

impl<const N: usize> ToAddrs for [SocketAddr; N] {
    fn target(&self) -> io::Result<Target> {
        self.as_slice().target()
    }
}

impl ToAddrs for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Target> {
        self.as_slice().target()
    }
}

impl ToAddrs for Target {
    fn target(&self) -> io::Result<Target> {
        Ok(self.clone())
    }
}

impl<T: ToAddrs + ?Sized> ToAddrs for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

macro_rules! one_address {
    ($($kind:ty),*) => {$(
        impl ToAddrs for $kind {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addresses(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

one_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        let error = text.target().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        error.to_string()
    }

    #[test]
    fn literals_are_known_and_names_are_not() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%3]:80", "0.0.0.0:0"] {
            assert_eq!(text.target().unwrap(), text.parse::<SocketAddr>().unwrap().target().unwrap());
        }
        assert_eq!("localhost:80".target().unwrap(), Target::Name("localhost".into(), 80));
        assert_eq!(("::1", 80).target().unwrap(), "[::1]:80".target().unwrap());
        assert_eq!("[fe80::1%eth0]:80".target().unwrap(), Target::Name("fe80::1%eth0".into(), 80));
        assert_eq!("[fe80::1%eth0]:80".target().unwrap().to_string(), "[fe80::1%eth0]:80");
    }

    #[test]
    fn what_the_standard_library_takes_is_taken() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let address = SocketAddr::new(here, 80);
        let one = Target::Addresses(vec![address]);
        let IpAddr::V4(four) = here else { unreachable!() };
        let all: [&dyn ToAddrs; 12] = [
            &address,
            &"127.0.0.1:80",
            &String::from("127.0.0.1:80"),
            &("127.0.0.1", 80),
            &(String::from("127.0.0.1"), 80),
            &(here, 80),
            &(four, 80),
            &SocketAddrV4::new(four, 80),
            &[address],
            &&[address][..],
            &vec![address],
            &one,
        ];
        for target in all {
            assert_eq!(target.target().unwrap(), one);
        }
    }

    #[test]
    fn a_refusal_says_how_to_write_it() {
        for text in ["::1", "::1:80", "fe80::1", "a:b:80"] {
            assert!(refusal(text).contains("[::1]:7000"), "{}", refusal(text));
        }
        for text in [
            "localhost",
            "localhost:",
            "localhost:+80",
            "localhost:http",
            "[::1]",
            "[::1]80",
            "",
            "80",
            "a:-1",
        ] {
            assert!(refusal(text).contains("HOST:PORT"), "{}", refusal(text));
        }
        for text in ["localhost:65536", "localhost:99999999999999999999", "[::1]:70000"] {
            assert!(refusal(text).contains("65535"), "{}", refusal(text));
        }
        assert!(refusal(":80").contains("no host"));
        for text in [" localhost:80", "local host:80", "a\0b:80", "localhost\n:80"] {
            assert!(refusal(text).contains("spaces or control"), "{}", refusal(text));
            assert!(!refusal(text).contains(['\n', '\0']), "it can be printed");
        }
        for text in ["[localhost]:80", "[127.0.0.1]:80", "http://a:80", "me@host:80", "a]:80"] {
            refusal(text);
        }
        assert!(("[::1]", 80).target().is_err() && ("", 80).target().is_err());
        assert!(("a:b", 80).target().is_err() && ("a b", 80).target().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// An address is understood as the standard library understands it, and the printed form of a target
        /// is understood as the same target.
        #[test]
        fn no_text_is_a_panic(text in "\\PC*|[\\[\\]:%.0-9a-f ]{0,20}|[a-z\u{fc}.]{0,9}:[0-9]{0,6}") {
            match text.as_str().target() {
                Ok(target) => prop_assert_eq!(target.to_string().target().unwrap(), target),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidInput),
            }
            if let Ok(address) = text.parse::<SocketAddr>() {
                prop_assert_eq!(text.as_str().target().unwrap(), Target::Addresses(vec![address]));
            }
        }
    }
}
