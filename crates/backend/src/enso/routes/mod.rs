//! The table of routes. One file per group of handlers; `router` finds the route, `ask` is what a handler is given.

mod analyze;
mod ask;
mod embed;
mod health;
mod report;
mod router;
mod search;
mod slides;
mod tiles;

pub(crate) use ask::Ask;
use ask::{checked, failed, image_missing, settled, slide_missing};
pub(crate) use router::{Route, Weight, find};
use router::{heavy, light};

/// Every route. A segment in braces stands for any one segment; a POST's body is read.
static ROUTES: &[Route] = &[
    light("GET /health", health::health),
    light("GET /api/health", health::health),
    light("GET /api/perf/latency-summary", health::latency_summary),
    light("GET /", health::root),
    light("GET /docs", health::docs_redirect),
    light("GET /redoc", health::redoc_redirect),
    light("GET /openapi.json", health::openapi),
    light("GET /api/docs", health::docs),
    light("GET /api/redoc", health::docs),
    light("GET /api/slides", slides::list),
    light("GET /api/slides/{slide_id}/info", slides::info),
    light("GET /api/slides/{slide_id}/dzi", tiles::descriptor),
    heavy(
        "GET /api/slides/{slide_id}/dzi_files/{level}/{tile_spec}",
        tiles::tile,
    ),
    heavy("GET /api/slides/{slide_id}/thumbnail", tiles::thumbnail),
    heavy("POST /api/analyze", analyze::analyze),
    heavy("POST /api/report", report::report),
    heavy("GET /api/heatmap/{slide_id}", analyze::heatmap),
    heavy("POST /api/embed", embed::embed),
    light("GET /api/embed/status", embed::status),
    heavy("GET /api/similar", search::similar),
    heavy("POST /api/semantic-search", search::semantic),
    light("GET /api/semantic-search/status", search::status),
];
