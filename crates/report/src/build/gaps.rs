//! What was not tested, and what could have been missed: computed from what was sent, never from what was meant.

use std::collections::BTreeSet;

use prony_model::{Body, Endpoint, Evidence, Figure, Nanos, PhaseSummary, Verdict};

use super::phase_label;
use super::summary::plural;
use crate::number::{number, span};
use crate::record::RunRecord;
use crate::report::{FindingEntry, Gaps, Missed, NoFailures, Section};

pub(super) fn build(run: &RunRecord, sections: &[Section], findings: &[FindingEntry]) -> Gaps {
    let phases = sections.iter().flat_map(|s| &s.phases);
    Gaps {
        no_failures: phases
            .filter(|p| p.summary.failed == 0 && p.summary.ok > 0)
            .map(|p| NoFailures {
                phase: p.anchor.clone(),
                label: p.label.clone(),
                n: p.summary.ok,
                rate_max: failure_rate_max(p.summary.ok),
            })
            .collect(),
        missed: findings.iter().filter_map(missed).collect(),
        untouched_endpoints: untouched(run),
        not_run: run
            .experiments
            .iter()
            .filter(|e| sections.iter().all(|s| s.experiment != e.name))
            .cloned()
            .collect(),
        limits: limits(run),
    }
}

/// The failure rate that no failure in `n` requests still allows, at 95 % confidence: `1 - 0.05^(1/n)`
/// (Clopper and Pearson 1934, one-sided). It supposes that requests fail independently of each other.
pub(crate) fn failure_rate_max(n: u64) -> f64 {
    if n == 0 {
        1.0
    } else {
        1.0 - 0.05_f64.powf(1.0 / n as f64)
    }
}

/// The figure by which a check that found no fault says how much it could not see: the smallest effect that it could have
/// seen where it states one, else the first figure with an interval.
fn missed(entry: &FindingEntry) -> Option<Missed> {
    if !matches!(entry.counted, Verdict::Pass | Verdict::Inconclusive) {
        return None;
    }
    let figures = || {
        entry.finding.evidence.iter().filter_map(|e| match e {
            Evidence::Figure(figure) => Some(figure),
            Evidence::Table(_) | Evidence::Quote { .. } => None,
        })
    };
    let smallest = figures().find(|f| f.label.starts_with("smallest "));
    let figure: &Figure = smallest.or_else(|| figures().find(|f| f.ci.is_some()))?;
    Some(Missed {
        finding: entry.anchor.clone(),
        title: entry.finding.title.clone(),
        figure: figure.clone(),
    })
}

fn untouched(run: &RunRecord) -> Vec<String> {
    let Some(surface) = &run.surface else {
        return Vec::new();
    };
    let mut sent: BTreeSet<(&str, &str)> = BTreeSet::new();
    for scenario in run.started.iter().flat_map(|s| &s.phase.scenarios) {
        for item in &scenario.items {
            let path = item.request.path.split(['?', '#']).next().unwrap_or_default();
            sent.insert((item.request.method.as_str(), path));
        }
    }
    let touched = |e: &Endpoint| {
        sent.iter()
            .any(|(method, path)| *method == e.method && fits(&e.path, path))
    };
    surface
        .endpoints
        .iter()
        .filter(|e| !touched(e))
        .map(|e| e.name.clone())
        .collect()
}

/// Whether a path is one of a template's: segment by segment, `{name}` standing for any text.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if segment_fits(wanted, given) => {}
            _ => return false,
        }
    }
}

fn segment_fits(template: &str, segment: &str) -> bool {
    let Some((before, rest)) = template.split_once('{') else {
        return template == segment;
    };
    let Some((_, after)) = rest.split_once('}') else {
        return template == segment;
    };
    let Some(tail) = segment.strip_prefix(before) else {
        return false;
    };
    // What follows the parameter may hold parameters itself: try every place where it could begin.
    (1..=tail.len())
        .filter(|&i| tail.is_char_boundary(i))
        .any(|i| segment_fits(after, &tail[i..]))
}

