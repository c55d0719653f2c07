//! Who trusts whom in TLS: authorities, names, dates and client certificates; and sessions that are taken up again.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use prony_model::HttpVersion;
use prony_wire::{Link, LinkError, Peer, Received, Stream, TlsOptions, WireError, tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).unwrap();
        Self {
            pem: made.pem(),
            der: made.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a name, valid to the end of the year.
    fn sign(&self, name: &str, until: i32) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 12, 31));
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A server with this certificate that answers `hello` and closes; with `clients` it wants a certificate of theirs.
fn server((certificate, key): (rcgen::Certificate, KeyPair), clients: Option<&Authority>) -> Peer {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(
        builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::from(listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut word = [0; 5];
            if stream.read_exact(&mut word).is_ok() {
                // A client that is gone does not want it.
                let _ = stream.write_all(&word);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    peer
}

fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>, WireError> {
    tls::client_config(options, HttpVersion::Http1)
}

fn link(options: &TlsOptions, name: &str) -> Link {
    let config = config(options).unwrap();
    Link::Tls(config, tls::server_name(name).unwrap())
}

/// Says hello, waits for the echo; whether the session was an earlier one's.
fn greet(peer: &Peer, link: &Link) -> Result<bool, LinkError> {
    let mut stream = Stream::dial(peer, None, link)?;
    while !stream.connected()? || !stream.ready()? {
        thread::yield_now();
    }
    let mut written = 0;
    while written < 5 {
        written += stream.write(&b"hello"[written..])?;
    }
    let (mut total, mut buffer) = (0, [0; 100]);
    loop {
        match stream.read(&mut buffer)? {
            Received::Bytes(n) => total += n,
            Received::Blocked => thread::yield_now(),
            Received::Closed => break,
        }
    }
    assert_eq!(total, 5);
    Ok(stream.resumed().unwrap())
}

/// What the failure of a greeting says.
fn words(peer: &Peer, options: &TlsOptions, name: &str) -> String {
    match greet(peer, &link(options, name)) {
        Err(LinkError::Tls(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("prony-trust-{}-{number}.pem", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions {
        cacert: Some(file(&authority.pem)),
        ..TlsOptions::default()
    }
}

#[test]
fn names_and_dates_are_verified_and_the_words_say_what_to_do() {
    let authority = Authority::new();
    let options = trusting(&authority);
    let good = server(authority.sign("app.test", 2099), None);
    assert_eq!(greet(&good, &link(&options, "app.test")), Ok(false));
    let why = words(&good, &options, "other.test");
    assert!(
        why.contains("another name") && why.contains("--server-name"),
        "{why}"
    );
    let why = words(&good, &TlsOptions::default(), "app.test");
    assert!(why.contains("--cacert"), "{why}");
    let old = server(authority.sign("app.test", 2001), None);
    let why = words(&old, &options, "app.test");
    assert!(why.contains("has expired") && why.contains("--insecure"), "{why}");
    let insecure = TlsOptions {
        insecure: true,
        ..TlsOptions::default()
    };
    assert_eq!(greet(&old, &link(&insecure, "other.test")), Ok(false));
}

#[test]
fn a_client_certificate_opens_the_door() {
    let (authority, others) = (Authority::new(), Authority::new());
    let peer = server(authority.sign("app.test", 2099), Some(&authority));
    let options = trusting(&authority);
    let why = words(&peer, &options, "app.test");
    assert!(
        why.contains("wants a client certificate") && why.contains("--cert FILE"),
        "{why}"
    );

    let (mine, key) = authority.sign("me.test", 2099);
    let apart = TlsOptions {
        cert: Some(file(&mine.pem())),
        key: Some(file(&key.serialize_pem())),
        ..options.clone()
    };
    assert_eq!(greet(&peer, &link(&apart, "app.test")), Ok(false));
    let together = TlsOptions {
        cert: Some(file(&(mine.pem() + &key.serialize_pem()))),
        ..options.clone()
    };
    assert_eq!(greet(&peer, &link(&together, "app.test")), Ok(false));

    let (stranger, key) = others.sign("me.test", 2099);
    let refused = TlsOptions {
        cert: Some(file(&(stranger.pem() + &key.serialize_pem()))),
        ..options
    };
    let why = words(&peer, &refused, "app.test");
    assert!(why.contains("does not accept our client certificate"), "{why}");
}

#[test]
fn sessions_are_taken_up_again_unless_told_otherwise() {
    let authority = Authority::new();
    let peer = server(authority.sign("app.test", 2099), None);
    let shared = link(&trusting(&authority), "app.test");
    assert_eq!(greet(&peer, &shared), Ok(false));
    assert_eq!(greet(&peer, &shared), Ok(true));
    let whole = TlsOptions {
        no_resumption: true,
        ..trusting(&authority)
    };
    let whole = link(&whole, "app.test");
    assert_eq!(greet(&peer, &whole), Ok(false));
    assert_eq!(greet(&peer, &whole), Ok(false));
}

#[test]
fn files_that_are_of_no_use_say_why_without_their_content() {
    let authority = Authority::new();
    let (mine, key) = authority.sign("me.test", 2099);
    let (_, other) = authority.sign("you.test", 2099);
    let cert = Some(file(&mine.pem()));
    let broken = |cert: &Option<PathBuf>, key: Option<PathBuf>| {
        let options = TlsOptions {
            cert: cert.clone(),
            key,
            ..TlsOptions::default()
        };
        let error = config(&options).unwrap_err();
        assert!(
            matches!(error, WireError::Certificate { .. } | WireError::TlsSetup { .. }),
            "{error:?}"
        );
        error.to_string()
    };
    let secret: String = key.serialize_pem().lines().nth(1).unwrap().to_owned();
    let garbled = format!("-----BEGIN PRIVATE KEY-----\n{secret}");
    for (error, hint) in [
        (broken(&cert, None), "no private key"),
        (
            broken(&cert, Some(file(&other.serialize_pem()))),
            "not the key of the certificate",
        ),
        (broken(&cert, Some(file(&garbled))), "no private key"),
        (
            broken(
                &cert,
                Some(file(
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                )),
            ),
            "openssl pkey",
        ),
        (broken(&cert, Some("/nonexistent/key.pem".into())), "No such file"),
        (broken(&None, Some(file(&key.serialize_pem()))), "--cert FILE"),
        (broken(&Some(file(&secret)), None), "no PEM certificate"),
    ] {
        assert!(
            error.contains(hint) && !error.contains(&secret),
            "{hint}: {error}"
        );
    }
}
