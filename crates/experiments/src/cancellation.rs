//! Does a stream that its client hangs up on free its slot? Bursts whose clients all hang up in the middle, each followed at
//! once by a request that must not wait for what nobody reads.
//!
//! It can only show where slots are scarce: a burst that is read to its end tells whether they are.

#[cfg(test)]
mod tests;

use prony_model::{Abandon, Budget, Capture, Endpoint, Finding, Limits, Phase, Severity, Shape, Verdict};
use prony_stats::median;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::streamed::{good, scenario, streaming, streaming_ms, ttft_ms};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "cancellation";
const ALONE: &str = "alone";
const WHOLE: &str = "read to the end";
/// Clients that hang up together.
const SIZE: u32 = 16;
/// Bursts that are hung up on, each with its request after.
const ROUNDS: usize = 3;
/// Requests alone, for the yardstick.
const ALONE_REQUESTS: u64 = 4;
/// Streams shorter than this are over before anybody can hang up.
const STREAM_MS_MIN: f64 = 40.0;
/// Clients hang up at a moment up to this share of the stream.
const WITHIN_SHARE: f64 = 0.5;
/// A request that waits for such a share of a stream, as long as it takes beside others, waits for what nobody reads.
const WAITS_SHARE: f64 = 0.5;
/// One that waits for less than such a share of a stream, or of what the last of a burst waits for that is read to the end, does not: an
/// engine that drops what was hung up on only when its turn comes takes a moment for each.
const FREE_SHARE: f64 = 0.25;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Cancellation",
    question: "Does a stream that its client hangs up on free its slot?",
    from_budget: Budget::Standard,
    basis: Basis::Times,
    needs: &["coverage", "baseline", "streams"],
    time: Time::Bounded {
        usual_s: [2.0, 4.0, 8.0],
        most_s: [10.0, 30.0, 120.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: CancellationParams = params(value)?;
        Ok(Box::new(Cancellation {
            clients: asked.clients.unwrap_or(SIZE).max(2),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            done: 0,
        }))
    },
    schema: || schema_for!(CancellationParams),
    example: "[experiment.cancellation]\nclients = 16\n",
};

/// Parameters of the cancellation experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CancellationParams {
    /// Clients that hang up together: more than the server has slots. By default 16.
    pub clients: Option<u32>,
    /// Each of its parts stops after an eighth of so many seconds. By default 10, 30 or 120.
    pub duration_s: Option<f64>,
}

struct Cancellation {
    clients: u32,
    duration_s: f64,
    limits: Limits,
    done: usize,
}

impl Experiment for Cancellation {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(endpoint) = streaming(run, 1).into_iter().next() else {
            return Step::Done;
        };
        let step = self.done;
        self.done += 1;
        let part_s = self.duration_s / 8.0;
        let alone = |name: String, requests| {
            let shape = Shape::Sequential {
                requests,
                duration_s: Some(part_s),
            };
            Step::Run(self.phase(run, endpoint, name, shape, None))
        };
        let burst = Shape::Burst {
            size: self.clients,
            count: 1,
            interval_s: 0.0,
        };
        match step {
            0 => alone(ALONE.to_owned(), ALONE_REQUESTS),
            1 if !is_long_enough(run, endpoint) => Step::Done,
            1 => Step::Run(self.phase(run, endpoint, WHOLE.to_owned(), burst, None)),
            2.. if step < 2 + 2 * ROUNDS => {
                let round = (step - 2) / 2;
                if step.is_multiple_of(2) {
                    let abandon = Abandon {
                        share: 1.0,
                        within_ms: hang_up_within_ms(run, endpoint),
                    };
                    Step::Run(self.phase(run, endpoint, hung_up(round), burst, Some(abandon)))
                } else {
                    alone(after(round), 1)
                }
            }
            _ => Step::Done,
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(endpoint) = streaming(run, 1).into_iter().next() else {
            return Vec::new();
        };
        if run.phase(NAME, ALONE).is_none() {
            return Vec::new();
        }
        vec![judge(run, endpoint, self.clients)]
    }
}

impl Cancellation {
    fn phase(
        &self,
        run: &RunView<'_>,
        endpoint: &Endpoint,
        name: String,
        shape: Shape,
        abandon: Option<Abandon>,
    ) -> Phase {
        let mut scenario = scenario(run, endpoint);
        scenario.abandon = abandon;
        Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![scenario],
            shape,
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }
}

fn hung_up(round: usize) -> String {
    format!("hung up {}", round + 1)
}

fn after(round: usize) -> String {
    format!("after {}", round + 1)
}

/// The yardstick: times to first token, and from first to last token, of requests alone.
fn alone(run: &RunView<'_>, endpoint: &Endpoint) -> Option<(f64, f64)> {
    let phase = run.phase(NAME, ALONE)?;
    let records = good(phase, &endpoint.name);
    let (mut ttft, mut stream) = (ttft_ms(&records), streaming_ms(&records));
    (ttft.len() >= 2).then(|| (median(&mut ttft), median(&mut stream)))
}

fn is_long_enough(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    alone(run, endpoint).is_some_and(|(_, stream_ms)| stream_ms >= STREAM_MS_MIN)
}

fn hang_up_within_ms(run: &RunView<'_>, endpoint: &Endpoint) -> f64 {
    alone(run, endpoint).map_or(STREAM_MS_MIN, |(ttft, stream)| ttft + WITHIN_SHARE * stream)
}

