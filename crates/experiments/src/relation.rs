//! Which status endpoint speaks for which work, judged from paths alone.

use prony_model::{Endpoint, Role};

/// How far a status endpoint's word reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The endpoints at and under its parent path.
    Part,
    /// The whole target.
    Whole,
    /// It does not speak for that endpoint.
    Nothing,
}

/// What a status endpoint says about an endpoint: `/api/x/status` speaks for `/api/x` and what is under it; one
/// whose parent is the root or only a prefix like `/api/v1` speaks for the whole target.
pub(crate) fn reach(status: &Endpoint, work: &Endpoint) -> Reach {
    let parent = parent(&status.path);
    if is_prefix(parent) {
        return Reach::Whole;
    }
    let under = work
        .path
        .strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if under { Reach::Part } else { Reach::Nothing }
}

/// The path that a status endpoint belongs to.
pub(crate) fn parent(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit_once('/')
        .map_or("", |(parent, _)| parent)
}

/// Whether an endpoint tells the state of something.
pub(crate) fn tells_state(endpoint: &Endpoint) -> bool {
    matches!(endpoint.role, Role::Health | Role::Status) && endpoint.method == "GET"
}

/// Whether a path names no thing yet: empty, `/api`, `/v1`, `/api/v2`, `/health`.
fn is_prefix(path: &str) -> bool {
    path.split('/').filter(|s| !s.is_empty()).all(|segment| {
        let version = segment
            .strip_prefix('v')
            .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
        version || ["api", "rest", "health", "healthz", "internal", "system", "public"].contains(&segment)
    })
}

#[cfg(test)]
mod tests {
    use prony_model::{Endpoint, Expect, Role};

    use super::{Reach, reach};

    fn at(path: &str) -> Endpoint {
        Endpoint {
            name: path.into(),
            method: "GET".into(),
            path: path.into(),
            role: Role::Status,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: Vec::new(),
            expect: Expect::default(),
        }
    }

    #[test]
    fn paths_tell_who_speaks_for_whom() {
        for (status, work, expected) in [
            ("/api/search/status", "/api/search", Reach::Part),
            ("/api/search/status", "/api/search/deep", Reach::Part),
            ("/api/search/status", "/api/searching", Reach::Nothing),
            ("/api/search/status", "/api/embed", Reach::Nothing),
            ("/health", "/api/embed", Reach::Whole),
            ("/api/v1/status", "/other", Reach::Whole),
            ("/v1/models/a/ready", "/v1/models/a/predict", Reach::Part),
        ] {
            assert_eq!(reach(&at(status), &at(work)), expected, "{status} {work}");
        }
    }
}
