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
        let limits = match distinct.as_slice() {
            [one] => format!("with {}", one.label()),
            _ => {
                let each = self.classes.iter().map(|(name, limits)| {
                    if limits.is_empty() {
                        format!("{name}: answered")
                    } else {
                        format!("{name}: {}", limits.label())
                    }
                });
                format!("({})", each.collect::<Vec<_>>().join("; "))
            }
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
