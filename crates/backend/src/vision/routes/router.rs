//! The table of routes: from method and path to the handler.

use std::sync::Arc;

use axum::http::{Method, Uri};

use super::super::app::Vision;
use super::super::kserve;
use super::{Ask, images, inference, jobs, models, service};
use crate::fastapi::params::percent_decode;
use crate::fastapi::reply::Reply;
use crate::recorder::Visit;

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// Method and path template, its name in the account.
    pub(crate) endpoint: &'static str,
    page: Page,
}

#[derive(Debug, Clone, Copy)]
enum Page {
    Root,
    Health,
    OpenApi,
    Docs,
    Metrics,
    Upload,
    Images,
    Image,
    Models,
    Model,
    Load,
    Unload,
    Single,
    Batch,
    Jobs,
    Job,
    Cancel,
    Kserve(kserve::Page),
}

const fn route(endpoint: &'static str, page: Page) -> Route {
    Route { endpoint, page }
}

static ROUTES: [Route; 34] = [
    route("GET /", Page::Root),
    route("GET /health", Page::Health),
    route("GET /openapi.json", Page::OpenApi),
    route("GET /docs", Page::Docs),
    route("GET /metrics", Page::Metrics),
    route("POST /api/v1/images", Page::Upload),
    route("GET /api/v1/images", Page::Images),
    route("GET /api/v1/images/{image_id}", Page::Image),
    route("GET /api/v1/models", Page::Models),
    route("GET /api/v1/models/{model_id}", Page::Model),
    route("POST /api/v1/models/{model_id}/load", Page::Load),
    route("POST /api/v1/models/{model_id}/unload", Page::Unload),
    route("POST /api/v1/inference/single", Page::Single),
    route("POST /api/v1/inference/batch", Page::Batch),
    route("GET /api/v1/inference/jobs", Page::Jobs),
    route("GET /api/v1/inference/jobs/{job_id}", Page::Job),
    route("POST /api/v1/inference/jobs/{job_id}/cancel", Page::Cancel),
    route("GET /v2", Page::Kserve(kserve::Page::Server)),
    route("GET /v2/health/live", Page::Kserve(kserve::Page::Live)),
    route("GET /v2/health/ready", Page::Kserve(kserve::Page::Ready)),
    route("GET /v2/models/stats", Page::Kserve(kserve::Page::AllStats)),
    route("GET /v2/models/{model}", Page::Kserve(kserve::Page::Metadata)),
    route(
        "GET /v2/models/{model}/versions/{version}",
        Page::Kserve(kserve::Page::Metadata),
    ),
    route(
        "GET /v2/models/{model}/ready",
        Page::Kserve(kserve::Page::ModelReady),
    ),
    route(
        "GET /v2/models/{model}/versions/{version}/ready",
        Page::Kserve(kserve::Page::ModelReady),
    ),
    route(
        "GET /v2/models/{model}/config",
        Page::Kserve(kserve::Page::Config),
    ),
    route(
        "GET /v2/models/{model}/versions/{version}/config",
        Page::Kserve(kserve::Page::Config),
    ),
    route("GET /v2/models/{model}/stats", Page::Kserve(kserve::Page::Stats)),
    route(
        "GET /v2/models/{model}/versions/{version}/stats",
        Page::Kserve(kserve::Page::Stats),
    ),
    route("POST /v2/models/{model}/infer", Page::Kserve(kserve::Page::Infer)),
    route(
        "POST /v2/models/{model}/versions/{version}/infer",
        Page::Kserve(kserve::Page::Infer),
    ),
    route("POST /v2/repository/index", Page::Kserve(kserve::Page::Index)),
    route(
        "POST /v2/repository/models/{model}/load",
        Page::Kserve(kserve::Page::Load),
    ),
    route(
        "POST /v2/repository/models/{model}/unload",
        Page::Kserve(kserve::Page::Unload),
    ),
];