/// Times to first token, or nothing.
fn ttfts(run: &RunView<'_>, endpoint: &Endpoint, phase: &str) -> Vec<f64> {
    run.phase(NAME, phase)
        .map(|phase| ttft_ms(&good(phase, &endpoint.name)))
        .unwrap_or_default()
}

/// It counts for nothing: a target that refuses, or answers at once, is not to be warned of.
fn undecided(draft: Draft, why: String) -> Finding {
    draft
        .title("Whether a stream that its client hangs up on frees its slot could not be told")
        .detail(why)
        .done()
}

fn judge(run: &RunView<'_>, endpoint: &Endpoint, clients: u32) -> Finding {
    let draft = Draft::new(NAME, "hang-up-frees-slot", &endpoint.name).advisory();
    let Some((ttft_ms, stream_ms)) = alone(run, endpoint) else {
        return undecided(
            draft,
            "Too few streams ended well when one was asked for at a time.".to_owned(),
        );
    };
    let evidence = run
        .phase(NAME, ALONE)
        .map(|p| source(p, &endpoint.name))
        .unwrap_or_default();
    let n = ALONE_REQUESTS as usize;
    let mut draft = draft
        .figure("TTFT alone, median", ttft_ms, "ms", n, &evidence)
        .figure("first to last token alone, median", stream_ms, "ms", n, &evidence);
    if stream_ms < STREAM_MS_MIN {
        return undecided(
            draft,
            format!(
                "A stream lasts {stream_ms:.0} ms; under {STREAM_MS_MIN:.0} ms it is over before anybody hangs up."
            ),
        );
    }
    let together = ttfts(run, endpoint, WHOLE);
    let beside_ms = run
        .phase(NAME, WHOLE)
        .map(|phase| streaming_ms(&good(phase, &endpoint.name)))
        .filter(|streams| !streams.is_empty())
        .map_or(stream_ms, |mut streams| median(&mut streams).max(stream_ms));
    let waited = together.iter().copied().fold(f64::NAN, f64::max) - ttft_ms;
    let waits: Vec<f64> = (0..ROUNDS)
        .filter_map(|round| Some(ttfts(run, endpoint, &after(round)).first()? - ttft_ms))
        .collect();
    if !together.is_empty() {
        draft = draft.figure(
            &format!("longest wait of {clients} that read to the end"),
            waited,
            "ms",
            together.len(),
            &evidence,
        );
        draft = draft.figure(
            "first to last token of those, median",
            beside_ms,
            "ms",
            together.len(),
            &evidence,
        );
    }
    if waits.len() < ROUNDS {
        return undecided(
            draft,
            format!(
                "{} of {ROUNDS} requests after the hang-ups ended well.",
                waits.len()
            ),
        );
    }
    let least = waits.iter().copied().fold(f64::INFINITY, f64::min);
    let most = waits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sorted = waits.clone();
    draft = draft
        .measured(
            "wait of a request after the hang-ups, median",
            median(&mut sorted),
            "ms",
            None,
            waits.len(),
            &evidence,
        )
        .figure("the shortest of them", least, "ms", waits.len(), &evidence);
    let seen = Seen {
        clients,
        ttft_ms,
        beside_ms,
        waited_together: together.iter().any(|ms| ms - ttft_ms > WAITS_SHARE * beside_ms),
        waited,
        least,
        most,
    };
    conclusion(draft, &seen)
}

/// What the waits add up to, in milliseconds.
struct Seen {
    clients: u32,
    ttft_ms: f64,
    /// From the first to the last token of a stream beside others.
    beside_ms: f64,
    /// Whether those that read to the end waited for each other.
    waited_together: bool,
    /// The longest of their waits.
    waited: f64,
    /// The shortest and the longest wait after the hang-ups.
    least: f64,
    most: f64,
}

fn conclusion(draft: Draft, seen: &Seen) -> Finding {
    let Seen {
        clients,
        ttft_ms,
        beside_ms,
        waited_together,
        waited,
        least,
        most,
    } = *seen;
    if least > WAITS_SHARE * beside_ms {
        return draft
            .verdict(Verdict::Fail, Severity::High)
            .title("A stream that its client hangs up on keeps its slot")
            .detail(format!(
                "{clients} clients hung up in the middle, {ROUNDS} times; the request that followed waited {least:.0} ms or longer \
                 for its first token, each time, beyond the {ttft_ms:.0} ms it takes alone. The server went on with answers that \
                 nobody reads."
            ))
            .advice(
                "Stop generating when the connection closes: watch for the disconnect, and abort the request in the engine.",
                &format!("{least:.0} ms of waiting against {beside_ms:.0} ms of a whole stream"),
            )
            .done();
    }
    if !waited_together {
        return undecided(
            draft,
            format!(
                "{clients} at once that read to the end do not wait for each other, so a slot that stays taken would not show. Give \
                 more clients (`experiment.cancellation.clients`) than the server has slots."
            ),
        );
    }
    if most < FREE_SHARE * beside_ms.max(waited) {
        return draft
            .title("A stream that its client hangs up on frees its slot")
            .detail(format!(
                "{clients} that read to the end wait for each other up to {waited:.0} ms; after as many had hung up, the next \
                 request waited {most:.0} ms at most."
            ))
            .done();
    }
    undecided(
        draft,
        format!(
            "After the hang-ups the next request waited between {least:.0} and {most:.0} ms: neither a whole stream nor nothing."
        ),
    )
}
