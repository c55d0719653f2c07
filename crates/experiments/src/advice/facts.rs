//! The figures that recommendations take, looked up once. Figures of findings that cannot be trusted are not there.

use prony_model::{
    Evidence, Figure, Finding, Objective, Outcome, PhaseResult, Role, Sample, Shape, Source, Verdict,
};
use prony_stats::mean;

use crate::RunView;
use crate::draft::source;
use crate::ladder::{is_used_up, steps, throughput_max};
use crate::metric::{CONFIDENCE, mean_interval};
use crate::timings::Timings;

/// What was measured.
pub(super) struct Facts<'a> {
    pub run: &'a RunView<'a>,
    pub findings: &'a [Finding],
    pub objective: &'a Objective,
    /// The endpoint that the load was on; empty when there was none.
    pub endpoint: String,
    /// Mean time of one request alone, in ms.
    pub solo: Option<Figure>,
    /// Highest throughput of the closed ladder, in 1/s.
    pub throughput: Option<Figure>,
    /// Highest open rate that keeps the objective, confirmed, in 1/s.
    pub capacity: Option<Figure>,
    /// Requests in flight from which on throughput is used up.
    pub knee: Option<Figure>,
    /// Longest response that users accept, in ms.
    pub limit: Option<Figure>,
    /// Time until a new worker serves, in s.
    pub cold_start: Option<Figure>,
    /// Health probes beside load.
    pub health: Option<Health<'a>>,
}

/// Calls of the health endpoint beside load on others.
pub(super) struct Health<'a> {
    /// The phase.
    pub phase: &'a PhaseResult,
    /// The health endpoint.
    pub name: &'a str,
    /// Load beside it, in 1/s.
    pub load_per_s: f64,
}

impl<'a> Facts<'a> {
    pub(super) fn gather(run: &'a RunView<'a>, findings: &'a [Finding], objective: &'a Objective) -> Self {
        let endpoint = loaded_endpoint(run, findings);
        let found = |id: &str, label: &str| figure(findings, id, label, &endpoint);
        let solo = solo(run, &endpoint);
        let throughput = found("serial-service", "highest throughput");
        let capacity = found("capacity", "sustained rate");
        let ladder = run.phase("ladder", &endpoint).map(steps).unwrap_or_default();
        let knee = found("capacity", "parallel slots").or_else(|| {
            knee(solo.as_ref(), throughput.as_ref()).filter(|knee| is_used_up(&ladder, knee.value))
        });
        let limit = objective
            .response_ms
            .map(stated)
            .or_else(|| found("capacity", "response limit"));
        Self {
            run,
            findings,
            objective,
            solo,
            throughput,
            capacity,
            knee,
            limit,
            cold_start: found("cold-start", "start of a worker")
                .or_else(|| found("cold-start", "cold start"))
                .map(in_seconds),
            health: health(run),
            endpoint,
        }
    }

    /// Whether throughput was not used up, so that its highest value is one that was reached and no limit.
    pub(super) fn is_rising(&self) -> bool {
        self.knee.is_none() && self.throughput.is_some() && self.solo.is_some()
    }

    /// What is missing for the requests in flight at the knee, and what to do first.
    pub(super) fn for_knee(&self) -> (&'static str, &'static str) {
        if self.is_rising() {
            (
                "a throughput that more requests at a time no longer raise",
                "run `ladder` with higher `connections`",
            )
        } else {
            (
                "the highest throughput, and the time of one request alone",
                "run `baseline` and `ladder`",
            )
        }
    }

    /// A figure of a finding about the loaded endpoint, or about the target as a whole.
    pub(super) fn found(&self, id: &str, label: &str) -> Option<Figure> {
        figure(self.findings, id, label, &self.endpoint)
    }
}

impl Health<'_> {
    /// The calls, in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Sample> {
        Timings::of(self.phase, self.name)
            .samples()
            .filter(|s| !s.outcome.is_own())
    }

    /// The load in words: as a part of the highest throughput where that is known.
    pub(super) fn load(&self, facts: &Facts<'_>) -> String {
        let share = throughput_max(facts.run, &facts.endpoint)
            .map(|x| format!(", {:.0} % of the highest throughput", 100.0 * self.load_per_s / x));
        format!(
            "{:.3} requests per second{}",
            self.load_per_s,
            share.unwrap_or_default()
        )
    }
}

