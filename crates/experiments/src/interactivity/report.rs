//! The words for what a sweep found.

use prony_model::{Distribution, Finding, Severity, Source, Verdict};

use super::NAME;
use super::curve::{Point, is_flat, pareto, points};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::wording::{digits, resting_on};

const ID: &str = "throughput-interactivity";

const COLUMNS: [&str; 12] = [
    "at once",
    "answers",
    "failed",
    "output tokens/s",
    "95 % interval",
    "tokens/s of a user",
    "TTFT p50 (ms)",
    "TTFT p95 (ms)",
    "TTFT p99 (ms)",
    "ITL p50 (ms)",
    "ITL p99 (ms)",
    "Pareto",
];

/// Nothing could be swept: said where scenarios were named.
pub(super) fn nothing(names: Option<&[String]>) -> Option<Finding> {
    let names = names?.join(", ");
    Some(
        Draft::new(NAME, ID, "")
            .advisory()
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "No curve was measured: the scenarios {names} are not all in the suite, or not all streams"
            ))
            .done(),
    )
}

/// The curve of one scenario.
pub(super) fn finding(run: &RunView<'_>, scenario: &str, planned: &[u32]) -> Finding {
    let points = points(run, scenario);
    let draft = Draft::new(NAME, ID, scenario).advisory();
    let Some(best) = points
        .iter()
        .max_by(|a, b| a.tokens_per_s.0.total_cmp(&b.tokens_per_s.0))
    else {
        let tried = run.of(NAME).filter(|p| p.scenario(scenario).is_some()).count();
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("Too few streams of {scenario} ended well for a curve"))
            .detail(format!(
                "{tried} steps were made; each needs a good answer of several tokens from every stream at once, and five at least."
            ))
            .advice("Give the sweep more time (`duration_s`), or fewer steps (`connections`).", "")
            .done();
    };
    let evidence = source(best.phase, scenario);
    let worth = pareto(
        &points
            .iter()
            .map(|p| (p.tokens_per_s.0, p.user_per_s))
            .collect::<Vec<_>>(),
    );
    let rows = points
        .iter()
        .zip(&worth)
        .map(|(point, worth)| row(point, *worth))
        .collect();
    let fewest = &points[0];
    let last = points[points.len() - 1].connections;
    let stopped = planned.iter().any(|n| *n > last) && is_flat(&points);
    let draft = figures(draft, best, fewest, &evidence);
    let mut detail = vec![
        "A closed loop at each step. The tokens in all are those of good answers between the first token and the last request sent, in \
         ten stretches after the first fifth; a user's speed is 1 over the mean TPOT. A step is on the Pareto front when no other gives as much of both."
            .to_owned(),
    ];
    if stopped {
        detail.push(format!(
            "Steps above {last} at once were left out: the last two surely brought no 5 % more tokens (95 % intervals), so more streams \
             would only wait longer."
        ));
    }
    let phases: Vec<_> = points.iter().map(|p| p.phase).collect();
    let finding = draft
        .title(format!(
            "{scenario}: up to {} output tokens per second at {} at once, where a user gets {}; {} at {} at once{}",
            digits(best.tokens_per_s.0),
            best.connections,
            digits(best.user_per_s),
            digits(fewest.user_per_s),
            fewest.connections,
            if stopped { "; more at once brings nothing" } else { "" }
        ))
        .detail(detail.join(" "))
        .table("Throughput against interactivity", &COLUMNS, rows, &evidence)
        .done();
    resting_on(finding, &phases)
}

fn figures(draft: Draft, best: &Point<'_>, fewest: &Point<'_>, evidence: &Source) -> Draft {
    draft
        .measured(
            "most output tokens per second",
            best.tokens_per_s.0,
            "1/s",
            Some(best.interval()),
            best.summary.ok as usize,
            evidence,
        )
        .figure(
            "streams at once there",
            f64::from(best.connections),
            "",
            best.summary.ok as usize,
            evidence,
        )
        .figure(
            "tokens per second of a user there",
            best.user_per_s,
            "1/s",
            best.summary.ok as usize,
            evidence,
        )
        .figure(
            &format!("tokens per second of a user at {} at once", fewest.connections),
            fewest.user_per_s,
            "1/s",
            fewest.summary.ok as usize,
            evidence,
        )
}

fn row(point: &Point<'_>, worth: bool) -> Vec<String> {
    let s = point.summary;
    let (low, high) = point.interval();
    let at = |d: &Distribution, p: f64| {
        d.at(p)
            .map_or_else(|| "-".to_owned(), |q| digits(q.value.as_millis_f64()))
    };
    vec![
        point.connections.to_string(),
        s.ok.to_string(),
        s.failed.to_string(),
        digits(point.tokens_per_s.0),
        format!("{} to {}", digits(low), digits(high)),
        digits(point.user_per_s),
        at(&s.ttft, 0.5),
        at(&s.ttft, 0.95),
        at(&s.ttft, 0.99),
        at(&s.itl, 0.5),
        at(&s.itl, 0.99),
        if worth { "yes" } else { "" }.to_owned(),
    ]
}
