//! What a search keeps to: a limit of the response, or limits of the times of a stream, for each class of requests its own.
//! Arithmetic on recorded phases; the words are few.

use std::collections::BTreeMap;

use prony_model::{Outcome, PhaseResult, Sample, StreamRecord};

use super::CapacityParams;
use crate::ParamError;
use crate::objective::{LetDown, Objective};
use crate::slo::{Limits, Slo, Time};
use crate::streamed::{good, ttft_ms};
use crate::wording::ms;
use crate::workload::Workload;

/// Share of requests that hold every limit by default.
const SHARE: f64 = 0.95;
/// Limits of a stream that follow from one alone: times its median, and the least in ms.
const TTFT_TIMES: f64 = 6.0;
const TTFT_MS_MIN: f64 = 50.0;
const TPOT_TIMES: f64 = 3.0;
const TPOT_MS_MIN: f64 = 5.0;

/// What is promised to users.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Promise {
    /// A quantile of the response.
    Response(Objective),
    /// A share of requests whose streams hold every limit.
    Streams(Streams),
}

/// Limits of streams.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Streams {
    /// Share of requests that must hold every limit of their class.
    pub share: f64,
    /// By name of the scenario.
    pub classes: Vec<(String, Limits)>,
    /// Whether the limits follow from a request alone, because the user gave none.
    pub is_derived: bool,
}

/// Requests of one load, in the order of the schedule.
pub(super) type Stretch<'a> = (&'a PhaseResult, Vec<&'a Sample>);

/// What the suite says of streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    all: Limits,
    classes: BTreeMap<String, Limits>,
    share: Option<f64>,
}

impl Asked {
    /// Reads and checks it.
    pub(super) fn parse(params: &CapacityParams) -> Result<Self, ParamError> {
        let mut share = params.slo_quantile;
        let mut read = |slo: &Slo| {
            let (limits, named) = Limits::parse(slo)?;
            if let (Some(given), Some(named)) = (params.slo_quantile, named)
                && named > given
            {
                return Err(ParamError {
                    message: format!(
                        "`slo_quantile` is {given}, and the limits ask for {named}: give one of them"
                    ),
                });
            }
            if let Some(named) = named {
                share = Some(share.map_or(named, |other: f64| other.max(named)));
            }
            Ok(limits)
        };
        let all = params.slo.as_ref().map_or(Ok(Limits::default()), &mut read)?;
        let mut classes = BTreeMap::new();
        for (name, slo) in params.class.iter().flatten() {
            let limits = read(slo)?;
            if limits.is_empty() {
                return Err(ParamError {
                    message: format!("class `{name}` has no limit"),
                });
            }
            classes.insert(name.clone(), limits);
        }
        let names = params.scenarios.as_deref().unwrap_or_default();
        if let Some(stranger) = classes.keys().find(|name| !names.contains(name)) {
            return Err(ParamError {
                message: format!("class `{stranger}` is none of `scenarios`"),
            });
        }
        let asked = Self { all, classes, share };
        if asked.is_given() && params.slo_ms.is_some() {
            return Err(ParamError {
                message: "`slo_ms` limits whole answers and `slo` streams: give one of them".to_owned(),
            });
        }
        Ok(asked)
    }

    /// Whether there is any limit.
    pub(super) fn is_given(&self) -> bool {
        !self.all.is_empty() || !self.classes.is_empty()
    }