/// A figure by its finding's id or experiment and its label: of that endpoint first, then of the target as a whole, then of any.
fn figure(findings: &[Finding], id: &str, label: &str, endpoint: &str) -> Option<Figure> {
    let trusted = |f: &&Finding| (f.id == id || f.experiment == id) && f.verdict != Verdict::Invalid;
    let labelled = |finding: &Finding| {
        finding.evidence.iter().find_map(|e| match e {
            Evidence::Figure(figure) if figure.label == label => Some(figure.clone()),
            _ => None,
        })
    };
    let about = |wanted: &str| {
        findings
            .iter()
            .filter(trusted)
            .filter(|f| f.endpoint == wanted)
            .find_map(labelled)
    };
    about(endpoint)
        .or_else(|| about(""))
        .or_else(|| findings.iter().filter(trusted).find_map(labelled))
}

/// The endpoint of the capacity search, else of the ladder, else of the sustained load.
fn loaded_endpoint(run: &RunView<'_>, findings: &[Finding]) -> String {
    let is_endpoint = |name: &str| run.surface.endpoints.iter().any(|e| e.name == name);
    let of_capacity = findings.iter().find(|f| f.id == "capacity").map(|f| &f.endpoint);
    let of_phase = |experiment: &str| {
        run.of(experiment)
            .map(|p| &p.phase.name)
            .find(|name| is_endpoint(name))
    };
    of_capacity
        .or_else(|| of_phase("ladder"))
        .or_else(|| of_phase("sustained"))
        .cloned()
        .unwrap_or_default()
}

fn solo(run: &RunView<'_>, endpoint: &str) -> Option<Figure> {
    let phase = run.phase("baseline", endpoint)?;
    let times = Timings::of(phase, endpoint).service_ms();
    if !phase.summary.validity.is_valid() || times.is_empty() {
        return None;
    }
    Some(Figure {
        label: "mean time of one request alone".to_owned(),
        value: mean(&times),
        unit: "ms".to_owned(),
        ci: mean_interval(&times, CONFIDENCE),
        n: times.len() as u64,
        source: source(phase, endpoint),
    })
}

/// Throughput times the time alone: where the asymptotic bounds of a closed system meet.
fn knee(solo: Option<&Figure>, throughput: Option<&Figure>) -> Option<Figure> {
    let (solo, throughput) = (solo?, throughput?);
    let per_ms = throughput.value / 1000.0;
    Some(Figure {
        label: "requests in flight at the knee".to_owned(),
        value: per_ms * solo.value,
        unit: "requests".to_owned(),
        ci: solo.ci.map(|(low, high)| (per_ms * low, per_ms * high)),
        n: throughput.n,
        source: throughput.source.clone(),
    })
}

/// A time of a finding in seconds.
pub(super) fn in_seconds(figure: Figure) -> Figure {
    if figure.unit != "ms" {
        return figure;
    }
    Figure {
        value: figure.value / 1000.0,
        ci: figure.ci.map(|(low, high)| (low / 1000.0, high / 1000.0)),
        unit: "s".to_owned(),
        ..figure
    }
}

fn stated(response_ms: f64) -> Figure {
    Figure {
        label: "longest response promised".to_owned(),
        value: response_ms,
        unit: "ms".to_owned(),
        ci: None,
        n: 0,
        source: Source::default(),
    }
}

/// Of all phases with calls of a health endpoint beside other load, the one with the most load.
fn health<'a>(run: &RunView<'a>) -> Option<Health<'a>> {
    let is_health = |name: &str| {
        run.surface
            .endpoints
            .iter()
            .any(|e| e.name == name && e.role == Role::Health)
    };
    run.phases
        .iter()
        .filter(|p| p.summary.validity.is_valid() && p.phase.scenarios.len() > 1)
        .filter_map(|phase| {
            let scenario = phase.phase.scenarios.iter().find(|s| is_health(&s.name))?;
            let Shape::Open { rate, .. } = phase.phase.shape else {
                return None;
            };
            let all: f64 = phase.phase.scenarios.iter().map(|s| s.weight).sum();
            Some(Health {
                phase,
                name: &scenario.name,
                load_per_s: rate * (1.0 - scenario.weight / all),
            })
        })
        .filter(|h| h.calls().any(|s| s.outcome == Outcome::Ok))
        .max_by(|a, b| a.load_per_s.total_cmp(&b.load_per_s))
}
