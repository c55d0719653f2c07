//! A server that does nothing but answer: what remains of a response time against it is the generator's own floor
//! plus the loopback. One thread, its own event loop; 127.0.0.1 only.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use prony_model::Nanos;
use prony_wire::{Clock, Timer, Waits, WireError};

use crate::EngineError;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// How often the stop flag is looked at.
const TICK: Nanos = Nanos(20_000_000);

/// Longest request head; a client that sends a longer one is cut off.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A running null target. It stops when dropped.
#[derive(Debug)]
pub struct NullTarget {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NullTarget {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start() -> Result<Self, EngineError> {
        let system = |e: io::Error| WireError::System {
            what: "null target",
            why: e.to_string(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let address = listener.local_addr().map_err(system)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let flag = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("prony-null".to_owned())
            .spawn(move || match Server::new(listener) {
                Ok(server) => {
                    // Whoever asked may be gone; the flag then ends the server.
                    let _ = tell.send(Ok(()));
                    server.serve(&flag);
                }
                Err(e) => drop(tell.send(Err(e))),
            })
            .map_err(|e| EngineError::Thread { why: e.to_string() })?;
        told.recv().unwrap_or_else(|e| {
            Err(WireError::System {
                what: "null target",
                why: e.to_string(),
            })
        })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NullTarget {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread would be a bug that its own message has told already.
            let _ = thread.join();
        }
    }
}

struct Server {
    listener: TcpListener,
    waits: Waits,
    timer: Timer,
    clock: Clock,
    connections: HashMap<u64, Connection>,
    next: u64,
}

struct Connection {
    stream: TcpStream,
    /// Head bytes not yet complete.
    held: Vec<u8>,
    /// Body bytes of a request still to be skipped.
    skip: usize,
    /// Answers not yet written.
    unsent: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener) -> Result<Self, WireError> {
        let clock = Clock::since(Instant::now());
        let (waits, timer) = (Waits::new(256)?, Timer::new(clock)?);
        waits.add_timer(&timer, TIMER)?;
        waits.add(&listener, LISTENER).map_err(|e| WireError::System {
            what: "epoll",
            why: e.to_string(),
        })?;
        Ok(Self {
            listener,
            waits,
            timer,
            clock,
            connections: HashMap::new(),
            next: 0,
        })
    }

    fn serve(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 64 << 10];
        while !stop.load(Ordering::Relaxed) {
            let waited = self
                .timer
                .arm(self.clock.now() + TICK)
                .and_then(|()| self.waits.wait());
            if waited.is_err() {
                return;
            }
            for i in 0..self.waits.len() {
                match self.waits.event(i).0 {
                    TIMER => self.timer.fired(),
                    LISTENER => self.accept(),
                    token => {
                        let served = self
                            .connections
                            .get_mut(&token)
                            .is_some_and(|c| c.serve(&mut buffer).is_ok());
                        if !served {
                            self.connections.remove(&token);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let token = self.next;
            let prepared = stream
                .set_nonblocking(true)
                .and_then(|()| stream.set_nodelay(true));
            if prepared.is_ok() && self.waits.add(&stream, token).is_ok() {
                self.next += 1;
                let connection = Connection {
                    stream,
                    held: Vec::new(),
                    skip: 0,
                    unsent: Vec::new(),
                };
                self.connections.insert(token, connection);
            }
        }
    }
}

impl Connection {
    /// Reads what there is and answers every complete request; an error ends the connection.
    fn serve(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            self.flush()?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.take(&buffer[..n])?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            let skipped = self.skip.min(input.len());
            self.skip -= skipped;
            input = &input[skipped..];
            if self.skip > 0 || input.is_empty() {
                break;
            }
            let before = self.held.len();
            self.held.extend_from_slice(input);
            let from = before.saturating_sub(3);
            let Some(end) = self.held[from..].windows(4).position(|w| w == b"\r\n\r\n") else {
                if self.held.len() > HEAD_BYTES_MAX {
                    return Err(ErrorKind::InvalidData.into());
                }
                return Ok(());
            };
            let end = from + end + 4;
            self.skip = content_length(&self.held[..end]);
            self.held.clear();
            input = &input[end - before..];
            self.unsent.extend_from_slice(ANSWER);
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn content_length(head: &[u8]) -> usize {
    let name = b"content-length:";
    head.split(|b| *b == b'\n')
        .find_map(|line| {
            let value = line.get(name.len()..)?;
            line[..name.len()].eq_ignore_ascii_case(name).then_some(value)
        })
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .unwrap_or_default()
}
