//! What a user is told when the backend cannot start.

use crate::client;

use client::{Server, options};
use prony_backend::{BackendError, serve};

fn refusal(options: prony_backend::ServeOptions) -> BackendError {
    serve(
        options,
        |_| panic!("it should not become ready"),
        std::future::pending(),
    )
    .unwrap_err()
}

#[test]
fn names_are_checked_with_a_suggestion() {
    let text = refusal(options("ensofixed", &[])).to_string();
    assert!(text.contains("did you mean 'enso-fixed'?"), "{text}");
    let text = refusal(options("enso", &[("lazyload", "true")])).to_string();
    assert!(
        text.contains("did you mean 'lazy_load'?") && text.contains("device_ms"),
        "{text}"
    );
    let text = refusal(options("enso", &[("serial", "perhaps")])).to_string();
    assert!(text.contains("use true or false"), "{text}");
    let text = refusal(options("truth", &[("servers", "0")])).to_string();
    assert!(text.contains("whole number from 1"), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    let server = Server::start("truth", &[]);
    let mut second = options("truth", &[]);
    second.port = server.service.port();
    let text = refusal(second).to_string();
    assert!(
        text.contains(&server.service.to_string()) && text.contains("--port"),
        "{text}"
    );
}

#[test]
fn a_missing_slides_folder_is_named() {
    let mut wanted = options("enso", &[]);
    wanted.slides = Some("/nonexistent/slides".into());
    assert!(refusal(wanted).to_string().contains("/nonexistent/slides"));
}
