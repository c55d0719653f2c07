//! TLS client configuration and its errors in plain words. Moves no bytes: see [`crate::Stream`].

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::WireError;

/// A configuration that trusts the public roots, and the certificates of `cacert` when given. With `insecure` it
/// trusts anyone. Offers HTTP/1.1 only.
pub fn client_config(insecure: bool, cacert: Option<&Path>) -> Result<Arc<ClientConfig>, WireError> {
    let setup = |e: rustls::Error| WireError::TlsSetup { why: e.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let mut config = if insecure {
        let verifier = Arc::new(TrustAnyone { provider });
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth()
    } else {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = cacert {
            add_file(&mut roots, path)?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name to verify and to send as SNI.
pub fn server_name(host: &str) -> Result<ServerName<'static>, WireError> {
    ServerName::try_from(host.to_owned()).map_err(|e| WireError::TlsSetup {
        why: format!("host {host:?} cannot be in a certificate: {e}"),
    })
}

/// A handshake error in words that say what to do next.
pub fn explain(error: &rustls::Error) -> String {
    let mut text = match error {
        rustls::Error::InvalidMessage(_) => {
            "the answer is not TLS: the port speaks plain HTTP: use http://".to_owned()
        }
        rustls::Error::InvalidCertificate(_) => {
            "the certificate is not trusted: give its authority with --cacert FILE, or use --insecure"
                .to_owned()
        }
        _ => "the TLS handshake failed".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = write!(text, " ({error})");
    text
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), WireError> {
    let fail = |why: String| WireError::Certificate {
        path: path.display().to_string(),
        why,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| fail(e.to_string()))?;
    let mut added = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| fail(e.to_string()))?;
        roots.add(certificate).map_err(|e| fail(e.to_string()))?;
        added += 1;
    }
    if added == 0 {
        Err(fail("it holds no PEM certificate".to_owned()))
    } else {
        Ok(())
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
