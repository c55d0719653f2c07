//! Times and outcomes read out of a recorded phase. It computes from samples alone and judges nothing.

use std::collections::BTreeMap;

use prony_model::{Nanos, Outcome, OutcomeClass, PhaseResult, Sample};
use prony_stats::binomial;

/// The samples of one scenario, or of one step of it, in order of intended start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timings<'a> {
    samples: &'a [Sample],
    scenario: Option<u16>,
    step: Option<u16>,
}

impl<'a> Timings<'a> {
    /// Of a scenario by name; empty when there is none of that name.
    pub(crate) fn of(phase: &'a PhaseResult, scenario: &str) -> Self {
        Self {
            samples: &phase.samples,
            scenario: Some(phase.scenario(scenario).unwrap_or(u16::MAX)),
            step: None,
        }
    }

    /// Of the whole phase.
    pub(crate) fn all(phase: &'a PhaseResult) -> Self {
        Self::slice(&phase.samples)
    }

    /// Of these samples, whatever their scenario.
    pub(crate) fn slice(samples: &'a [Sample]) -> Self {
        Self {
            samples,
            scenario: None,
            step: None,
        }
    }

    /// Of one step only.
    pub(crate) fn step(self, step: u16) -> Self {
        Self {
            step: Some(step),
            ..self
        }
    }

    /// The samples.
    pub(crate) fn samples(self) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |s| {
            self.scenario.is_none_or(|wanted| s.scenario == wanted)
                && self.step.is_none_or(|wanted| s.step == wanted)
        })
    }

    /// The samples that the target answered as expected.
    pub(crate) fn good(self) -> impl Iterator<Item = &'a Sample> {
        self.samples().filter(|s| s.outcome == Outcome::Ok)
    }

    /// done - sent of the good ones, in ms.
    pub(crate) fn service_ms(self) -> Vec<f64> {
        self.good().map(|s| s.service().as_millis_f64()).collect()
    }

    /// done - intended of the good ones, in ms.
    pub(crate) fn response_ms(self) -> Vec<f64> {
        self.good().map(|s| s.response().as_millis_f64()).collect()
    }

    /// From the first request sent to the last end, in s; without those that are our own doing.
    pub(crate) fn span_s(self) -> f64 {
        let theirs = || self.samples().filter(|s| !s.outcome.is_own());
        let first = theirs().map(|s| s.sent).min();
        let last = theirs().map(|s| s.done).max();
        match (first, last) {
            (Some(first), Some(last)) => (last - first).as_secs_f64(),
            _ => 0.0,
        }
    }

    /// Good answers per second of [`Self::span_s`]; 0 when there are none.
    pub(crate) fn per_s(self) -> f64 {
        let span = self.span_s();
        if span > 0.0 {
            self.good().count() as f64 / span
        } else {
            0.0
        }
    }

    /// When the good answers ended, ascending, in ms since the first request was sent.
    pub(crate) fn ends_ms(self) -> Vec<f64> {
        let Some(first) = self.samples().map(|s| s.sent).min() else {
            return Vec::new();
        };
        let mut ends: Vec<f64> = self.good().map(|s| (s.done - first).as_millis_f64()).collect();
        ends.sort_unstable_by(f64::total_cmp);
        ends
    }

    /// How the requests ended.
    pub(crate) fn tally(self) -> Tally {
        Tally::of(self.samples())
    }
}

/// Most requests between sent and done at one moment (sweep line).
pub(crate) fn in_flight_max<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> u32 {
    let mut moves: Vec<(Nanos, i32)> = samples
        .into_iter()
        .filter(|s| s.done > s.sent)
        .flat_map(|s| [(s.sent, 1), (s.done, -1)])
        .collect();
    moves.sort_unstable();
    let (mut now, mut most) = (0_i32, 0);
    for (_, change) in moves {
        now += change;
        most = most.max(now);
    }
    most.unsigned_abs()
}

/// How requests ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    by_outcome: BTreeMap<Outcome, u64>,
}

impl Tally {
    /// Of these requests.
    pub(crate) fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut tally = Self::default();
        for sample in samples {
            *tally.by_outcome.entry(sample.outcome).or_default() += 1;
        }
        tally
    }

    /// Answered as expected.
    pub(crate) fn good(&self) -> u64 {
        self.count(|o| o == Outcome::Ok)
    }

    /// Failed by the target.
    pub(crate) fn failed(&self) -> u64 {
        self.count(Outcome::is_failure)
    }

    /// This and another together.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        for (outcome, n) in &other.by_outcome {
            *self.by_outcome.entry(*outcome).or_default() += n;
        }
        self
    }

    /// Good and failed.
    pub(crate) fn judged(&self) -> u64 {
        self.good() + self.failed()
    }

    /// Failures that are the target's own and no word about the request or its rate: 5xx, 503, a broken connection, silence.
    pub(crate) fn broken(&self) -> u64 {
        use OutcomeClass::{Protocol, ServerError, Timeout, Transport};
        self.count(|o| {
            matches!(o.class(), Protocol | ServerError | Timeout | Transport)
                || matches!(o, Outcome::Status503 | Outcome::PlatformBusy)
        })
    }

    /// Whether every failure is a deliberate refusal (429, 503, platform busy).
    pub(crate) fn only_refusals(&self) -> bool {
        self.failed() == self.count(|o| o.class() == OutcomeClass::Refusal)
    }

    /// Share of good answers with its exact 95 % interval, in per cent.
    pub(crate) fn success_percent(&self) -> (f64, (f64, f64)) {
        let (good, judged) = (self.good(), self.judged());
        let (low, high) = binomial::clopper_pearson(good, judged, 0.95);
        let share = if judged == 0 {
            0.0
        } else {
            good as f64 / judged as f64
        };
        (100.0 * share, (100.0 * low, 100.0 * high))
    }

    /// Rows of outcome, count and meaning.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        self.by_outcome
            .iter()
            .map(|(outcome, n)| {
                vec![
                    outcome.name().to_owned(),
                    n.to_string(),
                    outcome.says().to_owned(),
                ]
            })
            .collect()
    }

    fn count(&self, wanted: impl Fn(Outcome) -> bool) -> u64 {
        self.by_outcome
            .iter()
            .filter(|(o, _)| wanted(**o))
            .map(|(_, n)| n)
            .sum()
    }
}
