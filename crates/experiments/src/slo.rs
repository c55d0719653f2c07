//! Limits of the times of one streamed answer, and by how much an answer overruns them. It knows no experiment.
//!
//! A request is good when it holds every limit; goodput is the share of good ones.

use std::collections::BTreeMap;

use prony_model::{Nanos, Outcome, PhaseResult, StreamRecord};
use prony_stats::{binomial, order};

use crate::ParamError;
use crate::metric::{CONFIDENCE, gaps_ms};
use crate::wording::ms;

/// What a suite writes: a limit by name, as `{ ttft_p99_ms = 200, itl_p99_ms = 50, e2e_p95_s = 5 }`.
pub type Slo = BTreeMap<String, f64>;

/// A time of a streamed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Time {
    /// To the first token: in an open loop from when the request was due, else from when it was sent.
    Ttft,
    /// Per output token; an answer without one holds.
    Tpot,
    /// The 99th percentile of the gaps between the answer's own tokens; an answer of one token holds.
    Itl,
    /// To the last token; counted likewise.
    E2e,
}

impl Time {
    const ALL: [Self; 4] = [Self::Ttft, Self::Tpot, Self::Itl, Self::E2e];

    fn name(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::Itl => "itl",
            Self::E2e => "e2e",
        }
    }

    /// As people write it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
            Self::Itl => "ITL",
            Self::E2e => "E2E",
        }
    }

    /// Of a good answer that a user waits for from `start`, in ms; `None` where it has none.
    fn of(self, record: &StreamRecord, start: Nanos) -> Option<f64> {
        let since = |at: Nanos| (at.0 > 0).then(|| (at - start).as_millis_f64());
        match self {
            Self::Ttft => since(record.first_token),
            Self::E2e => since(record.last_token),
            Self::Tpot => record.tpot_ns().map(|ns| ns / 1e6),
            Self::Itl => {
                let mut gaps = gaps_ms(record);
                if gaps.is_empty() {
                    // Its events are not kept: the longest gap bounds every percentile.
                    return (record.token_events > 1).then(|| record.longest_gap.as_millis_f64());
                }
                gaps.sort_unstable_by(f64::total_cmp);
                let rank = order::nearest_rank(0.99, gaps.len() as u64) as usize;
                gaps.get(rank.checked_sub(1)?).copied()
            }
        }
    }
}

/// The limits of one class of requests, in ms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits(Vec<(Time, f64)>);

impl Limits {
    /// These limits, in ms.
    pub(crate) fn new(limits: impl IntoIterator<Item = (Time, f64)>) -> Self {
        let mut limits: Vec<(Time, f64)> = limits.into_iter().collect();
        limits.sort_by_key(|(time, _)| *time);
        Self(limits)
    }

    /// Reads what a suite writes, with the share of requests that the names ask for: the highest of `p99`, `p95`. Where so
    /// many hold every limit, each limit is held by as many.
    pub(crate) fn parse(slo: &Slo) -> Result<(Self, Option<f64>), ParamError> {
        let mut share: Option<f64> = None;
        let mut limits: Vec<(Time, f64)> = Vec::new();
        for (name, &value) in slo {
            let Some((time, percent, unit_ms)) = named(name) else {
                return Err(wrong(format!(
                    "`{name}` is no limit of a stream: write ttft, tpot, itl or e2e with _ms or _s, as in `ttft_ms` or `itl_p99_ms`"
                )));
            };
            if !(value > 0.0 && value.is_finite()) {
                return Err(wrong(format!("`{name}` must be above 0")));
            }
            if limits.iter().any(|(known, _)| *known == time) {
                return Err(wrong(format!("`{}` is limited twice", time.name())));
            }
            if let Some(percent) = percent {
                share = Some(share.map_or(percent, |other| other.max(percent)));
            }
            limits.push((time, value * unit_ms));
        }
        Ok((Self::new(limits), share))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub(crate) fn each(&self) -> &[(Time, f64)] {
        &self.0
    }

    /// The largest of its times over their limits, from when it was due: up to 1 it is good.
    pub(crate) fn overrun(&self, record: &StreamRecord) -> f64 {
        self.overrun_since(record, record.intended)
    }

    fn overrun_since(&self, record: &StreamRecord, start: Nanos) -> f64 {
        self.0
            .iter()
            .filter_map(|(time, limit)| Some(time.of(record, start)? / limit))
            .fold(0.0, f64::max)
    }

    /// `TTFT <= 200 ms and ITL <= 50 ms`.
    pub(crate) fn label(&self) -> String {
        let each = self
            .0
            .iter()
            .map(|(time, limit)| format!("{} <= {}", time.label(), ms(*limit)));
        each.collect::<Vec<_>>().join(" and ")
    }
}

/// Whether limits make sense.
pub fn check_slo(slo: &Slo) -> Result<(), ParamError> {
    Limits::parse(slo).map(|_| ())
}

/// `itl_p99_ms`: the time, the share and the milliseconds of the unit.
fn named(name: &str) -> Option<(Time, Option<f64>, f64)> {
    let (stem, unit_ms) = match name.strip_suffix("_ms") {
        Some(stem) => (stem, 1.0),
        None => (name.strip_suffix("_s")?, 1000.0),
    };
    let (word, percent) = match stem.split_once("_p") {
        Some((word, percent)) => (word, Some(percent.parse::<f64>().ok()?)),
        None => (stem, None),
    };
    if percent.is_some_and(|p| !(50.0..100.0).contains(&p)) {
        return None;
    }
    let time = Time::ALL
        .into_iter()
        .find(|time| time.name() == word || (*time == Time::E2e && word == "e2el"))?;
    Some((time, percent.map(|p| (p * 1e6).round() / 1e8), unit_ms))
}

/// How many requests of a phase held every limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Goodput {
    /// Each limit in words, and how many held it.
    pub each: Vec<(String, u64)>,
    /// Requests that held all of them.
    pub good: u64,
    /// Requests that ended, well or not.
    pub of: u64,
    /// Exact 95 % interval of the share of good ones.
    pub interval: (f64, f64),
    /// Good requests per second.
    pub per_s: f64,
}

