//! Other servers than the target that steps of flows go to. It holds the names of secrets, never a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Header;

/// A server beside the target. It gets neither the target's headers nor its secrets, and is not watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginSpec {
    /// `http://host:port/base`, or `beside:NAME/base` for what the embedded backend serves beside its service. Requests over it
    /// are HTTP/1.1.
    pub url: String,
    /// Headers of every request to it. No secrets here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// How its requests are signed when they are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<SignSpec>,
    /// Accept any certificate of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// PEM file with further trusted roots for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cacert: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How requests are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignSpec {
    /// As object stores ask for it: Signature Version 4 of AWS, for the service `s3`.
    S3(S3Sign),
}

/// Where the key of an object store is found. A file wins over a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Sign {
    /// Region that the store calls itself.
    pub region: String,
    /// Environment variable with the access key.
    pub access_key_env: String,
    /// Environment variable with the secret key.
    pub secret_key_env: String,
    /// File whose first line is the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_file: Option<String>,
    /// File whose first line is the secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_file: Option<String>,
    /// Environment variable with the session token of a key that is lent for some time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token_env: Option<String>,
    /// Leave bodies out of the signature: for stores that accept it, over TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub unsigned_payload: bool,
}

impl Default for S3Sign {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            access_key_env: "AWS_ACCESS_KEY_ID".to_owned(),
            secret_key_env: "AWS_SECRET_ACCESS_KEY".to_owned(),
            access_key_file: None,
            secret_key_file: None,
            session_token_env: None,
            unsigned_payload: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OriginSpec, S3Sign, SignSpec};

    #[test]
    fn keys_are_named_and_have_the_names_that_everybody_uses() {
        let spec: OriginSpec =
            serde_json::from_str(r#"{"url": "http://h/bucket", "sign": {"s3": {"region": "eu-ro-1"}}}"#)
                .unwrap();
        let Some(SignSpec::S3(sign)) = &spec.sign else {
            panic!()
        };
        assert_eq!(sign.region, "eu-ro-1");
        assert_eq!(
            (&sign.access_key_env, &sign.secret_key_env),
            (
                &S3Sign::default().access_key_env,
                &S3Sign::default().secret_key_env
            )
        );
        assert!(
            serde_json::from_str::<OriginSpec>(r#"{"url": "http://h", "sign": {"s3": {"secret_key": "x"}}}"#)
                .is_err()
        );
    }
}
