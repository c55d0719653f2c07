//! What a user can get wrong before the first byte is sent. What a target does wrong is data, not an error: see
//! [`crate::LinkError`] and [`crate::http1::Broken`].

/// An origin, request, certificate file or host name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The URL cannot be parsed.
    #[error("{url:?} is not a URL ({why}); write it like http://127.0.0.1:8000")]
    NotUrl {
        /// What was given.
        url: String,
        /// The parser's words.
        why: String,
    },
    /// The scheme is not supported.
    #[error("scheme {scheme:?} is not supported; use http://, https://, grpc:// or grpcs://")]
    Scheme {
        /// The scheme given.
        scheme: String,
    },
    /// The URL holds a user name or password.
    #[error(
        "the URL holds a user name or password; take it out and use --bearer-env, --api-key-env or -H instead"
    )]
    UserInfo,
    /// The URL has no host.
    #[error("the URL names no host")]
    NoHost,
    /// A method, path, header name or header value that cannot go on the wire.
    #[error("{what} {value:?} cannot be sent: {why}")]
    Unsendable {
        /// Which part of the request.
        what: &'static str,
        /// The part, never a secret header's value.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// The host name did not resolve.
    #[error(
        "host {host:?} did not resolve: {why}; check the name for a typo, or say where it is with --connect-to HOST:PORT"
    )]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// The Unix domain socket cannot be used.
    #[error("Unix socket {path:?}: {why}")]
    Socket {
        /// Its path.
        path: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Connections cannot start from this address.
    #[error(
        "connections cannot start from {address}: {why}; `ip address` lists the addresses of this machine"
    )]
    Source {
        /// The address.
        address: std::net::IpAddr,
        /// The system's words.
        why: String,
    },
    /// A certificate or key file cannot be used.
    #[error("certificate file {path:?}: {why}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {why}")]
    TlsSetup {
        /// The library's words.
        why: String,
    },
    /// The operating system refused a descriptor that the loop needs.
    #[error("{what}: {why}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's words.
        why: String,
    },
}