fn limits(run: &RunRecord) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(most) = run
        .phases
        .iter()
        .max_by_key(|p| p.in_flight_max)
        .filter(|p| p.in_flight_max > 0)
    {
        let were = if most.in_flight_max == 1 {
            "request was"
        } else {
            "requests were"
        };
        out.push(format!(
            "At most {} {were} in flight at once, in the phase \"{}\": nothing is known of more.",
            most.in_flight_max,
            phase_label(run, &most.experiment, &most.name)
        ));
    }
    let open = run
        .phases
        .iter()
        .filter(|p| p.open_loop && p.offered_per_s.is_finite());
    if let Some(most) = open.max_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s)) {
        out.push(format!(
            "The highest rate that was offered whatever the target did was {} per second, in the phase \"{}\".",
            number(most.offered_per_s),
            phase_label(run, &most.experiment, &most.name)
        ));
    } else if !run.phases.is_empty() {
        out.push(
            "Every phase waited for answers before it sent more (closed loop): how long requests wait when they \
             arrive on their own was not measured."
                .to_owned(),
        );
    }
    if let Some(longest) = run
        .phases
        .iter()
        .map(|p| p.ended - p.started)
        .max()
        .filter(|&d| d > Nanos::ZERO)
    {
        out.push(format!(
            "The longest phase took {}: what takes longer to show, as a slow leak or an hourly job, could not show.",
            span(longest)
        ));
    }
    out.extend(short_of_tail(&run.phases));
    out.extend(inputs(run));
    out.extend(hours(run));
    if !run.phases.is_empty() {
        out.push(
            "This is one run against one address: how much results differ from run to run, after a restart of the target, \
             or with another number of replicas behind it, was not measured."
                .to_owned(),
        );
    }
    out
}

/// How many different requests all of this rests on.
fn inputs(run: &RunRecord) -> Option<String> {
    let mut distinct: BTreeSet<(&str, &str, String)> = BTreeSet::new();
    let mut filled = false;
    for scenario in run.started.iter().flat_map(|s| &s.phase.scenarios) {
        filled |= scenario.slots.is_some();
        for item in &scenario.items {
            let body = match &item.request.body {
                Body::Empty => String::new(),
                body => format!("{body:?}"),
            };
            distinct.insert((&item.request.method, &item.request.path, body));
        }
    }
    (!distinct.is_empty() && !filled).then(|| {
        format!(
            "The load was made of {}: other inputs, larger ones or another mix of them may be slower or fail.",
            plural(distinct.len() as u64, "different request")
        )
    })
}

/// When the load ran, by the clock.
fn hours(run: &RunRecord) -> Option<String> {
    let (date, time) = run.header.started_at.split_once('T')?;
    let first = run.phases.iter().map(|p| p.started).min()?;
    let last = run.phases.iter().map(|p| p.ended).max()?;
    Some(format!(
        "All load ran within {} from {} on {date}: other hours, with other users and other neighbours, were not measured.",
        span(last - first),
        time.get(..5)?
    ))
}

fn short_of_tail(phases: &[PhaseSummary]) -> Option<String> {
    let rows = phases
        .iter()
        .flat_map(|p| &p.rows)
        .filter(|r| !r.outcome.is_own() && r.response.n > 0);
    let (mut all, mut short) = (0, 0);
    for row in rows {
        all += 1;
        short += u64::from(
            row.response
                .quantiles
                .iter()
                .any(|q| (q.p - 0.99).abs() < 1e-9 && q.needs_n > 0),
        );
    }
    (short > 0).then(|| {
        format!(
            "In {short} of {} of the tables there were too few requests for a 99th percentile: the slowest answers \
             there are not known.",
            plural(all, "row")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{failure_rate_max, fits};

    #[test]
    fn no_failure_in_fifty_still_allows_six_per_cent() {
        // 1 - 0.05^(1/50) = 0.0581551
        assert!((failure_rate_max(50) - 0.058_155_1).abs() < 1e-6);
        assert!((failure_rate_max(1) - 0.95).abs() < 1e-12);
        assert!((failure_rate_max(0) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn paths_fit_their_templates() {
        assert!(fits("/api/slides/{id}/info", "/api/slides/s_1/info"));
        assert!(!fits("/api/slides/{id}/info", "/api/slides/s_1"));
        assert!(!fits("/api/slides/{id}", "/api/slides/"));
        assert!(fits("/t/{level}/{col}_{row}.jpeg", "/t/8/0_12.jpeg"));
        assert!(!fits("/t/{level}/{col}_{row}.jpeg", "/t/8/0-12.jpeg"));
        assert!(fits("/", "/"));
        assert!(fits("/ü/{x}", "/ü/ßä"));
    }
}
