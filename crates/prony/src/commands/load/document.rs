//! What `prony load --json` prints, and what its text summary is made from. It computes nothing but unit conversions
//! and the nearest-rank percentiles of the last line.

use prony_engine::Engine;
use prony_experiments::{Goodput, ParamError, Slo};
use prony_model::{Distribution, Nanos, Outcome, PhaseResult, Quantile, SummaryRow, Validity, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use super::nearest_rank;
use super::streams::{GoodputFigures, StreamFigures};
use crate::text::clean;

/// The result of `prony load`. Times are milliseconds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LoadDocument {
    /// Version of this format.
    pub format: u32,
    /// Version of Prony.
    pub prony: String,
    /// URL that was loaded.
    pub target: String,
    /// Where connections went: address and port, or `unix:` and the path of a socket.
    pub address: String,
    /// How long the resolver took to find the address, once, before the load; null when there was no name to resolve.
    pub dns_ms: Option<f64>,
    /// Method and path of the request.
    pub request: String,
    /// The load shape in words.
    pub shape: String,
    /// Whether requests were due independently of answers. When not, latency is that of the shape, not under load.
    pub open_loop: bool,
    /// Whether the user stopped it: the figures are of what was sent until then.
    pub interrupted: bool,
    /// PASS, FAIL (more failures than allowed), INCONCLUSIVE (no answer yet) or INVALID (do not use the numbers).
    pub verdict: Verdict,
    /// From the first request to the last answer, in seconds.
    pub duration_s: f64,
    /// How many requests.
    pub requests: Requests,
    /// How fast.
    pub rates: Rates,
    /// How they ended, most frequent first.
    pub outcomes: Vec<OutcomeCount>,
    /// How long the good answers took.
    pub latency: Latency,
    /// How the good answers streamed, for each step; empty without --stream.
    pub streams: Vec<StreamFigures>,
    /// How many streamed answers held the limits of --slo; null without.
    pub goodput: Option<GoodputFigures>,
    /// Percentiles of the last line: nearest rank of the response times of good answers, where there are enough to
    /// have one value beyond it; null otherwise. They carry no interval.
    pub percentiles: Percentiles,
    /// What went over the wire.
    pub transfer: Transfer,
    /// Requests in flight.
    pub in_flight: InFlight,
    /// Whether the generator kept its promise.
    pub validity: Validity,
}

/// Numbers of requests.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Requests {
    /// Due.
    pub offered: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Failed by the target.
    pub failed: u64,
    /// Not sent or cut off by the generator: neither success nor failure of the target.
    pub own: u64,
    /// Sent, all attempts counted.
    pub attempts: u64,
    /// Those of `attempts` that failed and were sent again.
    pub retried: u64,
    /// Attempts for each request that had to be made: 1 without retries.
    pub amplification: f64,
}

/// Requests per second.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "units stand last in the names of a published document"
)]
pub(crate) struct Rates {
    /// Due.
    pub offered_per_s: f64,
    /// Finished, well or not.
    pub achieved_per_s: f64,
    /// Answered as expected.
    pub ok_per_s: f64,
}

/// One kind of end.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OutcomeCount {
    /// Its name.
    pub outcome: Outcome,
    /// Completes "the request ...".
    pub says: String,
    /// How many requests.
    pub n: u64,
    /// Response time of these requests.
    pub response: Times,
    /// What went wrong with the first of them, in words; null when there is nothing to add to the outcome.
    pub first_error: Option<String>,
}

/// How the target was reached, and what went wrong first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Where connections went.
    pub address: String,
    /// The resolver's time.
    pub dns: Option<Nanos>,
    /// What the first failure of each kind said.
    pub first_errors: Vec<(Outcome, String)>,
}

impl Reached {
    /// After a phase.
    pub(super) fn of(engine: &Engine) -> Self {
        Self {
            address: engine.peer().to_string(),
            dns: engine.dns(),
            first_errors: engine.first_errors().to_vec(),
        }
    }

