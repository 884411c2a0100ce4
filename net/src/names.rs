//! From a name to addresses.
//!
//! Facts. The system's resolver blocks: it reads files, and waits for servers for seconds. An address written out
//! needs no resolver.
//!
//! What follows. A literal address never leaves the loop; a name is looked up in a worker thread
//! ([`roundel::blocking`]). Dropping the future does not stop that thread, which ends by itself.
//!
//! What it does not know: what is done with the addresses.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use roundel::blocking::unblock;

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
    /// Understands it, without asking anybody.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is no address and no name with a port.
    fn target(&self) -> io::Result<Target>;
}

/// Where to: addresses that are known, or a name to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Known.
    Addresses(Vec<SocketAddr>),
    /// To be looked up.
    Name(String, u16),
}

impl Target {
    /// The addresses, from a worker thread if a name has to be looked up.
    ///
    /// # Errors
    ///
    /// Names the name, and says why it was not found.
    pub async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = match self {
            Target::Addresses(addresses) => return Ok(addresses),
            Target::Name(host, port) => (host, port),
        };
        let name = host.clone();
        let found = unblock(move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
        let found = found.unwrap_or_else(|error| Err(io::Error::other(error)));
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot look up {name}: {error}"));
        match found.map_err(failed)? {
            empty if empty.is_empty() => {
                Err(io::Error::new(ErrorKind::NotFound, format!("cannot look up {name}: it has no address")))
            }
            found => Ok(found),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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

/// The addresses of `name`, which has a port: `"localhost:80"` or `("localhost", 80)`.
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
/// Names the name, and says why it was not found.
pub async fn lookup_host(name: impl ToAddrs) -> io::Result<Vec<SocketAddr>> {
    name.target()?.resolve().await
}

impl ToAddrs for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.target();
        }
        let parts = self.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        match parts {
            Some((host, port)) if !host.is_empty() => (host, port).target(),
            _ => {
                let text = format!("`{self}` is no address: write HOST:PORT, for example 127.0.0.1:7000");
                Err(io::Error::new(ErrorKind::InvalidInput, text))
            }
        }
    }
}

impl ToAddrs for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl ToAddrs for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        match self.0.parse::<IpAddr>() {
            Ok(address) => (address, self.1).target(),
            Err(_) => Ok(Target::Name(self.0.to_owned(), self.1)),
        }
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
