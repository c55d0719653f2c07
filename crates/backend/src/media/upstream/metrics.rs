//! The generation service's metrics for a scraper, in the text format of Prometheus: its own count of what it answered.

use std::fmt::Write as _;

use axum::http::StatusCode;

use crate::fastapi::reply::Reply;
use crate::media::ledger::Ledger;

/// The page.
pub(super) fn page(ledger: &Ledger) -> Reply {
    let mut text =
        "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n".to_owned();
    for (route, statuses) in ledger.statuses() {
        let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
        for (status, count) in statuses {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "http_requests_total{{method=\"{method}\",path=\"{path}\",status=\"{status}\"}} {count}"
            );
        }
    }
    Reply::new(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
