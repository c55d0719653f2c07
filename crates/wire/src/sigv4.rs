//! Signature Version 4 of AWS: the headers by which an object store knows who sent a request. Pure: the caller says what time it
//! is. It must not show a secret, and knows nothing of connections.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use prony_model::Secret;
use sha2::{Digest as _, Sha256};

use crate::WireError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What stands for the digest of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What is left as it is in a name or value of a query (RFC 3986, unreserved).
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same in a path, whose slashes stay.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// Headers that a signature brings: a request that is to be signed must not have them.
pub const OWN_HEADERS: [&str; 4] = [
    "authorization",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
];

/// Who signs, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The public half of the key. It is sent, and not shown.
    pub access_key: Secret,
    /// The other half. It is never sent.
    pub secret_key: Secret,
    /// What comes with a key that is lent for some time. It is sent, and not shown.
    pub session_token: Option<Secret>,
    /// Region of the service: `us-east-1`.
    pub region: String,
    /// Name of the service: `s3`.
    pub service: String,
    /// Leave the body out of the signature.
    pub unsigned_payload: bool,
}

impl Signer {
    /// The rendered request with the headers of its signature, made at `at_s` seconds since 1970. `digest` is
    /// [`digest`] of its body where that is known already.
    pub fn sign(&self, request: &[u8], digest: Option<&str>, at_s: i64) -> Result<Vec<u8>, WireError> {
        let wrong = |why| WireError::Unsendable {
            what: "signed request",
            value: String::new(),
            why,
        };
        let broken = || wrong("it could not be read to be signed");
        let end = request
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .ok_or_else(broken)?;
        let body = &request[end + 4..];
        let head = std::str::from_utf8(&request[..end]).map_err(|_| broken())?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(broken());
        };
        let timestamp = Timestamp::from_second(at_s)
            .map_err(|_| wrong("this machine's clock shows no time that can be signed"))?
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let payload = if self.unsigned_payload {
            UNSIGNED.to_owned()
        } else {
            digest.map_or_else(|| self::digest(body), str::to_owned)
        };
        let mut own = vec![
            ("x-amz-content-sha256", payload.as_str()),
            ("x-amz-date", &timestamp),
        ];
        if let Some(token) = &self.session_token {
            own.push(("x-amz-security-token", token.reveal()));
        }
        let mut headers = own.clone();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(broken)?;
            if is_signed(name) {
                headers.push((name, value));
            }
        }
        let authorization = self.authorization(&Signed {
            method,
            target,
            headers: &headers,
            payload: &payload,
            timestamp: &timestamp,
        });
        let mut out = Vec::with_capacity(request.len() + 512);
        out.extend_from_slice(&request[..end]);
        for (name, value) in own.into_iter().chain([("authorization", authorization.as_str())]) {
            for part in ["\r\n", name, ": ", value] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(&request[end..]);
        Ok(out)
    }

    /// The value of the header that carries the signature.
    fn authorization(&self, signed: &Signed<'_>) -> String {
        let date = signed.timestamp.get(..8).unwrap_or_default();
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let (canonical, names) = signed.canonical();
        let text = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            signed.timestamp,
            digest(canonical.as_bytes())
        );
        let secret = format!("AWS4{}", self.secret_key.reveal()).into_bytes();
        let key = [date, &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(secret, |key, word| mac(&key, word));
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key.reveal(),
            hex::encode(mac(&key, &text))
        )
    }
}

/// Whether a header of the request is signed with it. The others may be changed on the way.
fn is_signed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "host" | "content-type" | "content-md5") || name.starts_with("x-amz-")
}

/// SHA-256 of a body, in hexadecimal digits.
pub fn digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What a signature is made over.
struct Signed<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    payload: &'a str,
    timestamp: &'a str,
}

impl Signed<'_> {
    /// The request in the one form that both sides make of it, and the names of its headers.
    fn canonical(&self) -> (String, String) {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let path = if path.is_empty() { "/" } else { path };
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), one_blank(value)))
            .collect();
        // The order of several lines of one name counts.
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        headers.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.push(',');
                first.1.push_str(&later.1);
            }
            same
        });
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let mut lines = String::new();
        for (name, value) in &headers {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{name}:{value}");
        }
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            self.method,
            again(path, IN_PATH),
            sorted(query),
            self.payload
        );
        (canonical, names)
    }
}

