//! Throughput against interactivity: the steps of a rising concurrency as points of a curve, and which of them nobody would give
//! up. The view model; formats lay it out.

use prony_model::{Distribution, PhaseSummary, StreamSummary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{phase_anchor, phase_label};
use crate::record::RunRecord;

/// The experiment whose steps are phases of their own.
const BY_PHASES: &str = "interactivity";

/// The curve of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Curve {
    /// Anchor in the report.
    pub anchor: String,
    /// Label of the phase, or name of the experiment whose phases are its points.
    pub label: String,
    /// Scenario name.
    pub scenario: String,
    /// Its points, by rising concurrency.
    pub points: Vec<CurvePoint>,
}

/// One concurrency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Anchor of its phase.
    pub phase: String,
    /// Streams at once.
    pub connections: u32,
    /// Good answers.
    pub ok: u64,
    /// Answers that failed.
    pub failed: u64,
    /// Output tokens per second in all.
    pub tokens_per_s: f64,
    /// Output tokens per second that one user gets: 1 over the mean TPOT.
    pub user_tokens_per_s: f64,
    /// Median time to first token; `None` where not estimable, as with the others.
    pub ttft_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub ttft_p99_ms: Option<f64>,
    /// Median inter-token latency.
    pub itl_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub itl_p99_ms: Option<f64>,
    /// Whether no other point gives as many tokens in all and as many to each user, and more of one.
    pub is_pareto: bool,
}

/// The curves of a run: scenarios that were streamed at two concurrencies or more.
pub(crate) fn build(run: &RunRecord) -> Vec<Curve> {
    let mut curves: Vec<(String, Curve)> = Vec::new();
    for phase in &run.phases {
        let mut names = phase.streams.iter().map(|s| &s.scenario);
        let first = names.next();
        if names.any(|name| Some(name) != first) {
            // Of a mix it is not known how many of each were at once.
            continue;
        }
        for summary in phase.streams.iter().filter(|s| s.connections > 0) {
            let Some(point) = point(phase, summary) else {
                continue;
            };
            let (key, label) = place(run, phase);
            let key = format!("{key} {}", summary.scenario);
            match curves.iter_mut().find(|(known, _)| *known == key) {
                Some((_, curve)) => curve.points.push(point),
                None => curves.push((
                    key,
                    Curve {
                        anchor: String::new(),
                        label,
                        scenario: summary.scenario.clone(),
                        points: vec![point],
                    },
                )),
            }
        }
    }
    let mut curves: Vec<Curve> = curves.into_iter().map(|(_, curve)| curve).collect();
    for curve in &mut curves {
        // A phase that was measured once more counts as it was at last.
        curve.points.reverse();
        curve.points.sort_by_key(|p| p.connections);
        curve.points.dedup_by_key(|p| p.connections);
        mark(&mut curve.points);
    }
    curves.retain(|curve| curve.points.len() > 1);
    for (i, curve) in curves.iter_mut().enumerate() {
        curve.anchor = format!("curve-{}", i + 1);
    }
    curves
}

/// What the points of a curve have in common.
fn place(run: &RunRecord, phase: &PhaseSummary) -> (String, String) {
    if phase.experiment == BY_PHASES {
        (BY_PHASES.to_owned(), BY_PHASES.to_owned())
    } else {
        // A phase that was measured once more has the name of the first attempt.
        (
            format!("{} {}", phase.experiment, phase.name),
            phase_label(run, &phase.experiment, &phase.name),
        )
    }
}

fn point(phase: &PhaseSummary, s: &StreamSummary) -> Option<CurvePoint> {
    let speaks = s.ok > 0 && s.tpot.n > 0 && s.tpot.mean_ns > 0.0 && s.tokens_per_s > 0.0;
    let at = |d: &Distribution, p: f64| d.at(p).map(|q| q.value.as_millis_f64());
    speaks.then(|| CurvePoint {
        phase: phase_anchor(phase.index),
        connections: s.connections,
        ok: s.ok,
        failed: s.failed,
        tokens_per_s: s.tokens_per_s,
        user_tokens_per_s: 1e9 / s.tpot.mean_ns,
        ttft_p50_ms: at(&s.ttft, 0.5),
        ttft_p99_ms: at(&s.ttft, 0.99),
        itl_p50_ms: at(&s.itl, 0.5),
        itl_p99_ms: at(&s.itl, 0.99),
        is_pareto: false,
    })
}

fn mark(points: &mut [CurvePoint]) {
    let all: Vec<(f64, f64)> = points
        .iter()
        .map(|p| (p.tokens_per_s, p.user_tokens_per_s))
        .collect();
    for (point, own) in points.iter_mut().zip(&all) {
        let beaten = all
            .iter()
            .any(|other| other.0 >= own.0 && other.1 >= own.1 && (other.0 > own.0 || other.1 > own.1));
        point.is_pareto = !beaten;
    }
}
