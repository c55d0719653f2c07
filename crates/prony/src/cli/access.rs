//! Flags that say how to reach the target and with which credentials. Secrets are named here, never held.

use std::path::PathBuf;

use clap::Args;
use prony_model::Header;

use super::units::{header, is_token, key_value};

/// How to reach the target.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessArgs {
    /// Header of every request, as 'Name: value'. Repeat for more. Put secrets into --header-env instead.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<Header>,
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
    /// Host other than this one that may be loaded. Repeat for more. Without it, load goes to loopback only.
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// Accept any TLS certificate.
    #[arg(long)]
    pub insecure: bool,
    /// PEM file with further roots to trust.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
}

/// A header whose value is in an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderFromEnv {
    /// Field name.
    pub name: String,
    /// Name of the variable.
    pub variable: String,
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