/// The pairs of a query, each spelt in the one way, in order.
fn sorted(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (again(name, IN_QUERY), again(value, IN_QUERY))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Percent-encoded anew, so that it does not matter how it was spelt.
fn again(text: &str, set: &'static AsciiSet) -> String {
    let plain = percent_decode_str(text).decode_utf8_lossy();
    utf8_percent_encode(&plain, set).to_string()
}

/// Without blanks at its ends, and with one where there were several.
fn one_blank(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use prony_model::Secret;

    use super::{Signed, Signer, UNSIGNED, digest};

    fn signer(access: &str, secret: &str, service: &str) -> Signer {
        Signer {
            access_key: Secret::new(access),
            secret_key: Secret::new(secret),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
            unsigned_payload: false,
        }
    }

    fn signature(authorization: &str) -> &str {
        authorization.rsplit('=').next().unwrap()
    }

    /// Cases of the published test suite of Signature Version 4 (`aws-sig-v4-test-suite`): name, method, target, further headers,
    /// body, signature.
    const PUBLISHED: &str = "\
get-vanilla|GET|/|||5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-vanilla-query-order-key-case|GET|/?Param2=value2&Param1=value1|||b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500
get-vanilla-query-unreserved|GET|/?ALL=ALL|||9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197
get-unreserved|GET|/ALL|||07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f
get-utf8|GET|/ሴ|||8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85
get-header-value-order|GET|/|My-Header1:value4;My-Header1:value1;My-Header1:value3;My-Header1:value2||08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01
get-header-value-trim|GET|/|My-Header1: value1;My-Header2: \"a   b   c\"||acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736
post-vanilla|POST|/|||5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b
post-vanilla-query|POST|/?Param1=value1|||28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11
post-header-key-sort|POST|/|My-Header1:value1||c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c
post-header-value-case|POST|/|My-Header1:VALUE1||cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d
post-x-www-form-urlencoded|POST|/|Content-Type:application/x-www-form-urlencoded|Param1=value1|ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";

    #[test]
    fn the_published_suite_is_signed_as_published() {
        const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        const AT: &str = "20150830T123600Z";
        let key = signer(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "service",
        );
        for line in PUBLISHED.lines() {
            let parts: Vec<&str> = line.split('|').collect();
            let [case, method, target, more, body, published] = parts[..] else {
                panic!("{line}")
            };
            let target = target.replace("ALL", UNRESERVED);
            let more = more.split(';').filter_map(|header| header.split_once(':'));
            let headers: Vec<(&str, &str)> = [("Host", "example.amazonaws.com"), ("X-Amz-Date", AT)]
                .into_iter()
                .chain(more)
                .collect();
            let made = key.authorization(&Signed {
                method,
                target: &target,
                headers: &headers,
                payload: &digest(body.as_bytes()),
                timestamp: AT,
            });
            assert_eq!(signature(&made), published, "{case}");
            assert!(made.contains(" Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
        }
    }

    /// The examples of "Authenticating Requests: Using the Authorization Header" of Amazon S3, whole requests.
    #[test]
    fn the_examples_of_s3_are_signed_as_published() {
        const AT_S: i64 = 1_369_353_600; // 2013-05-24 00:00:00
        let key = signer(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "s3",
        );
        for (start, published) in [
            (
                "GET /?lifecycle",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET /?max-keys=2&prefix=J",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let request =
                format!("{start} HTTP/1.1\r\nhost: examplebucket.s3.amazonaws.com\r\naccept: */*\r\n\r\n");
            let signed = key.sign(request.as_bytes(), None, AT_S).unwrap();
            let signed = String::from_utf8(signed).unwrap();
            let header = signed
                .lines()
                .find(|line| line.starts_with("authorization: "))
                .unwrap();
            assert_eq!(signature(header), published, "{signed}");
            assert!(
                header.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date, "),
                "{header}"
            );
            assert!(signed.starts_with(&request[..request.len() - 2]) && signed.ends_with("\r\n\r\n"));
            assert!(!signed.contains("K7MDENG"), "the secret half is never sent");
        }
        let made = key.authorization(&Signed {
            method: "PUT",
            target: "/test$file.text",
            headers: &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", &digest(b"Welcome to Amazon S3.")),
            ],
            payload: &digest(b"Welcome to Amazon S3."),
            timestamp: "20130524T000000Z",
        });
        assert_eq!(
            signature(&made),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }

    #[test]
    fn a_body_is_signed_unless_it_is_not_to_be() {
        let request = b"PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc";
        let text = |signer: &Signer, known: Option<&str>| {
            String::from_utf8(signer.sign(request, known, 0).unwrap()).unwrap()
        };
        let mut signer = signer("A", "s3cr3t", "s3");
        let whole = text(&signer, None);
        assert!(
            whole.contains(&format!("x-amz-content-sha256: {}\r\n", digest(b"abc"))),
            "{whole}"
        );
        assert!(whole.ends_with("\r\n\r\nabc"), "{whole}");
        assert_eq!(whole, text(&signer, Some(&digest(b"abc"))));
        signer.unsigned_payload = true;
        signer.session_token = Some(Secret::new("lent"));
        let open = text(&signer, None);
        assert!(
            open.contains(&format!("x-amz-content-sha256: {UNSIGNED}\r\n")),
            "{open}"
        );
        assert!(open.contains("x-amz-security-token: lent\r\n") && open.contains(";x-amz-security-token, "));
        assert!(!format!("{signer:?}").contains("s3cr3t") && !format!("{signer:?}").contains("lent"));
    }

    #[test]
    fn what_is_no_request_is_not_signed() {
        let signer = signer("A", "s", "s3");
        for broken in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nx\r\n\r\n",
            b"GET /\xff H\r\n\r\n",
        ] {
            assert!(signer.sign(broken, None, 0).is_err(), "{broken:?}");
        }
        assert!(
            signer
                .sign(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", None, i64::MAX)
                .is_err()
        );
    }
}
