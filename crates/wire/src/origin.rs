//! Where a target is: scheme, host, port and base path of a URL. Resolves nothing.

use std::fmt;

use url::{Host, Url};

use crate::WireError;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS over TCP.
    Https,
    /// gRPC over plain TCP.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
}

/// The origin of a target, with the path that all its requests start with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Base path without a trailing slash; empty for the root.
    pub base: String,
}

impl Origin {
    /// From a URL. A missing scheme means http. Query and fragment are dropped.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let text = text.trim();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        // To the parser of URLs `grpc` is a scheme that it knows nothing of.
        let (full, is_grpc) = match full.strip_prefix("grpc") {
            Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => {
                (format!("http{rest}"), true)
            }
            _ => (full, false),
        };
        let url = Url::parse(&full).map_err(|e| WireError::NotUrl {
            url: without_secret(text),
            why: e.to_string(),
        })?;
        let scheme = match url.scheme() {
            "http" if is_grpc => Scheme::Grpc,
            "https" if is_grpc => Scheme::Grpcs,
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                return Err(WireError::Scheme {
                    scheme: other.to_owned(),
                });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WireError::UserInfo);
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(WireError::NoHost),
        };
        let port = url.port_or_known_default().ok_or(WireError::NoHost)?;
        Ok(Self {
            scheme,
            host,
            port,
            base: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The value of a Host header: brackets around IPv6, no default port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == self.scheme.default_port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The request target of a path below this origin: base path and path, without fragment, never empty.
    pub fn target(&self, path: &str) -> String {
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') || (path.is_empty() && !self.base.is_empty()) {
            ""
        } else {
            "/"
        };
        format!("{}{slash}{path}", self.base)
    }

    /// The URL of a request target at this origin.
    pub fn url(&self, target: &str) -> Option<Url> {
        Url::parse(&format!("{}://{}{target}", self.scheme.name(), self.authority())).ok()
    }

    /// Where a `Location` leads from the request target `from`; `None` where it is no URL.
    pub fn follow(&self, from: &str, location: &str) -> Option<Url> {
        self.url(from)?.join(location).ok()
    }

    /// The request target of a URL at this origin; `None` for one elsewhere.
    pub fn target_of(&self, url: &Url) -> Option<String> {
        let here = self.url("/")?;
        let same = url.scheme() == here.scheme()
            && url.host() == here.host()
            && url.port_or_known_default() == here.port_or_known_default();
        same.then(|| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        })
    }

    /// Whether connections use TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Grpcs)
    }

    /// Whether its calls are gRPC.
    pub fn is_grpc(&self) -> bool {
        matches!(self.scheme, Scheme::Grpc | Scheme::Grpcs)
    }
}

impl Scheme {
    /// As written in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Grpc => 80,
            Self::Https | Self::Grpcs => 443,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.base)
    }
}

/// The text without what stands before an `@`: it may be a password.
fn without_secret(text: &str) -> String {
    text.rsplit('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Origin, Scheme};
    use crate::WireError;

    #[test]
    fn parts_of_a_url() {
        let o = Origin::parse("https://example.org/api/v1/?q=1").unwrap();
        assert_eq!(
            (o.scheme, o.port, o.base.as_str()),
            (Scheme::Https, 443, "/api/v1")
        );
        assert_eq!(o.authority(), "example.org");
        assert_eq!(o.to_string(), "https://example.org/api/v1");
        assert_eq!(o.target("/x?y=1#z"), "/api/v1/x?y=1");
        assert_eq!(o.target(""), "/api/v1");

        let o = Origin::parse("http://[::1]:8080").unwrap();
        assert_eq!((o.host.as_str(), o.port), ("::1", 8080));
        assert_eq!(o.authority(), "[::1]:8080");
        assert_eq!(o.target(""), "/");

        let o = Origin::parse("localhost:9000").unwrap();
        assert_eq!(
            (o.host.as_str(), o.port, o.scheme),
            ("localhost", 9000, Scheme::Http)
        );
    }

    #[test]
    fn grpc_has_schemes_of_its_own() {
        let o = Origin::parse("grpc://127.0.0.1:8001").unwrap();
        assert_eq!((o.scheme, o.port), (Scheme::Grpc, 8001));
        assert!(o.is_grpc() && !o.is_tls());
        assert_eq!(o.to_string(), "grpc://127.0.0.1:8001");
        let o = Origin::parse("grpcs://[::1]:8001/").unwrap();
        assert!(o.is_grpc() && o.is_tls());
        assert_eq!((o.host.as_str(), o.authority().as_str()), ("::1", "[::1]:8001"));
        assert!(!Origin::parse("grpc.example.org:8001").unwrap().is_grpc());
    }

    #[test]
    fn user_errors_are_told_apart() {
        assert_eq!(
            Origin::parse("http://me:secret@localhost/"),
            Err(WireError::UserInfo)
        );
        assert!(matches!(
            Origin::parse("ftp://localhost/"),
            Err(WireError::Scheme { .. })
        ));
        let broken = Origin::parse("http://me:secret@local host:99999/").unwrap_err();
        assert!(!broken.to_string().contains("secret"), "{broken}");
    }

    #[test]
    fn redirects_stay_at_home_or_are_refused() {
        let o = Origin::parse("http://localhost:8000/api").unwrap();
        let led = |location: &str| o.target_of(&o.follow("/api/a", location).unwrap());
        assert_eq!(led("/b?x=1").as_deref(), Some("/b?x=1"));
        assert_eq!(led("c").as_deref(), Some("/api/c"));
        assert_eq!(led("http://localhost:8000/d").as_deref(), Some("/d"));
        assert_eq!(led("http://localhost:8001/d"), None);
        assert_eq!(led("//evil.example/d"), None);
        assert_eq!(led("https://localhost:8000/d"), None);
        assert!(o.follow("/api/a", "http://:0:/").is_none());
    }
}
