//! Names to addresses, and non-blocking connections over TCP and Unix domain sockets. Keeps no pool.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt,
};

use crate::WireError;

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP to an address and port.
    Tcp(SocketAddr),
    /// A Unix domain socket, by its path.
    Unix(PathBuf),
    /// A server that exists only in this process.
    Inner,
}

impl Peer {
    /// Whether it is reached without leaving this machine. An IPv4 address may be written as IPv6.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Inner => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }

    /// The port; `None` where there is none.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) | Self::Inner => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inner => f.write_str("this process"),
        }
    }
}

/// The addresses of a host, IPv4 first, as the resolver gives them. Blocks, but no longer than `timeout`: a
/// resolver that hangs is left behind on its own thread.
pub fn resolve_blocking(host: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, WireError> {
    let fail = |why: String| WireError::Unresolved {
        host: host.to_owned(),
        why,
    };
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    thread::Builder::new()
        .name("prony-resolve".to_owned())
        .spawn(move || {
            // The receiver may have given up; its answer is then of no use to anyone.
            let _ = sender.send(
                (name.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect::<Vec<_>>),
            );
        })
        .map_err(|e| fail(e.to_string()))?;
    let mut found = match receiver.recv_timeout(timeout) {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => return Err(fail(e.to_string())),
        Err(_) => return Err(fail(format!("no answer from the resolver within {timeout:?}"))),
    };
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    if found.is_empty() {
        Err(fail("it has no address".to_owned()))
    } else {
        Ok(found)
    }
}

/// Starts a connection, from the address `source` when one is given. It is made, or has failed, when the descriptor
/// becomes writable: ask [`finished`]. On a Unix domain socket whose queue is full nothing will tell: call [`again`]
/// from time to time.
pub fn start(peer: &Peer, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    match peer {
        Peer::Tcp(address) => {
            let family = family(address.ip());
            let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
            sockopt::set_tcp_nodelay(&fd, true)?;
            if let Some(source) = source {
                bind(&fd, &SocketAddr::new(source, 0))?;
            }
            match connect(&fd, address) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
                Err(e) => Err(e),
            }
        }
        Peer::Unix(path) => {
            let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            match connect(&fd, &SocketAddrUnix::new(path)?) {
                Ok(()) | Err(Errno::AGAIN) => Ok(fd),
                Err(e) => Err(e),
            }
        }
        // There is nothing to open: see `Stream::dial`.
        Peer::Inner => Err(Errno::DESTADDRREQ),
    }
}

/// Knocks once more at a Unix domain socket whose queue was full; whether the connection is made. Over TCP the kernel
/// does that by itself, and this only asks.
pub fn again(fd: impl AsFd, peer: &Peer) -> Result<bool, Errno> {
    if let Peer::Unix(path) = peer {
        return match connect(&fd, &SocketAddrUnix::new(path)?) {
            Ok(()) | Err(Errno::ISCONN) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(e) => Err(e),
        };
    }
    finished(fd)
}

/// Whether a started connection is made (`true`), still on its way (`false`), or failed.
pub fn finished(fd: impl AsFd) -> Result<bool, Errno> {
    sockopt::socket_error(&fd)??;
    match rustix::net::getpeername(&fd) {
        Ok(peer) => Ok(peer.is_some()),
        Err(Errno::NOTCONN) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether connections may start from this address: it must be one of this machine's.
pub fn can_start_from(source: IpAddr) -> Result<(), Errno> {
    let fd = socket_with(
        family(source),
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )?;
    bind(&fd, &SocketAddr::new(source, 0))
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    }
}

/// Whether an error means that this machine ran out of something: ports, descriptors, memory.
pub fn is_local_exhaustion(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM
    )
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::{Peer, again, can_start_from, finished, is_local_exhaustion, resolve_blocking, start};
    use rustix::io::Errno;

    /// Starts a connection and asks until it is made or has failed.
    fn made(peer: &Peer, source: Option<IpAddr>) -> Result<std::os::fd::OwnedFd, Errno> {
        let fd = start(peer, source)?;
        while !finished(&fd)? {
            std::thread::yield_now();
        }
        Ok(fd)
    }

    #[test]
    fn loopback_resolves_and_nonsense_does_not() {
        let found = resolve_blocking("127.0.0.1", 80, Duration::from_secs(5)).unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback()));
        assert!(resolve_blocking("no such host", 80, Duration::from_secs(5)).is_err());
    }

    #[test]
    fn connects_or_says_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::from(listener.local_addr().unwrap());
        assert!(made(&peer, None).is_ok());
        drop(listener);
        assert_eq!(made(&peer, None).unwrap_err(), Errno::CONNREFUSED);
    }

    #[test]
    fn starts_from_the_address_it_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::from(listener.local_addr().unwrap());
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
        let _fd = made(&peer, Some(source)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), source);
        // An address of nobody here (TEST-NET-1, RFC 5737).
        let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let error = start(&peer, Some(foreign)).unwrap_err();
        assert!(is_local_exhaustion(error), "{error}");
        assert!(can_start_from(source).is_ok());
        assert_eq!(can_start_from(foreign), Err(Errno::ADDRNOTAVAIL));
    }

    #[test]
    fn unix_sockets_connect_or_say_why_not() {
        let path = std::env::temp_dir().join(format!("prony-dial-{}.sock", std::process::id()));
        let peer = Peer::Unix(path.clone());
        assert_eq!(start(&peer, None).unwrap_err(), Errno::NOENT);
        let listener = UnixListener::bind(&path).unwrap();
        assert!(made(&peer, None).is_ok());
        drop(listener);
        assert_eq!(start(&peer, None).unwrap_err(), Errno::CONNREFUSED);
        std::fs::remove_file(&path).unwrap();
        let long = Peer::Unix("/run/x".repeat(40).into());
        assert_eq!(start(&long, None).unwrap_err(), Errno::NAMETOOLONG);
    }

    #[test]
    fn a_full_queue_is_knocked_at_again() {
        let path = std::env::temp_dir().join(format!("prony-queue-{}.sock", std::process::id()));
        let peer = Peer::Unix(path.clone());
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let unix = rustix::net::AddressFamily::UNIX;
        let listener = rustix::net::socket_with(unix, rustix::net::SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut started: Vec<_> = (0..3).map(|_| start(&peer, None).unwrap()).collect();
        let waiting = started.pop().unwrap();
        assert_eq!(finished(&waiting), Ok(false));
        assert_eq!(again(&waiting, &peer), Ok(false));
        while !again(&waiting, &peer).unwrap() {
            drop(rustix::net::accept(&listener).unwrap());
        }
        assert_eq!(finished(&waiting), Ok(true));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn here_is_loopback_and_unix() {
        let tcp = |text: &str| Peer::Tcp(text.parse::<SocketAddr>().unwrap());
        for here in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(tcp(here).is_here(), "{here}");
        }
        for away in [
            "192.0.2.1:1",
            "[2001:db8::1]:1",
            "0.0.0.0:1",
            "[::ffff:192.0.2.1]:1",
        ] {
            assert!(!tcp(away).is_here(), "{away}");
        }
        let unix = Peer::Unix("/run/app.sock".into());
        assert!(unix.is_here() && unix.port().is_none());
        assert_eq!(unix.to_string(), "unix:/run/app.sock");
        assert_eq!(tcp("[::1]:80").to_string(), "[::1]:80");
    }
}
