//! When the bytes of a request arrived, by the kernel: a request that is read late is answered at the times that were meant all the same,
//! and the truth says so. It knows no HTTP.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::clock::now_ns;

/// An arrival longer ago than this is not believed: the wall clock was set.
const AGO_MAX_NS: i64 = 1_000_000_000;

/// Readings of both clocks: one that is interrupted is worth nothing.
const READINGS: usize = 2;

/// What a read brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// So many bytes; 0 at the end.
    pub(super) count: usize,
    /// When the last of them arrived by the monotonic clock; when they were read, where the kernel does not say.
    pub(super) arrived_ns: u64,
}

/// Has the kernel keep when bytes arrive. Where it cannot, the instants are those of the reads.
pub(super) fn ask_for_stamps(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
}

/// One read that does not wait.
pub(super) fn receive(socket: &impl AsFd, into: &mut [u8]) -> Result<Received, Errno> {
    let mut control = [0; 64];
    let mut buffers = [IoSliceMut::new(into)];
    let raw = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(raw, &mut buffers, Some(&mut control), MsgFlags::MSG_DONTWAIT)
        .map_err(|e| Errno::from_raw_os_error(e as i32))?;
    let stamped = message.cmsgs().ok().and_then(|mut told| {
        told.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(at) => Some(at),
            _ => None,
        })
    });
    let count = message.bytes;
    Ok(Received {
        count,
        arrived_ns: stamped.map_or_else(now_ns, monotonic_ns),
    })
}

/// The same instant by the monotonic clock: by the reading of both clocks that took least time.
fn monotonic_ns(at: TimeSpec) -> u64 {
    let readings = (0..READINGS).map(|_| {
        let before = now_ns();
        let ago = ago_ns(at);
        (now_ns() - before, before.saturating_sub(ago))
    });
    readings.min().map_or_else(now_ns, |(_, at)| at)
}

/// How long ago that was; 0 where it cannot be.
fn ago_ns(at: TimeSpec) -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let ago = (now.tv_sec - at.tv_sec())
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec - at.tv_nsec());
    u64::try_from(ago).ok().filter(|_| ago < AGO_MAX_NS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_read_late_arrived_when_it_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        ask_for_stamps(&server);
        let mut scratch = [0; 16];
        // The kernel begins to stamp a moment after it is first asked to.
        let stamped = (0..50).any(|_| {
            client.write_all(b"hello").unwrap();
            let sent = now_ns();
            thread::sleep(Duration::from_millis(5));
            let read = receive(&server, &mut scratch).unwrap();
            assert_eq!(read.count, 5);
            read.arrived_ns <= sent + 100_000
        });
        assert!(stamped, "no read has the instant of its arrival");
        drop(client);
        assert_eq!(receive(&server, &mut scratch).unwrap().count, 0);
    }

    #[test]
    fn an_arrival_that_cannot_be_is_the_read() {
        let now = clock_gettime(ClockId::Realtime);
        assert_eq!(ago_ns(TimeSpec::new(now.tv_sec + 5, 0)), 0);
        assert_eq!(ago_ns(TimeSpec::new(now.tv_sec - 5, 0)), 0);
        assert!(ago_ns(TimeSpec::new(now.tv_sec, now.tv_nsec)) > 0);
    }
}