    /// What went wrong first with this outcome; it may quote the target.
    pub(super) fn first_error(&self, outcome: Outcome) -> Option<String> {
        let found = self.first_errors.iter().find(|(kind, _)| *kind == outcome)?;
        Some(clean(&found.1, 300))
    }
}

/// The durations of good answers.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Latency {
    /// From when a request was due to the end of its answer: what a user waits.
    pub response: Times,
    /// From when it was sent to the end of its answer.
    pub service: Times,
    /// From when its connection was asked for to when it was made, with TLS; of requests that opened one.
    pub connect: Times,
    /// The TLS handshake's part of it.
    pub tls: Times,
    /// From when it was sent to the first byte of its answer.
    pub ttfb: Times,
    /// From the first byte of its answer to the last.
    pub transfer: Times,
    /// From when it was due to when it was sent: the generator's own error.
    pub lag: Times,
}

/// A distribution of times in milliseconds.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Times {
    /// Observations.
    pub n: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Standard deviation.
    pub sd_ms: f64,
    /// Smallest.
    pub min_ms: f64,
    /// Largest.
    pub max_ms: f64,
    /// Median; null when not estimable.
    pub p50_ms: Option<f64>,
    /// 90th percentile; null when not estimable.
    pub p90_ms: Option<f64>,
    /// 95th percentile; null when not estimable.
    pub p95_ms: Option<f64>,
    /// 99th percentile; null when not estimable.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile; null when not estimable.
    #[serde(rename = "p99.9_ms")]
    pub p99_9_ms: Option<f64>,
    /// The same with their 95 % intervals.
    pub quantiles: Vec<QuantileMs>,
}

/// A percentile with its interval.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct QuantileMs {
    /// Probability.
    pub p: f64,
    /// Value; null when not estimable.
    pub ms: Option<f64>,
    /// Lower end of the 95 % interval.
    pub lo_ms: Option<f64>,
    /// Upper end of the 95 % interval.
    pub hi_ms: Option<f64>,
    /// Independent observations it needs; 0 when there are enough.
    pub needs_n: u64,
}

/// The percentiles of the last line, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "units stand last in the names of a published document"
)]
pub(crate) struct Percentiles {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 99th.
    pub p99_ms: Option<f64>,
    /// 99.9th.
    #[serde(rename = "p99.9_ms")]
    pub p99_9_ms: Option<f64>,
}

/// What went over the wire.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Transfer {
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes received per second.
    pub bytes_in_per_s: f64,
    /// Connections opened.
    pub connections: u64,
}

/// Requests in flight.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct InFlight {
    /// Average over time.
    pub mean: f64,
    /// Most at once.
    pub max: u32,
}

impl LoadDocument {
    /// With how many streams held the limits, where some were given.
    pub(super) fn with_goodput(
        mut self,
        result: &PhaseResult,
        slo: Option<&Slo>,
    ) -> Result<Self, ParamError> {
        if let Some(slo) = slo {
            self.goodput = Goodput::of(result, slo)?.as_ref().map(GoodputFigures::of);
        }
        Ok(self)
    }

    /// The current format.
    pub(crate) const FORMAT: u32 = 1;

