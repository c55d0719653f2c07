//! Is the second of two rounds with the same load better than the first, or is that chance? It knows two phases of a suite and how many
//! of their requests were answered; times of one round depend on one another, so they are stated and not compared.

use prony_model::{Finding, PhaseResult, Sample, Severity, Verdict};
use prony_stats::special::normal_quantile;
use prony_stats::{binomial, fisher, median};
use schemars::JsonSchema;
use serde::Deserialize;

use super::NAME;
use crate::RunView;
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{digits, resting_on_answers};

/// A difference that chance alone brings less often than that is one.
const ALPHA: f64 = 0.05;
/// How often a round that is large enough shows it.
const POWER: f64 = 0.8;

/// Two phases of the suite with the same load.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundPair {
    /// Name of the phase that came first.
    pub first: String,
    /// Name of the phase that came second.
    pub second: String,
}

/// The finding; `None` where one of the two did not run.
pub(super) fn finding(run: &RunView<'_>, pair: &RoundPair) -> Option<Finding> {
    let first = run.phase("suite", &pair.first)?;
    let second = run.phase("suite", &pair.second)?;
    let draft = Draft::new(NAME, "rounds", &pair.second).advisory();
    let (a, b) = (Round::of(first), Round::of(second));
    if a.n == 0 || b.n == 0 {
        let draft = draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title(format!(
                "One of '{}' and '{}' has no requests",
                pair.first, pair.second
            ));
        return Some(draft.done());
    }
    let p = fisher::two_sided(a.ok, a.n, b.ok, b.n);
    let (verdict, severity, says) = match (p < ALPHA, b.share() >= a.share()) {
        (false, _) => (Verdict::Pass, Severity::Info, "is not told apart from"),
        (true, true) => (Verdict::Warn, Severity::Info, "is better than"),
        (true, false) => (Verdict::Warn, Severity::Medium, "is worse than"),
    };
    let mut draft = draft
        .verdict(verdict, severity)
        .title(format!(
            "'{}' ({}) {says} '{}' ({}): two rounds of one and the same service differ so much or more with probability {}",
            pair.second,
            b.words(),
            pair.first,
            a.words(),
            digits(p)
        ))
        .figure("probability by chance alone (Fisher)", p, "", (a.n + b.n) as usize, &source(second, ""));
    for (round, phase) in [(&a, first), (&b, second)] {
        let name = &phase.phase.name;
        let interval = binomial::wilson(round.ok, round.n, 0.95);
        draft = draft.measured(
            &format!("share answered in '{name}'"),
            round.share(),
            "",
            Some(interval),
            round.n as usize,
            &source(phase, ""),
        );
        if let Some(middle) = round.median_ms {
            draft = draft.figure(
                &format!("response in '{name}', median of the good ones"),
                middle,
                "ms",
                round.ok as usize,
                &source(phase, ""),
            );
        }
    }
    let detail = match needed(a.share(), b.share()) {
        Some(each) => format!(
            "It takes {each} requests in each round to tell {} % from {} % four times in five. ",
            digits(100.0 * a.share()),
            digits(100.0 * b.share())
        ),
        None => String::new(),
    };
    let draft = draft.detail(format!(
        "{detail}Times of one round depend on one another through the queue, so their medians stand here without a verdict."
    ));
    Some(resting_on_answers(draft.done(), &[first, second]))
}

/// How a round ended.
struct Round {
    ok: u64,
    n: u64,
    median_ms: Option<f64>,
}

impl Round {
    fn of(phase: &PhaseResult) -> Self {
        // Of a flow its arrivals, not their steps.
        let arrivals: Vec<Sample> = phase.samples.iter().filter(|s| s.is_arrival()).copied().collect();
        let timings = Timings::slice(&arrivals);
        let tally = timings.tally();
        let mut times = timings.response_ms();
        Self {
            ok: tally.good(),
            n: tally.judged(),
            median_ms: (!times.is_empty()).then(|| median(&mut times)),
        }
    }

    fn share(&self) -> f64 {
        self.ok as f64 / self.n as f64
    }

    fn words(&self) -> String {
        format!("{} of {}", self.ok, self.n)
    }
}

/// Requests in each of two rounds that tell these shares apart, by the normal approximation; `None` where they are the same.
fn needed(a: f64, b: f64) -> Option<u64> {
    let apart = (a - b).abs();
    if apart <= 0.0 {
        return None;
    }
    let z = normal_quantile(1.0 - ALPHA / 2.0) + normal_quantile(POWER);
    let spread = a * (1.0 - a) + b * (1.0 - b);
    Some((z * z * spread / (apart * apart)).ceil().max(2.0) as u64)
}

#[cfg(test)]
mod tests {
    use prony_model::{Outcome, PhaseResult, Surface, Verdict};

    use super::{RoundPair, finding, needed};
    use crate::RunView;

    fn round(name: &str, (ok, n): (usize, usize)) -> PhaseResult {
        let requests: Vec<(f64, Outcome, u16)> = (0..n)
            .map(|k| (k as f64, if k < ok { Outcome::Ok } else { Outcome::Status4xx }, 0))
            .collect();
        crate::gate::tests::phase(name, &requests)
    }

    fn judged(first: (usize, usize), second: (usize, usize)) -> prony_model::Finding {
        let phases = [round("one", first), round("two", second)];
        let surface = Surface::default();
        let run = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let pair = RoundPair {
            first: "one".to_owned(),
            second: "two".to_owned(),
        };
        finding(&run, &pair).unwrap()
    }

    #[test]
    fn the_rounds_of_the_document_are_not_told_apart() {
        let found = judged((26, 30), (28, 30));
        assert_eq!(found.verdict, Verdict::Pass, "{}", found.title);
        // scipy.stats.fisher_exact([[26, 4], [28, 2]]) is 0.6707.
        assert!(found.title.contains("0.671"), "{}", found.title);
        assert!(
            found.detail.starts_with("It takes 314 requests"),
            "{}",
            found.detail
        );
    }

    #[test]
    fn a_difference_that_chance_does_not_make_is_told() {
        assert_eq!(judged((15, 30), (29, 30)).verdict, Verdict::Warn);
        assert!(judged((29, 30), (15, 30)).title.contains("is worse than"));
        assert_eq!(judged((30, 30), (30, 30)).verdict, Verdict::Pass);
        assert_eq!(judged((0, 0), (30, 30)).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn smaller_differences_take_more_requests() {
        assert_eq!(needed(0.5, 0.5), None);
        assert!(needed(0.867, 0.933) > needed(0.5, 0.9));
    }
}
