//! Which HTTP a target is spoken to in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of HTTP that requests are sent in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1, always.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, always: agreed on in the TLS handshake (ALPN), or known beforehand on a plain connection (h2c).
    #[serde(rename = "2")]
    Http2,
    /// Over TLS what the target prefers of the two (ALPN); HTTP/1.1 on a plain connection, where nothing is agreed on.
    #[serde(rename = "auto")]
    Auto,
}

#[cfg(test)]
mod tests {
    use super::HttpVersion;

    #[test]
    fn names_are_the_versions() {
        for (name, version) in [
            ("1.1", HttpVersion::Http1),
            ("2", HttpVersion::Http2),
            ("auto", HttpVersion::Auto),
        ] {
            assert_eq!(serde_json::to_value(version).unwrap(), name);
            assert_eq!(
                serde_json::from_value::<HttpVersion>(name.into()).unwrap(),
                version
            );
        }
        assert_eq!(HttpVersion::default(), HttpVersion::Http1);
    }
}
