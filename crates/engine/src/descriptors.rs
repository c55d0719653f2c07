//! What this machine must have for connections: open files and local ports. Raises the limit of open files as far as
//! it may, makes room for them before the clock runs, refuses a phase that cannot have its connections, and says what to do when
//! something runs out.

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::EngineError;
use crate::leg::{Leg, LegKind};

/// Open files that are not connections: the recording, epoll sets, timers, the terminal, monitors.
const OTHER_FILES: u64 = 64;

/// Most open files that room is made for: half a megabyte of the kernel's memory.
const ROOM_MAX: u64 = 65_536;

/// Sees to it that the process may open the files that the legs need, where `streams` requests share a connection and an arrival
/// holds a connection to each of so many `servers`. `lingering` connections are on their way out
/// while their users have new ones already.
///
/// What a closed loop or a burst needs is known, and a lower limit is an error. An open loop needs what the target
/// makes of it: its cap only raises the limit.
pub(crate) fn provide(legs: &[Leg], streams: u32, servers: u32, lingering: u64) -> Result<(), EngineError> {
    let shared = |requests: u32| u64::from(requests.div_ceil(streams));
    let (mut needed, mut wished) = (0, 0);
    for leg in legs {
        match &leg.kind {
            LegKind::Loop { users, requests, .. } => {
                needed = needed.max(shared(*users).min(requests.unwrap_or(u64::MAX)));
            }
            LegKind::Burst { size } => needed = needed.max(shared(*size)),
            LegKind::Timed { in_flight_max, .. } => wished = wished.max(shared(*in_flight_max)),
        }
    }
    let files = |connections: u64| {
        connections.saturating_mul(u64::from(servers)) + lingering.min(connections) + OTHER_FILES
    };
    let limit = raised(files(needed.max(wished)));
    if files(needed) > limit {
        return Err(EngineError::Descriptors {
            connections: needed,
            needed: files(needed),
            limit,
        });
    }
    make_room(files(needed.max(wished)).min(limit));
    Ok(())
}

/// Has the kernel make its table of this process's open files large enough for so many, in place of whenever they are opened: in a
/// process with threads whoever opens the file that no longer fits waits ten milliseconds for it (`expand_fdtable` in
/// Linux's fs/file.c waits until no processor can still read the old table). Without threads it costs nothing.
pub fn make_room(files: u64) {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = files.min(soft).min(ROOM_MAX).saturating_sub(1);
    let (Ok(last), Ok((file, _))) = (i32::try_from(last), rustix::pipe::pipe()) else {
        return;
    };
    // A table never shrinks. Where there is no number free up there, it is large already.
    let _ = fcntl_dupfd_cloexec(&file, last);
}

/// The limit of open files, raised to the most that is allowed when `files` are more than it.
fn raised(files: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if files <= soft || soft >= hard {
        return soft;
    }
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, most).is_ok() {
        hard
    } else {
        soft
    }
}

/// Why no connection was made, in words that say what to do when the reason is here.
pub(crate) fn explain(errno: Errno) -> String {
    match errno {
        Errno::ADDRNOTAVAIL => "no local port is free for this target: a port rests for a minute after its connection \
             was closed here; keep connections alive, open fewer in a second, connect from more addresses with --bind \
             (127.0.0.2 and so on for a target on this machine), or widen net.ipv4.ip_local_port_range"
            .to_owned(),
        Errno::MFILE => format!(
            "this process has all its {} files open: allow more with `ulimit -n`, or use fewer connections",
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
        ),
        Errno::NFILE => "this machine has all its files open: raise fs.file-max, or use fewer connections".to_owned(),
        Errno::NOBUFS | Errno::NOMEM => {
            format!("the kernel has no memory for another connection ({errno}): use fewer connections")
        }
        Errno::NOENT => "no connection: the socket file is gone".to_owned(),
        Errno::ACCESS | Errno::PERM => format!("no connection: {errno}; run as a user that may, or open the firewall"),
        other => format!("no connection: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{explain, provide};
    use crate::EngineError;
    use crate::leg::{Leg, LegKind};
    use prony_model::Nanos;

    fn users(users: u32, requests: Option<u64>) -> Vec<Leg> {
        let kind = LegKind::Loop {
            users,
            requests,
            duration: None,
            think: Nanos::ZERO,
        };
        vec![Leg {
            step: 0,
            kind,
            after_start: Nanos::ZERO,
            after_end: Nanos::ZERO,
        }]
    }

    #[test]
    fn a_loop_that_cannot_have_its_connections_is_refused_with_the_number() {
        assert_eq!(provide(&users(10, None), 1, 1, 0), Ok(()));
        let Err(error) = provide(&users(u32::MAX, None), 1, 1, 512) else {
            panic!("four thousand million files")
        };
        let needed = u64::from(u32::MAX) + 512 + 64;
        assert!(
            matches!(error, EngineError::Descriptors { needed: n, .. } if n == needed),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(&format!("ulimit -n {needed}")),
            "{error}"
        );
        assert_eq!(
            provide(&users(u32::MAX, Some(3)), 1, 1, 0),
            Ok(()),
            "three requests need three"
        );
    }

    /// How large the kernel's table of this process's files is.
    fn room() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status
            .lines()
            .find_map(|line| line.strip_prefix("FDSize:"))
            .unwrap();
        size.trim().parse().unwrap()
    }

    #[test]
    fn there_is_room_for_all_connections_before_the_first_is_opened() {
        let wanted = 700;
        assert!(room() < wanted, "or nothing is shown");
        provide(&users(700, None), 1, 1, 0).unwrap();
        assert!(room() >= wanted, "{}", room());
    }

    #[test]
    fn what_runs_out_here_says_what_to_do() {
        for (errno, words) in [
            (Errno::ADDRNOTAVAIL, "--bind"),
            (Errno::ADDRNOTAVAIL, "ip_local_port_range"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::NOENT, "socket file"),
        ] {
            assert!(explain(errno).contains(words), "{errno}: {}", explain(errno));
        }
    }
}
