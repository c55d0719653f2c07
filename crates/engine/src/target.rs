//! What to load: its origin, how to trust it, what every request carries. Sends nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prony_model::{HttpVersion, Nanos, Secret};
use prony_wire::sigv4::Signer;
use prony_wire::{Link, Origin, Peer, TlsOptions, WireError, dial, tls};
use rustix::fs::{Access, access};

use crate::credentials::Common;
use crate::mask::Masks;
use crate::prepared::Route;
use crate::{EngineError, Inner};

/// Longest wait for the resolver.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A target as the user named it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Scheme, host, port and base path.
    pub origin: Origin,
    /// A server within this process; the origin then only names the host in the requests.
    pub inner: Option<Inner>,
    /// Connect to this Unix domain socket; the origin then only names the host in the requests.
    pub unix_socket: Option<PathBuf>,
    /// Connect to this host and port instead of the origin's; the requests still name the origin's.
    pub connect_to: Option<(String, u16)>,
    /// Addresses of this machine that connections start from, in turn; the system chooses when there are none.
    pub sources: Vec<IpAddr>,
    /// Whom to trust, and who to be.
    pub tls: TlsOptions,
    /// Name to send and to verify in the TLS handshake instead of the origin's host.
    pub server_name: Option<String>,
    /// Version of HTTP; gRPC needs [`HttpVersion::Http2`].
    pub http: HttpVersion,
    /// Requests at once on each HTTP/2 connection, at least 1. A closed loop of `c` connections then has `c` times as
    /// many users; everything else needs so many times fewer connections. Above 1 only with [`HttpVersion::Http2`].
    pub streams: u32,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// Parameters at the end of the query of every request, names and values as they are sent. They are in no record of a request.
    pub query: Vec<(String, Secret)>,
    /// Texts that a target may echo and that must not be kept: they are masked in captured responses.
    pub masked: Vec<Secret>,
    /// Hosts that may be loaded although they are not this machine.
    pub allow_hosts: Vec<String>,
    /// Who signs its requests, where they are to be signed.
    pub signer: Option<Signer>,
    /// Other targets that steps of flows go to, by name. They are reached over HTTP/1.1 (so none is gRPC's), have no others
    /// themselves, and get none of this one's headers.
    pub others: Vec<(String, Target)>,
}

impl Target {
    /// The target at a URL, without headers, trusting the public authorities. `null:` and `sim:...` are servers within
    /// this process, see [`Inner`].
    pub fn new(url: &str) -> Result<Self, EngineError> {
        let inner = Inner::parse(url)
            .transpose()
            .map_err(|why| EngineError::Inner { why })?;
        match inner {
            Some(inner) => Self::within(inner),
            None => Ok(Self::at(Origin::parse(url)?)),
        }
    }

    /// A server within this process.
    pub fn within(inner: Inner) -> Result<Self, EngineError> {
        Ok(Self {
            inner: Some(inner),
            ..Self::at(Origin::parse("http://inner.invalid")?)
        })
    }

    fn at(origin: Origin) -> Self {
        let http = if origin.is_grpc() {
            HttpVersion::Http2
        } else {
            HttpVersion::Http1
        };
        Self {
            origin,
            inner: None,
            unix_socket: None,
            connect_to: None,
            sources: Vec::new(),
            tls: TlsOptions::default(),
            server_name: None,
            http,
            streams: 1,
            headers: Vec::new(),
            query: Vec::new(),
            masked: Vec::new(),
            allow_hosts: Vec::new(),
            signer: None,
            others: Vec::new(),
        }
    }

    /// The routes to the others, each checked as that to the target itself.
    pub(crate) fn others(&self) -> Result<Vec<(String, Route)>, EngineError> {
        let simulated = self.inner.is_some() || self.others.iter().any(|(_, other)| other.inner.is_some());
        if simulated && !self.others.is_empty() {
            let why =
                "steps that go to another origin need a target on the network: null: and sim: have none"
                    .to_owned();
            return Err(EngineError::Inner { why });
        }
        if let Some((name, other)) = self
            .others
            .iter()
            .find(|(_, other)| other.http != HttpVersion::Http1)
        {
            let why = format!(
                "origin {name:?} ({}) would be reached over HTTP/2, and a flow's other origins are reached over HTTP/1.1 only: make it \
                 the target, or give its HTTP address",
                other.origin
            );
            return Err(EngineError::Inner { why });
        }
        let route = |(name, other): &(String, Self)| Ok((name.clone(), other.route()?));
        self.others.iter().map(route).collect()
    }

    /// Finds out where to connect, checks that it may be loaded, and sets up TLS.
    pub(crate) fn route(&self) -> Result<Route, EngineError> {
        let origin = &self.origin;
        let (peer, dns) = match (&self.inner, &self.unix_socket) {
            (Some(_), _) => (Peer::Inner, None),
            (None, Some(path)) => (self.socket(path)?, None),
            (None, None) => self.resolve()?,
        };
        for &source in &self.sources {
            dial::can_start_from(source).map_err(|e| WireError::Source {
                address: source,
                why: e.to_string(),
            })?;
        }
        let link = if origin.is_tls() {
            let name = self.server_name.as_ref().unwrap_or(&origin.host);
            Link::Tls(tls::client_config(&self.tls, self.http)?, tls::server_name(name)?)
        } else {
            Link::Plain
        };
        let headers = Common::new(&self.headers, &self.query, &self.masked);
        Ok(Route {
            origin: origin.clone(),
            inner: self.inner.clone(),
            peer,
            dns,
            sources: self.sources.clone(),
            link,
            http: self.http,
            streams: if self.http == HttpVersion::Http2 {
                self.streams.max(1)
            } else {
                1
            },
            masks: Masks::new(&headers.masked(&self.masked)),
            headers,
            signer: self.signer.clone(),
        })
    }

