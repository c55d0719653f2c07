//! What a target says of its own utilisation: numbers in its JSON and in its page for Prometheus whose names speak of a share in
//! use. It knows naming habits and judges nothing.

use prony_model::{Captured, Endpoint, PhaseResult, Role, Source};

use super::{NAME, STATE};
use crate::RunView;
use crate::answer::answers;
use crate::draft::{Draft, source};
use crate::leaf::leaves;

/// A share that stays higher by so much after the load than before it has not come back.
const RISE_MIN: f64 = 0.05;
/// Of the rise that was seen at any moment, so much must be there at the end.
const KEPT_MIN: f64 = 0.9;
/// Most utilisations that are followed.
const COURSES_MAX: usize = 8;

/// One utilisation, before and after.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Who says so.
    pub endpoint: String,
    name: String,
    /// In the preflight, before any work.
    pub first: f64,
    /// After all load.
    pub last: f64,
    highest: f64,
    /// Whether it counts to 100 and not to 1.
    percent: bool,
    readings: usize,
    here: Source,
}

impl Course {
    /// What is full.
    pub(super) fn full(&self) -> f64 {
        if self.percent { 100.0 } else { 1.0 }
    }

    /// Whether it rose and has not come down.
    pub(super) fn stays_up(&self) -> bool {
        let rise = self.last - self.first;
        rise >= RISE_MIN * self.full() && rise >= KEPT_MIN * (self.highest - self.first)
    }

    /// Its name in words.
    pub(super) fn says(&self) -> String {
        prony_model::name_words(&self.name).join(" ")
    }

    /// A value, as a percentage.
    pub(super) fn shown(&self, value: f64) -> String {
        format!("{:.0} %", 100.0 * value / self.full())
    }

    /// As evidence.
    pub(super) fn evidence(&self, draft: Draft) -> Draft {
        let of = |value: f64| 100.0 * value / self.full();
        let label = |when: &str| format!("{} {when}, as {} says", self.says(), self.endpoint);
        draft
            .figure(&label("at first"), of(self.first), "%", self.readings, &self.here)
            .figure(
                &label("after all load"),
                of(self.last),
                "%",
                self.readings,
                &self.here,
            )
    }
}

/// Whether an endpoint may tell of the target's state.
pub(super) fn may_tell(endpoint: &Endpoint) -> bool {
    let plain = endpoint.method == "GET" && !endpoint.path.contains('{');
    plain
        && matches!(
            endpoint.role,
            Role::Health | Role::Status | Role::Metrics | Role::Listing
        )
}

/// The utilisations that were read both at first and at the end, the freshest pages first: a page for Prometheus may lag.
pub(super) fn courses(run: &RunView<'_>) -> Vec<Course> {
    let (Some(before), Some(after)) = (run.phase("coverage", "preflight"), run.phase(NAME, STATE)) else {
        return Vec::new();
    };
    let mut found: Vec<Course> = Vec::new();
    for endpoint in run.surface.endpoints.iter().filter(|e| may_tell(e)) {
        let all: Vec<Vec<(String, f64)>> = run.phases.iter().map(|phase| read(phase, endpoint)).collect();
        let at_first = read(before, endpoint);
        for (name, last) in read(after, endpoint) {
            let Some((_, first)) = at_first.iter().find(|(n, _)| *n == name) else {
                continue;
            };
            let series: Vec<f64> = all
                .iter()
                .flatten()
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| *v)
                .collect();
            found.push(Course {
                endpoint: endpoint.name.clone(),
                first: *first,
                last,
                highest: series.iter().copied().fold(last, f64::max),
                percent: is_percent(&name) || series.iter().any(|v| *v > 1.5),
                readings: series.len(),
                here: source(after, &endpoint.name),
                name,
            });
        }
    }
    // A figure that changed tells more than one that nobody updates.
    found.sort_by_key(|course| !course.stays_up());
    found.truncate(COURSES_MAX);
    found
}

/// The utilisations in the last answer of an endpoint in a phase, whatever its status: a probe that says "not ready" may say why.
fn read(phase: &PhaseResult, endpoint: &Endpoint) -> Vec<(String, f64)> {
    let seen = answers(phase, &endpoint.name);
    let last = seen.iter().rev().find_map(|a| a.captured);
    last.map(values).unwrap_or_default()
}

fn values(captured: &Captured) -> Vec<(String, f64)> {
    if let Some(json) = captured.json() {
        return leaves(&json)
            .into_iter()
            .filter(|leaf| is_utilisation(leaf.key()))
            .filter_map(|leaf| Some((leaf.key().to_owned(), share(leaf.value.as_f64()?)?)))
            .collect();
    }
    captured
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let plain = name.split('{').next().unwrap_or_default();
            is_utilisation(plain).then_some(())?;
            Some((plain.to_owned(), share(value.trim().parse().ok()?)?))
        })
        .take(64)
        .collect()
}

fn share(value: f64) -> Option<f64> {
    (0.0..=100.0).contains(&value).then_some(value)
}

fn is_percent(name: &str) -> bool {
    prony_model::name_words(name)
        .iter()
        .any(|word| ["pct", "percent", "percentage"].contains(&word.as_str()))
}

/// A share of something in use. Processors and devices are busy or not; what they were says nothing of what was kept.
fn is_utilisation(name: &str) -> bool {
    let words = prony_model::name_words(name);
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let is_share = has(&["utilization", "utilisation", "occupancy"])
        || (has(&["usage", "used"]) && has(&["pct", "perc", "percent", "percentage", "ratio", "share"]));
    is_share && !has(&["cpu", "gpu", "device", "network", "cache", "memory", "disk"])
}

#[cfg(test)]
mod tests {
    use super::is_utilisation;

    #[test]
    fn a_share_in_use_is_told_by_its_name() {
        for name in [
            "pool_utilization_ratio",
            "poolUtilizationPct",
            "kv_usage_perc",
            "slot_occupancy",
        ] {
            assert!(is_utilisation(name), "{name}");
        }
        for name in [
            "gpu_utilization",
            "cache_usage_ratio",
            "usage",
            "used_bytes",
            "requests_total",
        ] {
            assert!(!is_utilisation(name), "{name}");
        }
    }
}
