//! When bytes arrived, by the kernel: reads that bring the instant at which the last segment they took reached this machine,
//! and that instant on the run's clock. Knows no HTTP, and does not decide whether an instant can be believed.
//!
//! The kernel stamps segments with `CLOCK_REALTIME` (`SO_TIMESTAMPNS`, timestamping.rst). What lies between that clock and
//! ours changes only when somebody sets the time: a slewed clock takes ours along. So the difference is read every few
//! milliseconds, the narrowest reading counts, and after a step no stamp is taken for a second.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use prony_model::Nanos;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::Clock;

/// How often the two clocks are compared, at most.
const RENEWED_EVERY: Nanos = Nanos(5_000_000);

/// Readings per comparison: one that is interrupted is worth nothing.
const READINGS: usize = 3;

/// A comparison that took longer than this tells nothing.
const WIDTH_MAX: Nanos = Nanos(20_000);

/// What two comparisons may differ by beyond their widths.
const ROUNDING_NS: i64 = 100;

/// How long no stamp is taken after a step of the clock.
const DISTRUST: Nanos = Nanos(1_000_000_000);

/// The instants of what was read last, for one thread.
#[derive(Debug)]
pub struct Arrivals {
    clock: Clock,
    /// Room for the kernel's message.
    control: Vec<u8>,
    /// What the last read brought, on the kernel's clock.
    latest_ns: Option<i64>,
    offset: Offset,
    /// Keeps stamping switched on in the kernel: it is switched off with the last socket that asks for it, and on again some
    /// time after the next one asks.
    _keeper: Option<UdpSocket>,
}

impl Arrivals {
    /// For reads on this clock, which must be a real one.
    pub fn new(clock: Clock) -> Self {
        let keeper = UdpSocket::bind("127.0.0.1:0").ok();
        if let Some(keeper) = &keeper {
            ask_for_stamps(keeper);
        }
        let mut arrivals = Self {
            clock,
            control: nix::cmsg_space!(TimeSpec),
            latest_ns: None,
            offset: Offset::default(),
            _keeper: keeper,
        };
        arrivals.compare();
        arrivals
    }

    /// When what the last read brought arrived, by the kernel; `None` where it does not say. The read returned at `read`.
    /// May be wrong where the time was set a moment ago.
    pub fn latest(&mut self, read: Nanos) -> Option<Nanos> {
        let real_ns = self.latest_ns?;
        if read - self.offset.compared > RENEWED_EVERY {
            self.compare();
        }
        self.offset.instant(real_ns, read)
    }

    /// Forgets the last read.
    pub(crate) fn forget(&mut self) {
        self.latest_ns = None;
    }

    /// One read of a stream socket; 0 bytes at its end.
    pub(crate) fn receive(&mut self, socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.latest_ns = None;
        let mut buffers = [IoSliceMut::new(buffer)];
        let raw = socket.as_fd().as_raw_fd();
        let message = recvmsg::<()>(raw, &mut buffers, Some(&mut self.control), MsgFlags::empty())
            .map_err(|e| Errno::from_raw_os_error(e as i32))?;
        if let Ok(mut told) = message.cmsgs() {
            self.latest_ns = told.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(at) => Some(
                    at.tv_sec()
                        .saturating_mul(1_000_000_000)
                        .saturating_add(at.tv_nsec()),
                ),
                _ => None,
            });
        }
        Ok(message.bytes)
    }

    fn compare(&mut self) {
        let mut best: Option<Pair> = None;
        for _ in 0..READINGS {
            let before = self.clock.now();
            let real_ns = real_ns();
            let after = self.clock.now();
            let pair = Pair {
                before,
                real_ns,
                after,
            };
            if best.is_none_or(|best| pair.width() < best.width()) {
                best = Some(pair);
            }
        }
        if let Some(best) = best {
            self.offset.compared_at(best);
        }
    }
}

/// Has the kernel say when what is read arrived. Where it cannot, reads just do not say.
pub(crate) fn ask_for_stamps(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
}

/// A socket as a source of bytes, with the instants of what it brings.
pub(crate) struct Stamped<'a, S>(pub(crate) &'a S, pub(crate) &'a mut Arrivals);

impl<S: AsFd> io::Read for Stamped<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1
            .receive(self.0, buffer)
            .map_err(|e| io::Error::from_raw_os_error(e.raw_os_error()))
    }
}

fn real_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

/// The kernel's clock between two readings of ours.
#[derive(Clone, Copy, Debug)]
struct Pair {
    before: Nanos,
    real_ns: i64,
    after: Nanos,
}

impl Pair {
    fn width(self) -> Nanos {
        self.after - self.before
    }
}

