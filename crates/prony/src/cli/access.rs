//! Flags that say how to reach the target and with which credentials. Secrets are named here, never held.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use prony_model::{Header, Secret};

use super::units::{header, is_token, key_value};
use crate::target_url;

/// How to reach the target.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessArgs {
    /// Header of every request, as 'Name: value'. Repeat for more. Put secrets into --header-env instead.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<Header>,
    /// Cookie of every request. Repeat for more. Its value is never printed or stored; --header-env Cookie=VARIABLE keeps it out of
    /// the list of processes, too.
    #[arg(long = "cookie", value_name = "NAME=VALUE", value_parser = cookie)]
    pub cookies: Vec<Cookie>,
    /// Environment variable whose value is sent as 'Authorization: Bearer ...'. It is never printed or stored.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "bearer_file")]
    pub bearer_env: Option<String>,
    /// File whose first line is sent as 'Authorization: Bearer ...'. It is never printed or stored.
    #[arg(long, value_name = "FILE")]
    pub bearer_file: Option<PathBuf>,
    /// Environment variable whose value is sent as 'x-api-key'. It is never printed or stored.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "api_key_file")]
    pub api_key_env: Option<String>,
    /// File whose first line is sent as 'x-api-key'. It is never printed or stored.
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Header whose value comes from an environment variable. Repeat for more. It is never printed or stored.
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = header_from_env)]
    pub header_env: Vec<HeaderFromEnv>,
    /// Parameter of every request's query whose value comes from an environment variable: 'api_key=KEY'. Repeat for more. It is never
    /// printed or stored.
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = query_from_env)]
    pub query_env: Vec<QueryFromEnv>,
    /// Host other than this one that may be loaded. Repeat for more. Without it, load goes to loopback only.
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// Connect to this Unix domain socket. The URL then only names the host and the path in the requests.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["connect_to", "bind"], help_heading = "Connection")]
    pub unix_socket: Option<PathBuf>,
    /// Connect to this host and port instead of the URL's. The requests and TLS still name the URL's host.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, help_heading = "Connection")]
    pub connect_to: Option<String>,
    /// Address of this machine to connect from. Repeat for more, taken in turn: each has its own range of ports.
    #[arg(long, value_name = "ADDRESS", help_heading = "Connection")]
    pub bind: Vec<IpAddr>,
    /// Speak HTTP/2: agreed on in the TLS handshake, or known beforehand (h2c) when the URL is http://.
    #[arg(long, help_heading = "Connection")]
    pub http2: bool,
    /// Accept any TLS certificate.
    #[arg(long, help_heading = "TLS")]
    pub insecure: bool,
    /// PEM file with further roots to trust.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub cacert: Option<PathBuf>,
    /// PEM file with the client certificate and its chain, for a server that wants one.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub cert: Option<PathBuf>,
    /// PEM file with the key of --cert, if it is not in the same file. It is never printed or stored.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,
    /// Name to send and to verify in the TLS handshake instead of the URL's host.
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub server_name: Option<String>,
    /// Make a whole TLS handshake on every connection. By default a new connection takes up the session of an earlier
    /// one where the server allows it, as browsers do; that is cheaper for both sides.
    #[arg(long, help_heading = "TLS")]
    pub no_tls_resumption: bool,
}

/// A header whose value is in an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderFromEnv {
    /// Field name.
    pub name: String,
    /// Name of the variable.
    pub variable: String,
}

/// A parameter of the query whose value is in an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueryFromEnv {
    /// Its name.
    pub name: String,
    /// Name of the variable.
    pub variable: String,
}

/// A cookie to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

fn cookie(text: &str) -> Result<Cookie, String> {
    // The value is a secret, so no message repeats it.
    let (name, value) = text
        .split_once('=')
        .ok_or("there is no `=` in it; write NAME=VALUE")?;
    let name = name.trim();
    if !is_token(name) {
        return Err("what stands before the `=` is no name of a cookie".to_owned());
    }
    // RFC 6265, section 4.1.1, but for the quotes, commas and backslashes that servers use all the same.
    if !value.bytes().all(|b| b.is_ascii_graphic() && b != b';') {
        return Err(format!(
            "the value of `{name}` holds a blank, a semicolon or what is not ASCII, which no cookie can"
        ));
    }
    Ok(Cookie {
        name: name.to_owned(),
        value: Secret::new(value),
    })
}

fn header_from_env(text: &str) -> Result<HeaderFromEnv, String> {
    let (name, variable) = key_value(text)?;
    if !is_token(&name) {
        return Err(format!("{name:?} is not a header name"));
    }
    if variable.is_empty() {
        return Err(format!("{text:?} names no variable; write {name}=VARIABLE"));
    }
    Ok(HeaderFromEnv { name, variable })
}

fn query_from_env(text: &str) -> Result<QueryFromEnv, String> {
    let (name, variable) = key_value(text)?;
    if variable.is_empty() {
        return Err(format!("{text:?} names no variable; write {name}=VARIABLE"));
    }
    Ok(QueryFromEnv { name, variable })
}

/// The text as it stands, once it is known to be a host and a port.
fn host_and_port(text: &str) -> Result<String, String> {
    target_url::host_and_port(text).map(|_| text.to_owned())
}
