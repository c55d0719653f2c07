//! What the application itself tells of its latest answers, by route: `GET /api/perf/latency-summary`. It is the server's view, which a
//! client can hold against its own. As the document is that of an earlier version, it does not name it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Answers remembered.
const SAMPLES_MAX: usize = 2000;
/// Routes told of, the slowest first.
const ROUTES_MAX: usize = 25;
/// Routes that are not remembered: they say nothing of the work.
const LEFT_OUT: [&str; 7] = [
    "GET /api/perf/latency-summary",
    "GET /health",
    "GET /api/health",
    "GET /api/docs",
    "GET /api/redoc",
    "GET /docs",
    "GET /redoc",
];

/// The latest answers.
#[derive(Debug, Default)]
pub(crate) struct Perf {
    latest: Mutex<VecDeque<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    route: &'static str,
    status: u16,
    ms: f64,
}

impl Perf {
    /// An answer is ready.
    pub(crate) fn answered(&self, route: &'static str, status: u16, time: Duration) {
        if LEFT_OUT.contains(&route) {
            return;
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == SAMPLES_MAX {
            latest.pop_front();
        }
        latest.push_back(Sample {
            route,
            status,
            ms: time.as_secs_f64() * 1000.0,
        });
    }

    /// The summary.
    pub(crate) fn to_json(&self) -> Value {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut by_route: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for sample in &latest {
            by_route.entry(sample.route).or_default().push(*sample);
        }
        let mut routes: Vec<(f64, Value)> = by_route
            .into_iter()
            .map(|(route, samples)| {
                let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
                for sample in &samples {
                    *statuses.entry(sample.status).or_default() += 1;
                }
                let (p50, p95, max) = summary(samples.iter().map(|sample| sample.ms));
                let told = json!({
                    "route": route, "count": samples.len(), "p50_ms": p50, "p95_ms": p95, "max_ms": max,
                    "status_counts": statuses,
                });
                (p95, told)
            })
            .collect();
        routes.sort_by(|one, other| other.0.total_cmp(&one.0));
        let told: Vec<Value> = routes
            .into_iter()
            .take(ROUTES_MAX)
            .map(|(_, told)| told)
            .collect();
        let (p50, p95, max) = summary(latest.iter().map(|sample| sample.ms));
        json!({
            "enabled": true, "summary_enabled": true, "max_samples": SAMPLES_MAX, "route_limit": ROUTES_MAX,
            "summary": { "window_samples": latest.len(), "p50_ms": p50, "p95_ms": p95, "max_ms": max, "routes": told },
        })
    }
}

/// Median, 95th percentile and largest, to the microsecond; between two values it is interpolated.
fn summary(times: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut sorted: Vec<f64> = times.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = sorted.len().saturating_sub(1);
        let rank = last as f64 * share;
        let (low, high) = (rank.floor() as usize, (rank.floor() as usize + 1).min(last));
        match (sorted.get(low), sorted.get(high)) {
            (Some(low), Some(high)) => ((low + (high - low) * rank.fract()) * 1000.0).round() / 1000.0,
            _ => 0.0,
        }
    };
    (at(0.5), at(0.95), at(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answers_are_told_by_route_the_slowest_first() {
        let perf = Perf::default();
        assert_eq!(perf.to_json()["summary"]["p95_ms"], json!(0.0));
        for ms in [10, 20, 30] {
            perf.answered("GET /api/slides", 200, Duration::from_millis(ms));
        }
        perf.answered("POST /api/analyze", 404, Duration::from_millis(200));
        perf.answered("GET /health", 200, Duration::from_secs(9));
        let told = &perf.to_json()["summary"];
        assert_eq!(
            (&told["window_samples"], &told["max_ms"]),
            (&json!(4), &json!(200.0))
        );
        assert_eq!(
            told["routes"][0],
            json!({
                "route": "POST /api/analyze", "count": 1, "p50_ms": 200.0, "p95_ms": 200.0, "max_ms": 200.0,
                "status_counts": { "404": 1 },
            })
        );
        assert_eq!(
            (&told["routes"][1]["p50_ms"], &told["routes"][1]["p95_ms"]),
            (&json!(20.0), &json!(29.0))
        );
        for _ in 0..SAMPLES_MAX {
            perf.answered("GET /api/similar", 200, Duration::from_millis(1));
        }
        let told = &perf.to_json()["summary"];
        assert_eq!(told["window_samples"], json!(SAMPLES_MAX));
        assert_eq!(told["routes"].as_array().unwrap().len(), 1);
    }
}