impl Goodput {
    /// Of the streams of a phase, by limits as a suite writes them; `None` where it has none. Beyond the records that are kept it
    /// is of those that are.
    pub fn of(phase: &PhaseResult, slo: &Slo) -> Result<Option<Self>, ParamError> {
        let (limits, _) = Limits::parse(slo)?;
        let ended: Vec<&StreamRecord> = phase.streams.iter().filter(|r| !r.outcome.is_own()).collect();
        let summary = &phase.summary;
        if ended.is_empty() || limits.is_empty() {
            return Ok(None);
        }
        let holds = |limits: &Limits| {
            let good = ended.iter().filter(|record| {
                let start = if summary.open_loop {
                    record.intended
                } else {
                    record.sent
                };
                record.outcome == Outcome::Ok && limits.overrun_since(record, start) <= 1.0
            });
            good.count() as u64
        };
        let good = holds(&limits);
        let whole = ended.iter().filter(|r| r.outcome == Outcome::Ok).count() as u64 == summary.ok;
        let of = if whole {
            (summary.ok + summary.failed).max(ended.len() as u64)
        } else {
            ended.len() as u64
        };
        let each = limits.0.iter().map(|limit| {
            let one = Limits::new([*limit]);
            (one.label(), holds(&one))
        });
        Ok(Some(Self {
            each: each.collect(),
            good,
            of,
            interval: binomial::clopper_pearson(good, of, CONFIDENCE),
            per_s: good as f64 / of as f64 * summary.achieved_per_s,
        }))
    }
}

fn wrong(message: String) -> ParamError {
    ParamError { message }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Slo, Time};
    use crate::fake::streamed::{Answer, phase};

    fn slo(each: &[(&str, f64)]) -> Slo {
        each.iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[test]
    fn names_tell_time_share_and_unit() {
        let (limits, share) = Limits::parse(&slo(&[
            ("ttft_p99_ms", 200.0),
            ("itl_p99_ms", 50.0),
            ("e2e_p95_s", 5.0),
        ]))
        .unwrap();
        assert_eq!(share, Some(0.99));
        assert_eq!(
            limits.each(),
            [(Time::Ttft, 200.0), (Time::Itl, 50.0), (Time::E2e, 5000.0)]
        );
        assert_eq!(
            limits.label(),
            "TTFT <= 200 ms and ITL <= 50.0 ms and E2E <= 5.00 s"
        );
        assert_eq!(Limits::parse(&slo(&[("tpot_ms", 9.0)])).unwrap().1, None);
        for bad in [
            slo(&[("ttft", 1.0)]),
            slo(&[("p99_ms", 1.0)]),
            slo(&[("ttft_p20_ms", 1.0)]),
            slo(&[("ttft_ms", 0.0)]),
            slo(&[("ttft_ms", 1.0), ("ttft_s", 1.0)]),
        ] {
            assert!(Limits::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_is_good_when_it_holds_every_limit() {
        // Due 10 ms before it was sent; TTFT 40 ms, gaps of 5 ms but one of 30: the 99th percentile of 19 is the largest.
        let answer = Answer {
            stall_ms: 30.0,
            ..Answer::new(100.0, 40.0, 5.0)
        };
        let mut phase = phase("capacity", "x", &[answer], Vec::new());
        let record = &mut phase.streams[0];
        record.intended = prony_model::Nanos(record.sent.0 - 10_000_000);
        let overrun = |each: &[(&str, f64)]| Limits::parse(&slo(each)).unwrap().0.overrun(record);
        let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-6, "{value} {wanted}");
        close(overrun(&[("ttft_ms", 50.0)]), 1.0);
        close(overrun(&[("itl_ms", 20.0), ("ttft_ms", 100.0)]), 1.5);
        // 18 gaps of 5 and one of 30 over 19 tokens; 50 + 120 ms to the last.
        close(overrun(&[("tpot_ms", 120.0 / 19.0)]), 1.0);
        close(overrun(&[("e2e_s", 0.34)]), 0.5);
        close(overrun(&[]), 0.0);
    }
}