    /// The address of the host, and how long the resolver took; `None` when there was nothing to ask it.
    fn resolve(&self) -> Result<(Peer, Option<Nanos>), EngineError> {
        let (host, port) = match &self.connect_to {
            Some((host, port)) => (host.as_str(), *port),
            None => (self.origin.host.as_str(), self.origin.port),
        };
        let asked = Instant::now();
        let addresses = dial::resolve_blocking(host, port, RESOLVE_TIMEOUT)?;
        let took = Nanos(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let is_name = host.parse::<IpAddr>().is_err();
        let allowed = self.allow_hosts.iter().any(|h| h.eq_ignore_ascii_case(host));
        if let Some(outside) = addresses.iter().find(|a| !Peer::Tcp(**a).is_here())
            && !allowed
        {
            return Err(EngineError::NotAllowed {
                host: host.to_owned(),
                address: outside.ip().to_string(),
            });
        }
        Ok((Peer::Tcp(answering(&addresses)), is_name.then_some(took)))
    }

    /// A Unix domain socket that is there and may be written to. Whether somebody listens, the load will show.
    fn socket(&self, path: &Path) -> Result<Peer, WireError> {
        let fail = |why: String| WireError::Socket {
            path: path.display().to_string(),
            why,
        };
        if !self.sources.is_empty() || self.connect_to.is_some() {
            return Err(fail(
                "it has no address: take out --bind and --connect-to".to_owned(),
            ));
        }
        let found = std::fs::metadata(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                fail("there is no such file: start the server, or check the path".to_owned())
            }
            io::ErrorKind::PermissionDenied => {
                fail("no permission to look into its folder: run as the server's user or group".to_owned())
            }
            _ => fail(e.to_string()),
        })?;
        if !found.file_type().is_socket() {
            return Err(fail(
                "it is no socket: give the path that the server listens on".to_owned(),
            ));
        }
        access(path, Access::WRITE_OK).map_err(|_| {
            fail("no permission to write to it: run as the server's user or group".to_owned())
        })?;
        Ok(Peer::Unix(path.to_owned()))
    }
}

/// The first address on which someone listens; the first of all when nobody does. A name like `localhost` has an
/// IPv4 and an IPv6 address, and many servers listen on one only.
fn answering(addresses: &[SocketAddr]) -> SocketAddr {
    let listens =
        |a: &&SocketAddr| std::net::TcpStream::connect_timeout(a, Duration::from_millis(500)).is_ok();
    match addresses {
        [only] => *only,
        several => *several.iter().find(listens).unwrap_or(&several[0]),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::os::unix::net::UnixListener;

    use prony_wire::{Peer, WireError};

    use super::Target;
    use crate::EngineError;

    #[test]
    fn other_hosts_must_be_allowed_by_name() {
        let mut target = Target::new("http://192.0.2.1:9").unwrap();
        let error = target.route().unwrap_err();
        assert!(matches!(error, EngineError::NotAllowed { .. }));
        assert!(error.to_string().contains("--allow-host 192.0.2.1"), "{error}");
        target.allow_hosts.push("192.0.2.1".to_owned());
        assert!(target.route().is_ok());
        assert!(Target::new("http://127.0.0.1:9").unwrap().route().is_ok());
        assert!(
            Target::new("http://[::ffff:127.0.0.1]:9")
                .unwrap()
                .route()
                .is_ok()
        );
    }

    #[test]
    fn what_is_connected_to_must_be_allowed_not_what_is_named() {
        let mut target = Target::new("http://example.invalid").unwrap();
        target.connect_to = Some(("127.0.0.1".to_owned(), 9));
        let route = target.route().unwrap();
        assert_eq!(route.peer, Peer::Tcp("127.0.0.1:9".parse().unwrap()));
        assert_eq!(route.origin.authority(), "example.invalid");
        assert_eq!(route.dns, None, "an address needs no resolver");
        target.connect_to = Some(("192.0.2.1".to_owned(), 9));
        target.allow_hosts.push("example.invalid".to_owned());
        assert!(matches!(target.route(), Err(EngineError::NotAllowed { .. })));
    }

    #[test]
    fn a_name_takes_time_to_resolve() {
        let route = Target::new("http://localhost:9").unwrap().route().unwrap();
        assert!(route.dns.is_some_and(|took| took.0 > 0));
    }

    #[test]
    fn a_socket_must_be_there_and_be_one() {
        let path = std::env::temp_dir().join(format!("prony-target-{}.sock", std::process::id()));
        let mut target = Target::new("http://localhost/x").unwrap();
        target.unix_socket = Some(path.clone());
        let why = |target: &Target| match target.route() {
            Err(EngineError::Wire(WireError::Socket { why, .. })) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(&target).contains("no such file"));
        std::fs::write(&path, "").unwrap();
        assert!(why(&target).contains("no socket"));
        std::fs::remove_file(&path).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        let route = target.route().unwrap();
        assert_eq!((&route.peer, route.dns), (&Peer::Unix(path.clone()), None));
        target.sources.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(why(&target).contains("--bind"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_source_must_be_ours() {
        let mut target = Target::new("http://127.0.0.1:9").unwrap();
        target.sources = vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];
        assert!(target.route().is_ok());
        target.sources.push(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        let error = target.route().unwrap_err().to_string();
        assert!(
            error.contains("192.0.2.1") && error.contains("ip address"),
            "{error}"
        );
    }
}
