//! Who listens on a port of this machine.

use std::collections::BTreeSet;

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, all_processes};

/// The process that listens on a local TCP port: of a server with several, the one that started first. `None` when
/// nobody does or its descriptors may not be read.
pub fn listening_pid(port: u16) -> Option<u32> {
    let entries = tcp().into_iter().chain(tcp6()).flatten();
    let listens =
        |e: &procfs::net::TcpNetEntry| e.state == TcpState::Listen && e.local_address.port() == port;
    let inodes: BTreeSet<u64> = entries.filter(listens).map(|e| e.inode).collect();
    if inodes.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    for process in all_processes().ok()?.flatten() {
        let Ok(mut fds) = process.fd() else { continue };
        let holds = fds.any(
            |fd| matches!(fd.map(|fd| fd.target), Ok(FDTarget::Socket(inode)) if inodes.contains(&inode)),
        );
        if holds && let Ok(stat) = process.stat() {
            found.push((stat.starttime, process.pid));
        }
    }
    found
        .into_iter()
        .min()
        .and_then(|(_, pid)| u32::try_from(pid).ok())
}

#[cfg(test)]
mod tests {
    use super::listening_pid;

    #[test]
    fn finds_the_listener_and_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_pid(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_pid(port), None);
    }
}