    /// For a workload, given answers alone for what is missing; `None` when that is not known.
    pub(super) fn promise(&self, workload: &Workload, alone: Option<&PhaseResult>) -> Option<Promise> {
        let classes = workload
            .scenarios
            .iter()
            .map(|scenario| {
                let name = scenario.name.clone();
                if let Some(own) = self.classes.get(&name) {
                    return Some((name, own.clone()));
                }
                if !self.all.is_empty() {
                    return Some((name, self.all.clone()));
                }
                if self.is_given() {
                    // Limits of others do not concern it; it must only be answered.
                    return Some((name, Limits::default()));
                }
                let derived = derived(alone?, &name)?;
                Some((name, derived))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Promise::Streams(Streams {
            share: self.share.unwrap_or(SHARE),
            classes,
            is_derived: !self.is_given(),
        }))
    }
}

/// Limits from the answers of the first step of a ladder.
fn derived(alone: &PhaseResult, scenario: &str) -> Option<Limits> {
    let mut records = good(alone, scenario);
    records.retain(|r| r.step == 0);
    let median = |mut values: Vec<f64>| (!values.is_empty()).then(|| prony_stats::median(&mut values));
    let ttft = median(ttft_ms(&records))?;
    let mut limits = vec![(Time::Ttft, (TTFT_TIMES * ttft).max(TTFT_MS_MIN).round())];
    let tpot = records.iter().filter_map(|r| r.tpot_ns()).map(|ns| ns / 1e6);
    if let Some(tpot) = median(tpot.collect()) {
        limits.push((Time::Tpot, (TPOT_TIMES * tpot).max(TPOT_MS_MIN)));
    }
    Some(Limits::new(limits))
}

impl Promise {
    /// Share of requests that may be let down.
    pub(super) fn allowed(&self) -> f64 {
        match self {
            Self::Response(objective) => objective.allowed(),
            Self::Streams(streams) => 1.0 - streams.share,
        }
    }

    /// The limit of the response, where that is what is promised.
    pub(super) fn response(&self) -> Option<&Objective> {
        match self {
            Self::Response(objective) => Some(objective),
            Self::Streams(_) => None,
        }
    }

    /// Whether the limits follow from a request alone.
    pub(super) fn is_derived(&self) -> bool {
        match self {
            Self::Response(objective) => objective.is_derived,
            Self::Streams(streams) => streams.is_derived,
        }
    }

    /// `p95 <= 2 s`, `95 % of requests with TTFT <= 200 ms and ITL <= 50 ms`.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Response(objective) => objective.label(),
            Self::Streams(streams) => streams.label(),
        }
    }

    /// Where the limits come from.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Response(objective) => objective.origin(),
            Self::Streams(streams) if streams.is_derived => format!(
                "No objective was given, so it is {}: the time to first token {TTFT_TIMES} times the median of one alone (at least {}), \
                 the time per output token {TPOT_TIMES} times (at least {}).",
                streams.label(),
                ms(TTFT_MS_MIN),
                ms(TPOT_MS_MIN)
            ),
            Self::Streams(streams) => format!(
                "The objective is {}. TTFT and E2E count from when a request was due; ITL is the 99th percentile of the answer's own \
                 gaps.",
                streams.label()
            ),
        }
    }

    /// Who was let down.
    pub(super) fn count(&self, stretches: &[Stretch<'_>]) -> LetDown {
        match self {
            Self::Response(objective) => {
                let samples: Vec<Vec<&Sample>> =
                    stretches.iter().map(|(_, samples)| samples.clone()).collect();
                objective.count(&samples)
            }
            Self::Streams(streams) => {
                let overruns: Vec<Vec<f64>> = stretches.iter().map(|s| streams.overruns(s)).collect();
                LetDown::of(&overruns, 1.0)
            }
        }
    }
}

impl Streams {
    fn label(&self) -> String {
        let share = (self.share * 1e5).round() / 1e3;
        let mut distinct: Vec<&Limits> = self.classes.iter().map(|(_, limits)| limits).collect();
        distinct.dedup();
        let limits = if let [one] = distinct.as_slice() {
            format!("with {}", one.label())
        } else {
            let each = self.classes.iter().map(|(name, limits)| {
                if limits.is_empty() {
                    format!("{name}: answered")
                } else {
                    format!("{name}: {}", limits.label())
                }
            });
            format!("({})", each.collect::<Vec<_>>().join("; "))
        };
        format!("{share} % of requests {limits}")
    }

    /// By how much each request overran its limits; infinite where it failed. Answers whose records were not kept are left out.
    fn overruns(&self, (phase, samples): &Stretch<'_>) -> Vec<f64> {
        let records = Records::of(phase);
        samples
            .iter()
            .filter(|s| !s.outcome.is_own())
            .filter_map(|sample| {
                if sample.outcome != Outcome::Ok {
                    return Some(f64::INFINITY);
                }
                let limits = self.limits(phase, sample.scenario)?;
                Some(limits.overrun(records.find(sample)?))
            })
            .collect()
    }