/// Finds the route of a request, or the router's own answer.
pub(crate) fn find(method: &Method, uri: &Uri) -> Result<(&'static Route, Vec<String>), Reply> {
    let path = percent_decode(uri.path(), false);
    let matching: Vec<_> = ROUTES
        .iter()
        .filter_map(|route| Some((route, params(route.path(), &path)?)))
        .collect();
    let allowed = match matching.as_slice() {
        [] => return Err(Reply::not_found("Not Found")),
        [(one, _), more @ ..] if more.iter().all(|(other, _)| other.method() == one.method()) => one.method(),
        _ => "GET, POST",
    };
    matching
        .into_iter()
        .find(|(route, _)| route.method() == method.as_str())
        .ok_or_else(|| Reply::method_not_allowed(allowed))
}

impl Route {
    fn method(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(method, _)| method)
    }

    fn path(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(_, path)| path)
    }
}

/// The parameters of a path that fits a template.
fn params(template: &str, path: &str) -> Option<Vec<String>> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut params = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        if wanted.starts_with('{') && !given.is_empty() {
            params.push(given.to_owned());
        } else if wanted != given {
            return None;
        }
    }
    Some(params)
}

/// Answers.
pub(crate) async fn answer(server: &Arc<Vision>, route: &Route, ask: Ask, visit: &mut Visit) -> Reply {
    let settled = match route.page {
        Page::Root => Ok(service::root()),
        Page::Health => Ok(service::health(server)),
        Page::OpenApi => Ok(Reply::json(&server.openapi)),
        Page::Docs => Ok(service::docs(server)),
        Page::Metrics => Ok(service::metrics(server)),
        Page::Upload => images::upload(server, ask).await,
        Page::Images => images::list(server, &ask),
        Page::Image => images::get(server, &ask),
        Page::Models => models::list(server, &ask),
        Page::Model => models::get(server, &ask),
        Page::Load => models::load(server, &ask).await,
        Page::Unload => models::unload(server, &ask),
        Page::Single => inference::single(server, &ask, visit).await,
        Page::Batch => inference::batch(server, &ask),
        Page::Jobs => jobs::list(server, &ask),
        Page::Job => jobs::get(server, &ask),
        Page::Cancel => jobs::cancel(server, &ask),
        Page::Kserve(page) => kserve::answer(server, page, &ask, visit).await,
    };
    settled.unwrap_or_else(|refusal| refusal)
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    #[test]
    fn finds_routes_and_methods() {
        let find =
            |method: &str, path: &str| match super::find(&method.parse().unwrap(), &path.parse().unwrap()) {
                Ok((route, params)) => (200, route.endpoint.to_owned(), params.join(" ")),
                Err(reply) => {
                    let allow = reply.headers.iter().find(|(name, _)| *name == header::ALLOW);
                    let allow = allow.map_or("", |(_, value)| value.to_str().unwrap()).to_owned();
                    (reply.status.as_u16(), allow, String::new())
                }
            };
        let ok = |endpoint: &str, params: &str| (200, endpoint.to_owned(), params.to_owned());
        assert_eq!(find("GET", "/"), ok("GET /", ""));
        assert_eq!(
            find("POST", "/v2/models/a%20b/versions/1/infer"),
            ok("POST /v2/models/{model}/versions/{version}/infer", "a b 1")
        );
        assert_eq!(find("PUT", "/api/v1/images").1, "GET, POST");
        assert_eq!(find("GET", "/v2/models/stats"), ok("GET /v2/models/stats", ""));
        assert_eq!(find("PUT", "/v2/models/stats").1, "GET");
        assert_eq!(find("GET", "/api/v1/inference/single").1, "POST");
        for path in [
            "/nope",
            "/api/v1/images/",
            "/v2/models//infer",
            "/api/v1/images/a/b",
        ] {
            assert_eq!(find("GET", path).0, 404, "{path}");
        }
    }
}
