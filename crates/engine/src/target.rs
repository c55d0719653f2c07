//! What to load: its origin, how to trust it, what every request carries. Sends nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use prony_model::Secret;
use prony_wire::{Link, Origin, dial, tls};

use crate::EngineError;
use crate::mask::Masks;
use crate::prepared::Route;

/// Longest wait for the resolver.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A target as the user named it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Scheme, host, port and base path.
    pub origin: Origin,
    /// Trust any certificate.
    pub insecure: bool,
    /// PEM file with further authorities to trust.
    pub cacert: Option<PathBuf>,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// Texts that a target may echo and that must not be kept: they are masked in captured responses.
    pub masked: Vec<Secret>,
    /// Hosts that may be loaded although they are not this machine.
    pub allow_hosts: Vec<String>,
}

impl Target {
    /// The target at a URL, without headers, trusting the public authorities.
    pub fn new(url: &str) -> Result<Self, EngineError> {
        let origin = Origin::parse(url)?;
        Ok(Self {
            origin,
            insecure: false,
            cacert: None,
            headers: Vec::new(),
            masked: Vec::new(),
            allow_hosts: Vec::new(),
        })
    }

    /// Resolves the host, checks that it may be loaded, and sets up TLS.
    pub(crate) fn route(&self) -> Result<Route, EngineError> {
        let origin = &self.origin;
        let addresses = dial::resolve_blocking(&origin.host, origin.port, RESOLVE_TIMEOUT)?;
        let allowed = self
            .allow_hosts
            .iter()
            .any(|h| h.eq_ignore_ascii_case(&origin.host));
        if let Some(outside) = addresses.iter().find(|a| !is_here(a))
            && !allowed
        {
            return Err(EngineError::NotAllowed {
                host: origin.host.clone(),
                address: outside.ip().to_string(),
            });
        }
        let link = if origin.is_tls() {
            Link::Tls(
                tls::client_config(self.insecure, self.cacert.as_deref())?,
                tls::server_name(&origin.host)?,
            )
        } else {
            Link::Plain
        };
        Ok(Route {
            origin: origin.clone(),
            address: answering(&addresses),
            link,
            headers: self.headers.clone(),
            masks: Masks::new(&self.masked),
        })
    }
}

fn is_here(address: &SocketAddr) -> bool {
    match address.ip() {
        std::net::IpAddr::V4(v4) => v4.is_loopback(),
        std::net::IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or_else(|| v6.is_loopback(), |v4| v4.is_loopback()),
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
}