/// What lies between the two clocks.
#[derive(Clone, Copy, Debug, Default)]
struct Offset {
    /// The kernel's clock less ours, and how wide the reading was that says so; `None` before the first.
    known: Option<(i64, i64)>,
    compared: Nanos,
    /// Since when stamps can be believed again.
    trusted_from: Nanos,
}

impl Offset {
    fn compared_at(&mut self, pair: Pair) {
        self.compared = pair.after;
        if pair.width() > WIDTH_MAX {
            return;
        }
        let width = pair.width().0.cast_signed();
        let offset = pair.real_ns - pair.before.0.cast_signed() - width / 2;
        match self.known {
            None => self.known = Some((offset, width)),
            Some((known, known_width)) => {
                let stepped = (offset - known).abs() > i64::midpoint(width, known_width) + ROUNDING_NS;
                if stepped {
                    self.trusted_from = pair.after + DISTRUST;
                }
                if stepped || width < known_width {
                    self.known = Some((offset, width));
                }
            }
        }
    }

    fn instant(&self, real_ns: i64, read: Nanos) -> Option<Nanos> {
        let (offset, _) = self.known?;
        let at = u64::try_from(real_ns.checked_sub(offset)?).ok()?;
        (read >= self.trusted_from).then_some(Nanos(at))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use prony_model::Nanos;

    use super::{Arrivals, DISTRUST, Offset, Pair, WIDTH_MAX, ask_for_stamps};
    use crate::Clock;

    /// A pair at `at`, when the kernel's clock is ahead by `offset_ns`.
    fn pair(at: u64, width: u64, offset_ns: i64) -> Pair {
        Pair {
            before: Nanos(at),
            real_ns: (at + width / 2).cast_signed() + offset_ns,
            after: Nanos(at + width),
        }
    }

    #[test]
    fn the_narrowest_comparison_counts() {
        let mut offset = Offset::default();
        assert_eq!(offset.instant(5, Nanos(9)), None, "nothing is known yet");
        offset.compared_at(pair(1_000, WIDTH_MAX.0 + 1, 77));
        assert_eq!(
            offset.instant(5, Nanos(9)),
            None,
            "too wide a reading tells nothing"
        );
        offset.compared_at(pair(1_000, 600, 1_000_000));
        offset.compared_at(pair(9_000, 40, 1_000_100));
        offset.compared_at(pair(20_000, 900, 999_800));
        assert_eq!(offset.instant(1_050_100, Nanos(60_000)), Some(Nanos(50_000)));
    }

    #[test]
    fn no_stamp_is_taken_after_a_step() {
        for step in [3_600_000_000_000, -37_000, 900] {
            let mut offset = Offset::default();
            offset.compared_at(pair(1_000, 40, 1_000_000));
            let stepped = pair(10_000_000, 40, 1_000_000 + step);
            offset.compared_at(stepped);
            let real = |at: u64| at.cast_signed() + 1_000_000 + step;
            assert_eq!(
                offset.instant(real(11_000_000), Nanos(11_000_000)),
                None,
                "{step}"
            );
            let later = stepped.after + DISTRUST;
            assert_eq!(offset.instant(real(later.0), later), Some(later), "{step}");
        }
    }

    #[test]
    fn instants_beyond_all_reason_are_none() {
        let mut offset = Offset::default();
        offset.compared_at(pair(1_000, 40, 1_000_000));
        for real in [i64::MIN, -1, 0] {
            assert_eq!(offset.instant(real, Nanos(9)), None);
        }
    }

    #[test]
    fn a_late_read_tells_when_the_bytes_arrived() {
        let clock = Clock::since(Instant::now());
        let mut arrivals = Arrivals::new(clock);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ask_for_stamps(&client);
        let (mut server, _) = listener.accept().unwrap();
        let mut buffer = [0; 16];
        let mut told = 0;
        // The kernel begins to stamp some time after it was asked to; and no comparison of the clocks may be narrow enough for a while.
        for _ in 0..1000 {
            let before = clock.now();
            server.write_all(b"token").unwrap();
            let after = clock.now();
            thread::sleep(Duration::from_millis(3));
            assert_eq!(arrivals.receive(&client, &mut buffer), Ok(5));
            let Some(arrived) = arrivals.latest(clock.now()) else {
                continue;
            };
            // The comparison of the clocks is no better than its width.
            let slack = WIDTH_MAX;
            assert!(
                before <= arrived + slack && arrived <= after + slack,
                "{before} {arrived} {after}"
            );
            told += 1;
            if told == 5 {
                return;
            }
        }
        panic!("{told} of five");
    }
}
