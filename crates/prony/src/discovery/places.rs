//! The usual places of documents and health endpoints.

use prony_model::{Captured, Request, Role};
use serde_json::Value;

use super::Fetch;

/// Where frameworks serve an OpenAPI document: FastAPI and its usual moves, Spring, ASP.NET, NestJS, Connexion, go-swagger, BentoML,
/// Text Generation Inference and Text Embeddings Inference.
const DOCUMENTS: &[&str] = &[
    "/openapi.json",
    "/api/openapi.json",
    "/api/v1/openapi.json",
    "/v1/openapi.json",
    "/docs/openapi.json",
    "/api/docs/openapi.json",
    "/swagger.json",
    "/api/swagger.json",
    "/swagger/v1/swagger.json",
    "/docs.json",
    "/api-doc/openapi.json",
    "/api-docs",
    "/v3/api-docs",
    "/api-json",
    "/.well-known/openapi.json",
];

/// Pages that name the document when it has been moved.
const PAGES: &[&str] = &[
    "/docs",
    "/api/docs",
    "/redoc",
    "/api/redoc",
    "/swagger",
    "/swagger-ui/index.html",
];

/// Endpoints that do no work and stand at the same place on many servers.
pub(super) const WELL_KNOWN: &[(&str, Role)] = &[
    ("/health", Role::Health),
    ("/api/health", Role::Health),
    ("/healthz", Role::Health),
    ("/livez", Role::Health),
    ("/readyz", Role::Health),
    ("/health/live", Role::Health),
    ("/health/ready", Role::Health),
    ("/ping", Role::Health),
    ("/status", Role::Status),
    ("/api/status", Role::Status),
    ("/metrics", Role::Metrics),
    ("/v1/models", Role::Listing),
];

/// Those of them that tell health.
pub(crate) fn health_paths() -> impl Iterator<Item = &'static str> {
    let is_health = |(path, role): &(&'static str, Role)| (*role == Role::Health).then_some(*path);
    WELL_KNOWN.iter().filter_map(is_health)
}

/// What the target answers to a path that cannot exist. Where that is a success, as of single-page applications and catch-all
/// handlers, the same answer elsewhere proves nothing; where it is not, its words tell one framework from another.
pub(super) fn elsewhere(fetch: &mut dyn Fetch) -> Captured {
    fetch.fetch(&Request::get("/no-such-path-7c1e0f3b"))
}

/// The first OpenAPI document found, with its place.
pub(super) fn documents(fetch: &mut dyn Fetch, path: &str, first: &Captured) -> Option<(String, Value)> {
    if let Some(document) = as_document(first) {
        return Some((path.to_owned(), document));
    }
    let base = path.trim_end_matches('/');
    let mut places: Vec<String> = DOCUMENTS.iter().map(|&p| p.to_owned()).collect();
    if !base.is_empty() {
        places.insert(0, format!("{base}/openapi.json"));
    }
    for place in places {
        if let Some(document) = as_document(&fetch.fetch(&Request::get(&place))) {
            return Some((place, document));
        }
    }
    // A root document may say where its docs are: {"docs": "/api/docs"}.
    let mut pages: Vec<String> = PAGES.iter().map(|&p| p.to_owned()).collect();
    if let Some(Value::String(page)) = first.json().and_then(|j| j.get("docs").cloned())
        && page.starts_with('/')
    {
        pages.insert(0, page);
    }
    for page in pages {
        let answer = fetch.fetch(&Request::get(&page));
        if answer.status != 200 {
            continue;
        }
        for place in named_documents(&answer.body) {
            if let Some(document) = as_document(&fetch.fetch(&Request::get(&place))) {
                return Some((place, document));
            }
        }
    }
    None
}

/// The first OpenAPI document below these paths, with its place.
pub(super) fn below(fetch: &mut dyn Fetch, bases: &[String]) -> Option<(String, Value)> {
    bases.iter().filter(|base| base.len() > 1).find_map(|base| {
        let place = format!("{}/openapi.json", base.trim_end_matches('/'));
        let document = as_document(&fetch.fetch(&Request::get(&place)))?;
        Some((place, document))
    })
}

fn as_document(answer: &Captured) -> Option<Value> {
    if answer.status != 200 {
        return None;
    }
    let json = answer.json()?;
    let is_openapi = json
        .get("openapi")
        .or_else(|| json.get("swagger"))
        .is_some_and(Value::is_string);
    (is_openapi && json.get("paths").is_some_and(Value::is_object)).then_some(json)
}

/// Whether a path ends in that extension, in any case.
pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case(extension))
}

/// Same-origin paths ending in `.json` that a documentation page quotes.
fn named_documents(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for quoted in page.split(['"', '\'']) {
        let candidate = quoted.trim();
        let plain = candidate.len() <= 200 && candidate.starts_with('/') && !candidate.starts_with("//");
        if plain && has_extension(candidate, "json") && !found.iter().any(|f| f == candidate) {
            found.push(candidate.to_owned());
        }
        if found.len() == 5 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::named_documents;

    #[test]
    fn a_swagger_page_names_its_document() {
        let page = r#"<script>const ui = SwaggerUIBundle({ url: '/x/spec/openapi.json', "dom_id": '#swagger' })
            </script><link href="//cdn.example/y.json"><a href="https://elsewhere/z.json">"#;
        assert_eq!(named_documents(page), ["/x/spec/openapi.json"]);
    }
}
