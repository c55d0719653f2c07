//! The metrics for a scraper, in the text format of Prometheus.

use std::fmt::Write as _;

use crate::memory;

/// Figures that only the server knows.
pub(super) struct Figures {
    /// Requests served.
    pub(super) requests: u64,
    /// Bytes held on purpose.
    pub(super) kept_bytes: usize,
    /// Tokens of prompts, and those found in the cache.
    pub(super) prompt_tokens: (u64, u64),
    /// Crashes so far.
    pub(super) crashes: u64,
}

/// The page.
pub(super) fn page(figures: &Figures) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    metric(
        "http_requests_total",
        "counter",
        "Requests served.",
        figures.requests as f64,
    );
    metric(
        "prefix_cache_queries",
        "counter",
        "Tokens of prompts.",
        figures.prompt_tokens.0 as f64,
    );
    metric(
        "prefix_cache_hits",
        "counter",
        "Tokens of prompts found in the cache.",
        figures.prompt_tokens.1 as f64,
    );
    metric(
        "heap_held_bytes",
        "gauge",
        "Bytes held by the application.",
        figures.kept_bytes as f64,
    );
    metric(
        "restarts_total",
        "counter",
        "Restarts after a crash.",
        figures.crashes as f64,
    );
    if let Some(bytes) = memory::resident_bytes() {
        metric(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
            bytes as f64,
        );
    }
    text
}
