//! TLS against a real server: trusted, distrusted and insecure.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use prony_model::HttpVersion;
use prony_wire::{Link, LinkError, Peer, Received, Stream, TlsOptions, WireError, tls};
use rustls::{ServerConfig, ServerConnection};

/// A server for `localhost` that greets whoever finishes the handshake; and its certificate as PEM.
fn server() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut byte = [0; 5];
            if stream.read_exact(&mut byte).is_ok() && &byte == b"hello" {
                let _ = stream.write_all(&vec![b'w'; 100_000]);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (address, made.cert.pem())
}

/// Says hello and counts the bytes of the answer.
fn greet(address: &SocketAddr, link: &Link) -> Result<usize, LinkError> {
    let mut stream = Stream::dial(&Peer::Tcp(*address), None, link)?;
    while !stream.connected()? || !stream.ready()? {
        thread::yield_now();
    }
    let mut written = 0;
    while written < 5 {
        written += stream.write(&b"hello"[written..])?;
    }
    let (mut total, mut buffer) = (0, vec![0; 1000]);
    loop {
        match stream.read(&mut buffer)? {
            Received::Bytes(n) => total += n,
            Received::Blocked => thread::yield_now(),
            Received::Closed => return Ok(total),
        }
    }
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("prony-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn trust_decides() {
    let (address, pem) = server();
    let name = tls::server_name("localhost").unwrap();
    let link = |insecure, cacert: Option<&PathBuf>| {
        let options = TlsOptions {
            insecure,
            cacert: cacert.cloned(),
            ..TlsOptions::default()
        };
        Link::Tls(
            tls::client_config(&options, HttpVersion::Http1).unwrap(),
            name.clone(),
        )
    };
    assert_eq!(greet(&address, &link(true, None)), Ok(100_000));
    let path = file("ca.pem", &pem);
    assert_eq!(greet(&address, &link(false, Some(&path))), Ok(100_000));
    std::fs::remove_file(&path).unwrap();
    let Err(LinkError::Tls(why)) = greet(&address, &link(false, None)) else {
        panic!("trusted a stranger")
    };
    assert!(why.contains("--cacert") && why.contains("--insecure"), "{why}");
}

#[test]
fn a_file_without_certificates_is_a_user_error() {
    let path = file("empty.pem", "nothing here\n");
    let options = TlsOptions {
        cacert: Some(path.clone()),
        ..TlsOptions::default()
    };
    let error = tls::client_config(&options, HttpVersion::Http1).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, WireError::Certificate { .. }), "{error}");
    assert!(
        tls::client_config(&options, HttpVersion::Http1).is_err(),
        "a missing file"
    );
}
