//! Names to addresses, and non-blocking TCP connections. Retries nothing and keeps no pool.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use crate::WireError;

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

/// Starts a connection. It is made, or has failed, when the descriptor becomes writable: ask [`finished`].
pub fn start(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    match connect(&fd, address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(e) => Err(e),
    }
}

/// Whether a started connection is made (`true`), still on its way (`false`), or failed.
pub fn finished(fd: &OwnedFd) -> Result<bool, Errno> {
    sockopt::socket_error(fd)??;
    match rustix::net::getpeername(fd) {
        Ok(peer) => Ok(peer.is_some()),
        Err(Errno::NOTCONN) => Ok(false),
        Err(e) => Err(e),
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
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{finished, resolve_blocking, start};
    use rustix::io::Errno;

    #[test]
    fn loopback_resolves_and_nonsense_does_not() {
        let found = resolve_blocking("127.0.0.1", 80, Duration::from_secs(5)).unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback()));
        assert!(resolve_blocking("no such host", 80, Duration::from_secs(5)).is_err());
    }

    #[test]
    fn connects_or_says_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fd = start(&address).unwrap();
        while !finished(&fd).unwrap() {
            std::thread::yield_now();
        }
        drop(listener);
        let outcome = start(&address).and_then(|fd| {
            loop {
                if finished(&fd)? {
                    return Ok(());
                }
            }
        });
        assert_eq!(outcome, Err(Errno::CONNREFUSED));
    }
}