    /// For each class and each of its limits, and all of them: label, requests, and those that missed it.
    pub(super) fn each(&self, stretches: &[Stretch<'_>]) -> Vec<(String, String, LetDown)> {
        let mut rows = Vec::new();
        for (name, limits) in &self.classes {
            let mine: Vec<Stretch<'_>> = stretches
                .iter()
                .map(|(phase, samples)| {
                    let index = phase.scenario(name);
                    let mine = samples.iter().copied().filter(|s| Some(s.scenario) == index);
                    (*phase, mine.collect())
                })
                .collect();
            let alone = |limits: Limits| {
                let only = Self {
                    classes: vec![(name.clone(), limits)],
                    ..self.clone()
                };
                Promise::Streams(only).count(&mine)
            };
            for limit in limits.each() {
                let one = Limits::new([*limit]);
                rows.push((name.clone(), one.label(), alone(one)));
            }
            rows.push((name.clone(), "all of them".to_owned(), alone(limits.clone())));
        }
        rows
    }

    /// Output tokens of the good requests.
    pub(super) fn good_tokens(&self, stretches: &[Stretch<'_>]) -> u64 {
        let of = |(phase, samples): &Stretch<'_>| -> u64 {
            let records = Records::of(phase);
            samples
                .iter()
                .filter(|s| s.outcome == Outcome::Ok)
                .filter_map(|sample| {
                    let record = records.find(sample)?;
                    let limits = self.limits(phase, sample.scenario)?;
                    (limits.overrun(record) <= 1.0).then(|| u64::from(record.output_tokens()))
                })
                .sum()
        };
        stretches.iter().map(of).sum()
    }

    fn limits(&self, phase: &PhaseResult, scenario: u16) -> Option<&Limits> {
        let name = &phase.phase.scenarios.get(usize::from(scenario))?.name;
        let mut classes = self.classes.iter();
        classes.find(|(class, _)| class == name).map(|(_, limits)| limits)
    }
}

/// The records of good answers by sequence number.
struct Records<'a>(BTreeMap<u64, &'a StreamRecord>);

impl<'a> Records<'a> {
    fn of(phase: &'a PhaseResult) -> Self {
        let good = phase.streams.iter().filter(|r| r.outcome == Outcome::Ok);
        Self(good.map(|r| (r.seq, r)).collect())
    }

