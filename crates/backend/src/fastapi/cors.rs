//! Cross-origin headers as Starlette's `CORSMiddleware` sends them with credentials allowed, any method and any header.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::reply::Reply;

const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The answer to a preflight request, which never reaches the application.
pub(crate) fn preflight(method: &Method, headers: &HeaderMap, origins: &[&str]) -> Option<Reply> {
    let origin = headers.get(header::ORIGIN)?;
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    if method != Method::OPTIONS {
        return None;
    }
    let mut failures = Vec::new();
    let allowed = is_allowed(origin, origins);
    if !allowed {
        failures.push("origin");
    }
    if !wanted
        .to_str()
        .is_ok_and(|wanted| METHODS.split(", ").any(|method| method == wanted))
    {
        failures.push("method");
    }
    let (status, text) = if failures.is_empty() {
        (StatusCode::OK, "OK".to_owned())
    } else {
        (
            StatusCode::BAD_REQUEST,
            format!("Disallowed CORS {}", failures.join(", ")),
        )
    };
    let mut reply = Reply::new(status, "text/plain; charset=utf-8", text)
        .with(header::VARY, HeaderValue::from_static("Origin"))
        .with(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        )
        .with(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"))
        .with(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    if allowed {
        reply = reply.with(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    if let Some(names) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        reply = reply.with(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Some(reply)
}

/// Adds the headers of a simple request.
pub(crate) fn decorate(reply: &mut Reply, headers: &HeaderMap, origins: &[&str]) {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return;
    };
    let mut add = |name: HeaderName, value: HeaderValue| reply.headers.push((name, value));
    add(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    if is_allowed(origin, origins) {
        add(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        add(header::VARY, HeaderValue::from_static("Origin"));
    }
}

fn is_allowed(origin: &HeaderValue, origins: &[&str]) -> bool {
    origins
        .iter()
        .any(|allowed| origin.as_bytes() == allowed.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINS: &[&str] = &["http://localhost:3000"];

    fn ask(origin: &'static str, method: &'static str) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(
            header::ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static(method),
        );
        preflight(&Method::OPTIONS, &headers, ORIGINS).unwrap()
    }

    #[test]
    fn preflights_answer_as_starlette_does() {
        assert_eq!(
            (
                ask("http://localhost:3000", "POST").status,
                ask("http://localhost:3000", "POST").body.as_ref()
            ),
            (StatusCode::OK, b"OK".as_ref())
        );
        assert_eq!(
            ask("http://localhost:3000", "BREW").body.as_ref(),
            b"Disallowed CORS method"
        );
        assert_eq!(
            ask("http://evil.test", "BREW").body.as_ref(),
            b"Disallowed CORS origin, method"
        );
        assert!(preflight(&Method::OPTIONS, &HeaderMap::new(), ORIGINS).is_none());
    }
}
