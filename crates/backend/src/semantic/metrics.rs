//! The counters that Prometheus scrapes. It knows names and numbers only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::engine::Engine;
use super::native::utilisation;

/// Upper bounds of the duration buckets in seconds.
const BUCKETS_S: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    hits: AtomicU64,
    misses: AtomicU64,
    /// The utilisation that the last readiness probe saw, in millionths: as observed, nothing else updates it.
    probed: AtomicU64,
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [u64; BUCKETS_S.len()],
    count: u64,
    sum_s: f64,
}

impl Metrics {
    /// An answer was given.
    pub(super) fn answered(&self, endpoint: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((endpoint, status)).or_default() += 1;
        let mut durations = lock(&self.durations);
        let page = durations.entry(endpoint).or_default();
        let took_s = took.as_secs_f64();
        for (count, bound) in page.buckets.iter_mut().zip(BUCKETS_S) {
            *count += u64::from(took_s <= bound);
        }
        page.count += 1;
        page.sum_s += took_s;
    }

    /// A prompt was looked up in the cache.
    pub(super) fn looked_up(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A readiness probe saw this utilisation in percent.
    pub(super) fn probed(&self, percent: f64) {
        self.probed.store((percent * 1e4) as u64, Ordering::Relaxed);
    }

    /// The text format. `stale`: the utilisation is the one of the last readiness probe.
    pub(super) fn page(&self, engine: &Engine, agents: usize, stale: bool) -> String {
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{text}");
        };
        let labels = |endpoint: &str| {
            let (method, path) = endpoint.split_once(' ').unwrap_or(("", endpoint));
            format!("method=\"{method}\",path=\"{path}\"")
        };
        line(format_args!(
            "# HELP semantic_request_total Requests answered.\n# TYPE semantic_request_total counter"
        ));
        for ((endpoint, status), count) in lock(&self.requests).iter() {
            let labels = labels(endpoint);
            line(format_args!(
                "semantic_request_total{{{labels},status_code=\"{status}\"}} {count}"
            ));
        }
        line(format_args!(
            "# HELP semantic_request_duration_seconds Time from a request's head to the end of its answer.\n\
             # TYPE semantic_request_duration_seconds histogram"
        ));
        for (endpoint, page) in lock(&self.durations).iter() {
            let labels = labels(endpoint);
            for (count, bound) in page.buckets.iter().zip(BUCKETS_S) {
                line(format_args!(
                    "semantic_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"
                ));
            }
            let (count, sum) = (page.count, page.sum_s);
            line(format_args!(
                "semantic_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}"
            ));
            line(format_args!(
                "semantic_request_duration_seconds_sum{{{labels}}} {sum}"
            ));
            line(format_args!(
                "semantic_request_duration_seconds_count{{{labels}}} {count}"
            ));
        }
        let load = engine.load();
        let ratio = if stale {
            self.probed.load(Ordering::Relaxed) as f64 / 1e6
        } else {
            utilisation(&load.pool) / 100.0
        };
        for (name, help, value) in [
            (
                "semantic_pool_utilization_ratio",
                "Share of the block pool in use.",
                ratio,
            ),
            ("semantic_agents_active", "Agents known.", agents as f64),
            (
                "semantic_requests_running",
                "Requests in the batch.",
                load.running as f64,
            ),
            (
                "semantic_requests_waiting",
                "Requests that wait.",
                load.waiting as f64,
            ),
        ] {
            line(format_args!(
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
            ));
        }
        line(format_args!(
            "# HELP semantic_cache_hit_total Prompts looked up in the cache.\n# TYPE semantic_cache_hit_total counter"
        ));
        for (result, counter) in [("hit", &self.hits), ("miss", &self.misses)] {
            let count = counter.load(Ordering::Relaxed);
            line(format_args!(
                "semantic_cache_hit_total{{result=\"{result}\"}} {count}"
            ));
        }
        out
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
