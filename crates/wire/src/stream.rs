//! One non-blocking connection, plain or TLS: connect, handshake, bytes in, bytes out. Knows no HTTP.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use rustls_pki_types::ServerName;

use crate::arrival::{self, Arrivals, Stamped};
use crate::dial::{self, Peer};
use crate::{InnerStream, tls};

/// How to secure a connection.
#[derive(Clone, Debug)]
pub enum Link {
    /// No TLS.
    Plain,
    /// TLS with this configuration, verified for this name.
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

/// What ended a connection before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// An error of the socket.
    Io(Errno),
    /// A TLS error, explained.
    Tls(String),
    /// The peer does not speak the protocol asked for, explained.
    Protocol(String),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now; an edge will tell.
    Blocked,
    /// The peer closed its side.
    Closed,
}

/// A connection in progress or made.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(OwnedFd),
    /// With TLS.
    Tls(Box<TlsStream>),
    /// To a server in this process.
    Inner(InnerStream),
}

/// TLS state and its socket.
#[derive(Debug)]
pub struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
}

impl Stream {
    /// Starts to connect, from the address `source` when one is given. Register it, then at each edge ask
    /// [`Stream::connected`], and after it [`Stream::ready`], until they say yes.
    pub fn dial(peer: &Peer, source: Option<IpAddr>, link: &Link) -> Result<Self, LinkError> {
        if *peer == Peer::Inner {
            return Ok(Self::Inner(InnerStream::default()));
        }
        let fd = dial::start(peer, source).map_err(LinkError::Io)?;
        match link {
            Link::Plain => Ok(Self::Plain(fd)),
            Link::Tls(config, name) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|e| LinkError::Tls(tls::explain(&e)))?;
                Ok(Self::Tls(Box::new(TlsStream {
                    socket: TcpStream::from(fd),
                    session,
                })))
            }
        }
    }

    /// Whether the connection is made. The handshake, if any, comes after it.
    pub fn connected(&self) -> Result<bool, LinkError> {
        self.descriptor()
            .map_or(Ok(true), dial::finished)
            .map_err(LinkError::Io)
    }

    /// Tries a connection that waits for room in a Unix domain socket's queue once more; whether it is made.
    pub fn connect_again(&self, peer: &Peer) -> Result<bool, LinkError> {
        self.descriptor()
            .map_or(Ok(true), |fd| dial::again(fd, peer))
            .map_err(LinkError::Io)
    }

    /// What to wait on; `None` where there is no socket.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(fd) => Some(fd.as_fd()),
            Self::Tls(tls) => Some(tls.socket.as_fd()),
            Self::Inner(_) => None,
        }
    }

    /// Whether the handshake took up an earlier session; `None` before its end and without TLS.
    pub fn resumed(&self) -> Option<bool> {
        match self {
            Self::Plain(_) | Self::Inner(_) => None,
            Self::Tls(tls) => Some(tls.session.handshake_kind()? == HandshakeKind::Resumed),
        }
    }

    /// Drives the handshake of a connected stream; whether requests may be written.
    pub fn ready(&mut self) -> Result<bool, LinkError> {
        let Self::Tls(tls) = self else { return Ok(true) };
        loop {
            tls.push()?;
            if !tls.session.is_handshaking() {
                return Ok(true);
            }
            if !tls.session.wants_read() {
                return Ok(false);
            }
            match tls.pull(None)? {
                Received::Bytes(_) => {}
                Received::Blocked => return Ok(false),
                Received::Closed => {
                    return Err(LinkError::Tls(
                        "the peer closed the connection during the TLS handshake: does the port speak TLS?"
                            .to_owned(),
                    ));
                }
            }
        }
    }

    /// Reads once into `buffer`. After [`Received::Bytes`] of less than the buffer's length a plain stream is drained
    /// unless the peer has closed.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Received, LinkError> {
        match self {
            Self::Plain(fd) => receive(fd, buffer, RecvFlags::empty()),
            Self::Tls(tls) => tls.read(buffer, None),
            Self::Inner(inner) => Ok(inner.read(buffer)),
        }
    }

    /// Has the kernel keep when bytes arrive, for [`Stream::read_stamped`]. It does so for TCP alone.
    pub fn ask_for_stamps(&self) {
        match self {
            Self::Plain(fd) => arrival::ask_for_stamps(fd),
            Self::Tls(tls) => arrival::ask_for_stamps(&tls.socket),
            Self::Inner(_) => {}
        }
    }

    /// Like [`Stream::read`]; `arrivals` then tells when the last of what was read arrived, where that is known. Over TLS it
    /// is the instant of the segment that completed the record.
    pub fn read_stamped(
        &mut self,
        buffer: &mut [u8],
        arrivals: &mut Arrivals,
    ) -> Result<Received, LinkError> {
        match self {
            Self::Plain(fd) => loop {
                return match arrivals.receive(&*fd, buffer) {
                    Ok(0) => Ok(Received::Closed),
                    Ok(n) => Ok(Received::Bytes(n)),
                    Err(Errno::AGAIN) => Ok(Received::Blocked),
                    Err(Errno::INTR) => continue,
                    Err(e) => Err(LinkError::Io(e)),
                };
            },
            Self::Tls(tls) => {
                arrivals.forget();
                tls.read(buffer, Some(arrivals))
            }
            Self::Inner(inner) => {
                arrivals.forget();
                Ok(inner.read(buffer))
            }
        }
    }

    /// Like [`Stream::read`], for bytes that nobody looks at: on plain TCP the kernel throws them away without copying
    /// them (`MSG_TRUNC`, tcp(7)). What `buffer` holds afterwards means nothing; its length bounds what is taken.
    pub fn discard(&mut self, buffer: &mut [u8]) -> Result<Received, LinkError> {
        match self {
            Self::Plain(fd) => receive(fd, buffer, RecvFlags::TRUNC),
            Self::Tls(tls) => tls.read(buffer, None),
            Self::Inner(inner) => Ok(inner.read(buffer)),
        }
    }

    /// Writes what fits now; 0 when nothing does.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        match self {
            Self::Plain(fd) => loop {
                return match send(&*fd, bytes, SendFlags::NOSIGNAL) {
                    Ok(n) => Ok(n),
                    Err(Errno::AGAIN) => Ok(0),
                    Err(Errno::INTR) => continue,
                    Err(e) => Err(LinkError::Io(e)),
                };
            },
            Self::Tls(tls) => {
                let taken = tls
                    .session
                    .writer()
                    .write(bytes)
                    .map_err(|e| LinkError::Io(errno(&e)))?;
                tls.push()?;
                Ok(taken)
            }
            Self::Inner(_) => Ok(bytes.len()),
        }
    }

    /// Writes what an earlier [`Stream::write`] took but could not send. Nothing to do on a plain stream.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        match self {
            Self::Plain(_) | Self::Inner(_) => Ok(()),
            Self::Tls(tls) => tls.push(),
        }
    }

    /// Whether HTTP/2 was agreed on in the TLS handshake; `None` on a stream without TLS, where nothing is agreed on.
    pub fn agreed_on_http2(&self) -> Option<bool> {
        match self {
            Self::Plain(_) | Self::Inner(_) => None,
            Self::Tls(tls) => Some(tls.session.alpn_protocol() == Some(tls::HTTP2)),
        }
    }

    /// Whether a short read proves that the socket is drained.
    pub fn short_read_drains(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }
}

