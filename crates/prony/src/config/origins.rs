//! What `[origin.NAME]` tables and the steps that name them must satisfy. Resolves nothing and reads no secret.

use prony_model::{SignSpec, StepSpec, Suite};

use super::document::Document;
use super::validate::secret_headers;
use crate::cli::is_token;
use crate::diagnostic::{Diagnostic, nearest};
use crate::{origins, target_url};

type Checked = Result<(), Diagnostic>;

/// The tables themselves.
pub(super) fn check(suite: &Suite, document: &Document) -> Checked {
    for (name, spec) in &suite.origin {
        let at = |key: &str| format!("origin.{name}.{key}");
        match origins::beside(&spec.url) {
            Some(("", _)) => {
                return Err(document
                    .error(&at("url"), "`beside:` needs a name")
                    .next("write beside:store/BUCKET for the object store of `demo:runpod`"));
            }
            Some(_) => {}
            None => {
                let url = target_url::parse(&spec.url).map_err(|diagnostic| Diagnostic {
                    place: document.error(&at("url"), "").place,
                    ..diagnostic
                })?;
                if matches!(url.scheme(), "grpc" | "grpcs") {
                    return Err(document
                        .error(
                            &at("url"),
                            "an origin beside the target is reached over HTTP/1.1, not over gRPC",
                        )
                        .next("make it the target of a suite of its own, or give its HTTP address"));
                }
            }
        }
        if let Some(i) = spec.headers.iter().position(|h| !is_token(&h.name)) {
            return Err(document.error(&at(&format!("headers.{i}.name")), "this is no header name"));
        }
        secret_headers(&spec.headers, document, &format!("origin.{name}"))?;
        if let Some(SignSpec::S3(sign)) = &spec.sign {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if sign.region.is_empty() || !sign.region.bytes().all(plain) {
                return Err(document
                    .error(&at("sign.s3.region"), "this is no name of a region")
                    .next("write what the store calls itself, such as us-east-1"));
            }
        }
    }
    let beside = origins::used(suite)
        .into_iter()
        .find(|(_, spec)| origins::beside(&spec.url).is_some());
    let fresh = suite.phase.iter().position(|phase| phase.fresh);
    if let (Some((name, _)), Some(i)) = (beside, fresh) {
        return Err(document
            .error(
                &format!("phase.{i}.fresh"),
                format!("a target that is started anew has origin `{name}` at another address"),
            )
            .next("leave out `fresh`, or put the phase into a suite of its own"));
    }
    Ok(())
}

/// The origin that a step names.
pub(super) fn step(step: &StepSpec, suite: &Suite, document: &Document, path: &str) -> Checked {
    let Some(name) = step
        .origin
        .as_ref()
        .filter(|name| !suite.origin.contains_key(*name))
    else {
        return Ok(());
    };
    let diagnostic = document.error(&format!("{path}.origin"), format!("there is no origin `{name}`"));
    Err(match nearest(name, suite.origin.keys().map(String::as_str)) {
        Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
        None => diagnostic.next(format!("add `[origin.{name}]` with `url = \"...\"`")),
    })
}
