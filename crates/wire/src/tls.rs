//! TLS client configuration and its errors in plain words. Moves no bytes: see [`crate::Stream`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prony_model::HttpVersion;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::WireError;

/// Names of the protocols in the handshake (ALPN).
const HTTP1: &[u8] = b"http/1.1";
pub(crate) const HTTP2: &[u8] = b"h2";

/// Whom to trust and who to be. By default: the public authorities, nobody, and sessions are taken up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trust any certificate.
    pub insecure: bool,
    /// PEM file with further authorities to trust.
    pub cacert: Option<PathBuf>,
    /// PEM file with the client certificate and its chain.
    pub cert: Option<PathBuf>,
    /// PEM file with the key of `cert`; by default it is in the same file.
    pub key: Option<PathBuf>,
    /// Make a whole handshake on every connection instead of taking up the session of an earlier one.
    pub no_resumption: bool,
}

/// A configuration for these options that offers this version of HTTP, or both (ALPN). Connections that share it share
/// their sessions.
pub fn client_config(options: &TlsOptions, http: HttpVersion) -> Result<Arc<ClientConfig>, WireError> {
    let setup = |e: rustls::Error| WireError::TlsSetup { why: e.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = if options.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnyone { provider }))
    } else {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = &options.cacert {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|e| unusable(path, e.to_string()))?;
            }
        }
        builder.with_root_certificates(roots)
    };
    let mut config = match &options.cert {
        None if options.key.is_some() => {
            return Err(WireError::TlsSetup {
                why: "a key without its certificate: give both, --cert FILE and --key FILE".to_owned(),
            });
        }
        None => builder.with_no_client_auth(),
        Some(cert) => {
            let key_file = options.key.as_ref().unwrap_or(cert);
            let (chain, key) = (certificates(cert)?, key(key_file)?);
            builder.with_client_auth_cert(chain, key).map_err(|e| match e {
                rustls::Error::InconsistentKeys(_) => unusable(
                    key_file,
                    format!(
                        "it is not the key of the certificate in {:?}",
                        cert.display().to_string()
                    ),
                ),
                other => unusable(key_file, other.to_string()),
            })?
        }
    };
    config.alpn_protocols = match http {
        HttpVersion::Http1 => vec![HTTP1.to_vec()],
        HttpVersion::Http2 => vec![HTTP2.to_vec()],
        HttpVersion::Auto => vec![HTTP2.to_vec(), HTTP1.to_vec()],
    };
    if options.no_resumption {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

/// The name to verify and to send as SNI.
pub fn server_name(host: &str) -> Result<ServerName<'static>, WireError> {
    ServerName::try_from(host.to_owned()).map_err(|e| WireError::TlsSetup {
        why: format!("host {host:?} cannot be in a certificate: {e}"),
    })
}

/// Whether an error says that the peer offers none of the protocols that we do.
pub(crate) fn is_wrong_protocol(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
    )
}

/// A TLS error in words that say what to do next.
pub fn explain(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    let text = match error {
        InvalidMessage(_) => "the answer is not TLS: the port speaks plain HTTP: use http://",
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired: renew it at the server, or use --insecure"
        }
        InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the certificate is not valid yet: check the clocks of both machines, or use --insecure"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the certificate is for another name: use the name that it was made for, with --server-name NAME if it \
             is not the host in the URL, or use --insecure"
        }
        InvalidCertificate(_) => {
            "the certificate is not trusted: give its authority with --cacert FILE, or use --insecure"
        }
        AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate: give one with --cert FILE --key FILE"
        }
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => {
            "the server does not accept our client certificate: give one that it trusts with --cert FILE --key FILE"
        }
        AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server does not know the name: give the one that it serves with --server-name NAME"
        }
        AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server refused the handshake: it may want a client certificate (--cert FILE --key FILE) or another \
             name (--server-name NAME), or share no cipher with us"
        }
        AlertReceived(AlertDescription::ProtocolVersion) | PeerIncompatible(_) => {
            "the server shares no version of TLS with us: it must speak TLS 1.2 or 1.3"
        }
        AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server does not speak the version of HTTP that it was asked for: drop --http2"
        }
        _ => "the TLS connection failed",
    };
    format!("{text} ({error})")
}

/// The certificates of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WireError> {
    let fail = |e: rustls_pki_types::pem::Error| unusable(path, e.to_string());
    let found = CertificateDer::pem_file_iter(path)
        .map_err(fail)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    if found.is_empty() {
        return Err(unusable(
            path,
            "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".to_owned(),
        ));
    }
    Ok(found)
}

/// The first private key of a PEM file. What is in the file is never part of an error.
fn key(path: &Path) -> Result<PrivateKeyDer<'static>, WireError> {
    let text = std::fs::read(path).map_err(|e| unusable(path, e.to_string()))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let locked = text.windows(9).any(|w| w == b"ENCRYPTED");
        let why = if locked {
            "its key is encrypted: write it without a password (openssl pkey -in FILE -out PLAIN) and protect the file"
        } else {
            "it holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
        };
        unusable(path, why.to_owned())
    })
}

fn unusable(path: &Path, why: String) -> WireError {
    WireError::Certificate {
        path: path.display().to_string(),
        why,
    }
}

/// Accepts every certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct TrustAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