impl TlsStream {
    fn read(
        &mut self,
        buffer: &mut [u8],
        mut arrivals: Option<&mut Arrivals>,
    ) -> Result<Received, LinkError> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(0) => return Ok(Received::Closed),
                Ok(n) => return Ok(Received::Bytes(n)),
                // Closed without a close_notify: the framing above decides whether that truncates anything.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Received::Closed),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(LinkError::Io(errno(&e))),
            }
            match self.pull(arrivals.as_deref_mut())? {
                Received::Blocked => return Ok(Received::Blocked),
                // The next turn of the loop tells a clean end from a missing one.
                Received::Bytes(_) | Received::Closed => self.push()?,
            }
        }
    }

    /// Socket to session.
    fn pull(&mut self, arrivals: Option<&mut Arrivals>) -> Result<Received, LinkError> {
        let read = match arrivals {
            Some(arrivals) => self.session.read_tls(&mut Stamped(&self.socket, arrivals)),
            None => self.session.read_tls(&mut self.socket),
        };
        let n = match read {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Blocked),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Received::Bytes(0)),
            Err(e) => return Err(LinkError::Io(errno(&e))),
        };
        if let Err(e) = self.session.process_new_packets() {
            // The alert that says why is owed to the peer; that it may be gone already changes nothing.
            let _ = self.push();
            let why = tls::explain(&e);
            return Err(if tls::is_wrong_protocol(&e) {
                LinkError::Protocol(why)
            } else {
                LinkError::Tls(why)
            });
        }
        Ok(if n == 0 {
            Received::Closed
        } else {
            Received::Bytes(n)
        })
    }

    /// Session to socket, as much as fits.
    fn push(&mut self) -> Result<(), LinkError> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LinkError::Io(errno(&e))),
            }
        }
        Ok(())
    }
}

fn receive(fd: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> Result<Received, LinkError> {
    loop {
        return match recv(fd, &mut *buffer, flags) {
            Ok((_, 0)) => Ok(Received::Closed),
            Ok((_, n)) => Ok(Received::Bytes(n)),
            Err(Errno::AGAIN) => Ok(Received::Blocked),
            Err(Errno::INTR) => continue,
            Err(e) => Err(LinkError::Io(e)),
        };
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