    /// The document of a finished (or interrupted) phase.
    pub(crate) fn new(
        url: &str,
        reached: &Reached,
        result: &PhaseResult,
        verdict: Verdict,
        interrupted: bool,
    ) -> Self {
        let summary = &result.summary;
        let duration_s = (summary.ended - summary.started).as_secs_f64();
        let request = result
            .phase
            .scenarios
            .first()
            .and_then(|s| s.items.first())
            .map(|i| i.request.label());
        let ok = summary
            .rows
            .iter()
            .find(|row| !row.part && row.outcome == Outcome::Ok);
        Self {
            format: Self::FORMAT,
            prony: env!("CARGO_PKG_VERSION").to_owned(),
            target: url.to_owned(),
            address: reached.address.clone(),
            dns_ms: reached.dns.map(Nanos::as_millis_f64),
            request: request.unwrap_or_default(),
            shape: summary.shape.clone(),
            open_loop: summary.open_loop,
            interrupted,
            verdict,
            duration_s,
            requests: Requests {
                offered: summary.offered,
                ok: summary.ok,
                failed: summary.failed,
                own: summary.own,
                attempts: summary.attempts,
                retried: summary.retried,
                amplification: summary.amplification(),
            },
            rates: Rates {
                offered_per_s: summary.offered_per_s,
                achieved_per_s: summary.achieved_per_s,
                ok_per_s: summary.ok_per_s,
            },
            outcomes: outcomes(&summary.rows, reached),
            latency: ok.map(Latency::of).unwrap_or_default(),
            streams: summary.streams.iter().map(StreamFigures::of).collect(),
            goodput: None,
            percentiles: Percentiles::of(result, ok),
            transfer: Transfer {
                bytes_in: summary.bytes_in,
                bytes_in_per_s: if duration_s > 0.0 {
                    summary.bytes_in as f64 / duration_s
                } else {
                    0.0
                },
                connections: summary.connections,
            },
            in_flight: InFlight {
                mean: summary.in_flight_mean,
                max: summary.in_flight_max,
            },
            validity: summary.validity.clone(),
        }
    }
}

fn outcomes(rows: &[SummaryRow], reached: &Reached) -> Vec<OutcomeCount> {
    let mut counts: Vec<OutcomeCount> = rows
        .iter()
        .filter(|row| !row.part)
        .map(|row| OutcomeCount {
            outcome: row.outcome,
            says: row.outcome.says().to_owned(),
            n: row.n,
            response: Times::of(&row.response),
            first_error: reached.first_error(row.outcome),
        })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.n));
    counts
}

impl Latency {
    fn of(row: &SummaryRow) -> Self {
        Self {
            response: Times::of(&row.response),
            service: Times::of(&row.service),
            connect: Times::of(&row.connect),
            tls: Times::of(&row.tls),
            ttfb: Times::of(&row.ttfb),
            transfer: Times::of(&row.transfer),
            lag: Times::of(&row.lag),
        }
    }
}

impl Times {
    pub(super) fn of(d: &Distribution) -> Self {
        let at = |p: f64| d.at(p).map(|q| q.value.as_millis_f64());
        Self {
            n: d.n,
            mean_ms: d.mean_ns / 1e6,
            sd_ms: d.sd_ns / 1e6,
            min_ms: d.min.as_millis_f64(),
            max_ms: d.max.as_millis_f64(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            quantiles: d.quantiles.iter().map(QuantileMs::of).collect(),
        }
    }
}

impl QuantileMs {
    fn of(q: &Quantile) -> Self {
        let known = |time: Nanos| (q.needs_n == 0).then(|| time.as_millis_f64());
        Self {
            p: q.p,
            ms: known(q.value),
            lo_ms: known(q.lo),
            hi_ms: known(q.hi),
            needs_n: q.needs_n,
        }
    }
}

impl Percentiles {
    /// From the samples; from the histogram's row when there were too many samples to keep.
    fn of(result: &PhaseResult, ok: Option<&SummaryRow>) -> Self {
        let mut sorted: Vec<Nanos> = Vec::new();
        if !result.samples_cut {
            let good = result
                .samples
                .iter()
                .filter(|s| s.is_arrival() && s.outcome == Outcome::Ok);
            sorted.extend(good.map(prony_model::Sample::response));
            sorted.sort_unstable();
        }
        let at = |p: f64| {
            let time = match ok {
                Some(row) if result.samples_cut => {
                    let quantiles = row.response.quantiles.iter();
                    let mut found = quantiles.filter(|q| (q.p - p).abs() < 1e-9).map(|q| q.value);
                    found.next_back()
                }
                _ => nearest_rank(&sorted, p),
            };
            time.map(Nanos::as_millis_f64)
        };
        Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
        }
    }
}
