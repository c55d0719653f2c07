//! A server in lock-step with its client: it hears all connections, then answers all of them while the client is
//! stopped. Knows nothing of counting.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// nginx's answer of 100 bytes.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n\
    0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// A client that says nothing for so long has broken off.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server, not yet serving.
pub(super) struct LockStep {
    listener: TcpListener,
    url: String,
}

impl LockStep {
    pub(super) fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port on 127.0.0.1")?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Answers each of so many connections so many times; the client is process `pid`.
    pub(super) fn serve(&self, pid: u32, connections: usize, rounds: usize) -> anyhow::Result<()> {
        let mut streams = Vec::with_capacity(connections);
        while streams.len() < connections {
            self.listener.set_nonblocking(true)?;
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    streams.push(stream);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    ensure!(
                        states(pid)?.iter().all(|state| *state != 'Z'),
                        "it ended before it connected"
                    );
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(e.into()),
            }
        }
        for _ in 0..rounds {
            for stream in &mut streams {
                hear(stream)?;
            }
            stop(pid)?;
            for stream in &mut streams {
                stream.write_all(ANSWER.as_bytes())?;
            }
            signal(pid, Signal::CONT)?;
        }
        Ok(())
    }
}

/// Ends a client that will not end by itself.
pub(super) fn kill(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::KILL)
}

/// Reads one request.
fn hear(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 4096];
    let mut n = 0;
    while !buffer[..n].ends_with(b"\r\n\r\n") {
        let more = stream.read(&mut buffer[n..]).context("no request in time")?;
        ensure!(more > 0, "it closed a connection before all requests were made");
        n += more;
    }
    Ok(())
}

/// Stops every thread of a process, and returns when they stand.
fn stop(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::STOP)?;
    loop {
        let states = states(pid)?;
        if states.iter().all(|state| *state == 'T') {
            return Ok(());
        }
        ensure!(!states.contains(&'Z'), "it ended before all answers were given");
        std::thread::yield_now();
    }
}

/// The state letter of each thread (proc(5)).
fn states(pid: u32) -> anyhow::Result<Vec<char>> {
    let mut states = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the client is gone")? {
        // A thread may end between the listing and the look.
        if let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) {
            // The name before it may hold blanks and parentheses.
            states.extend(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()));
        }
    }
    Ok(states)
}

fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("no process id")?;
    kill_process(pid, signal).context("the client cannot be signalled")
}