    fn find(&self, sample: &Sample) -> Option<&'a StreamRecord> {
        self.0.get(&sample.seq).copied()
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Outcome, PhaseResult, Sample, Scenario};
    use serde_json::{Value, json};

    use super::{Asked, Promise};
    use crate::capacity::CapacityParams;
    use crate::experiment::params;
    use crate::fake::streamed::{Answer, ENDPOINT, phase};
    use crate::workload::Workload;

    fn asked(value: &Value) -> Result<Asked, String> {
        let given: CapacityParams = params(value).map_err(|e| e.message)?;
        Asked::parse(&given).map_err(|e| e.message)
    }

    /// A phase of two scenarios in turn, with a sample for each answer.
    fn mixed(answers: &[Answer]) -> PhaseResult {
        let mut phase = phase("capacity", "x", answers, Vec::new());
        let items = phase.phase.scenarios[0].items.clone();
        phase.phase.scenarios = vec![
            Scenario::new("chat", items.clone()),
            Scenario::new("batch", items),
        ];
        for (k, record) in phase.streams.iter_mut().enumerate() {
            record.scenario = (k % 2) as u16;
        }
        let sample = |record: &prony_model::StreamRecord| Sample {
            seq: record.seq,
            scenario: record.scenario,
            intended: record.intended,
            sent: record.sent,
            done: record.end,
            outcome: record.outcome,
            ..Sample::default()
        };
        phase.samples = phase.streams.iter().map(sample).collect();
        phase
    }

    fn workload(phase: &PhaseResult) -> Workload {
        Workload {
            name: "chat + batch".into(),
            scenarios: phase.phase.scenarios.clone(),
            is_streamed: true,
            is_endpoint: false,
        }
    }

    #[test]
    fn each_class_is_held_to_its_own_limits() {
        // TTFT 10, 20, 30 ... ms, every second one of `batch`; one of `chat` failed, and one was our own doing.
        let mut answers: Vec<Answer> = (1..=10)
            .map(|k| Answer::new(f64::from(k) * 100.0, f64::from(k) * 10.0, 1.0))
            .collect();
        answers[0].outcome = Outcome::StreamError;
        answers[2].outcome = Outcome::Interrupted;
        let phase = mixed(&answers);
        let slo = json!({
            "scenarios": ["chat", "batch"],
            "slo": {"ttft_p90_ms": 65},
            "class": {"batch": {"ttft_ms": 85, "e2e_ms": 200}},
        });
        let promise = asked(&slo).unwrap().promise(&workload(&phase), None).unwrap();
        assert!((promise.allowed() - 0.1).abs() < 1e-9);
        let samples: Vec<&Sample> = phase.samples.iter().collect();
        let stretch = [(&phase, samples)];
        let all = promise.count(&stretch);
        // chat: 10 failed, 30 own, 50 good, 70 and 90 late; batch: 20, 40, 60, 80 good, 100 late.
        assert_eq!((all.n, all.over), (9, 4));
        let Promise::Streams(streams) = &promise else {
            panic!("{promise:?}")
        };
        let rows: Vec<(String, String, usize, usize)> = streams
            .each(&stretch)
            .into_iter()
            .map(|(class, limit, let_down)| (class, limit, let_down.n, let_down.over))
            .collect();
        let row = |class: &str, limit: &str, n, over| (class.to_owned(), limit.to_owned(), n, over);
        assert_eq!(
            rows,
            [
                row("chat", "TTFT <= 65.0 ms", 4, 3),
                row("chat", "all of them", 4, 3),
                row("batch", "TTFT <= 85.0 ms", 5, 1),
                row("batch", "E2E <= 200 ms", 5, 0),
                row("batch", "all of them", 5, 1),
            ]
        );
        // Twenty tokens in each of the five good ones.
        assert_eq!(streams.good_tokens(&stretch), 100);
        assert!(
            promise
                .label()
                .contains("chat: TTFT <= 65.0 ms; batch: TTFT <= 85.0 ms and E2E"),
            "{}",
            promise.label()
        );
    }

    #[test]
    fn an_answer_whose_record_was_not_kept_counts_for_nothing() {
        let answers: Vec<Answer> = (0..8)
            .map(|k| Answer::new(f64::from(k) * 100.0, 50.0, 1.0))
            .collect();
        let mut phase = mixed(&answers);
        phase.streams.truncate(6);
        let slo = json!({"scenarios": ["chat", "batch"], "slo": {"ttft_ms": 40}});
        let promise = asked(&slo).unwrap().promise(&workload(&phase), None).unwrap();
        let all = promise.count(&[(&phase, phase.samples.iter().collect())]);
        assert_eq!((all.n, all.over), (6, 6));
    }

    #[test]
    fn limits_follow_from_answers_alone_where_none_are_given() {
        let answers: Vec<Answer> = (0..9)
            .map(|k| Answer::new(f64::from(k) * 500.0, 50.0, 4.0))
            .collect();
        let alone = phase("capacity", "closed ladder", &answers, Vec::new());
        let load = Workload {
            name: ENDPOINT.into(),
            scenarios: alone.phase.scenarios.clone(),
            is_streamed: true,
            is_endpoint: true,
        };
        let promise = asked(&json!({})).unwrap().promise(&load, Some(&alone)).unwrap();
        assert_eq!(
            promise.label(),
            "95 % of requests with TTFT <= 300 ms and TPOT <= 12.0 ms"
        );
        assert!(promise.is_derived() && promise.response().is_none());
        assert_eq!(asked(&json!({})).unwrap().promise(&load, None), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (bad, part) in [
            (json!({"slo": {"ttft_ms": 1}, "slo_ms": 5}), "give one of them"),
            (
                json!({"slo": {"ttft_p99_ms": 1}, "slo_quantile": 0.9}),
                "give one of them",
            ),
            (json!({"class": {"chat": {"ttft_ms": 1}}}), "none of `scenarios`"),
            (json!({"scenarios": ["chat"], "class": {"chat": {}}}), "no limit"),
            (json!({"slo": {"speed": 1}}), "no limit of a stream"),
        ] {
            let error = asked(&bad).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
