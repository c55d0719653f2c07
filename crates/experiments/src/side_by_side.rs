//! Does one generation hold up the others, and the health probes? A few requests together are held against the same requests
//! one after another, and probes are sent while others are at work.
//!
//! For endpoints whose answers state tokens, and whose requests are too dear for a ladder: it needs eight of them. It must not
//! know how a server schedules.

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Item, Limits, Phase, PhaseResult, Scenario, Severity,
    Shape, Verdict,
};
use prony_stats::median;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::answers;
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{no_work, requests, solo_ms};
use crate::timings::{Timings, in_flight_max};
use crate::token_counts::generators;
use crate::wording::{digits, ms, outcome, quantiles, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "side-by-side";
/// A request that takes so many times less when it is sent again, beside others, was answered from a cache.
const KEPT_RATIO: f64 = 3.0;
const TOGETHER: &str = "together";
const PROBED: &str = "probes beside generation";

/// Requests that are sent together.
const TOGETHER_N: usize = 4;
/// Requests that are at work while probes are sent.
const BESIDE_N: f64 = 4.0;
/// Probes sent meanwhile.
const PROBES: f64 = 24.0;
/// Fewest probes from which anything is said: half of them must be slow.
const PROBES_MIN: usize = 8;
/// The requests at work come so many times as fast as one alone is answered: one at a time is just enough for them.
const PACE: f64 = 1.0;
/// A request shorter than this is cheap enough for the ladder, in ms.
const SOLO_MS_MIN: f64 = 20.0;
/// One longer than this would take too long, in ms.
const SOLO_MS_MAX: f64 = 20_000.0;
/// Below this gain over one after another nothing was gained, where all of [`TOGETHER_N`] take the same time alone. It comes
/// closer to 1 the less there is to gain.
const GAIN_NONE: f64 = 1.25;
/// From this gain on they were served together.
const GAIN_SOME: f64 = 1.5;
/// There must be so much to gain, or one long request hides what the others gained.
const CEILING_MIN: f64 = 1.8;
/// A probe that takes less than this hurts nobody, in ms.
const SLOW_MS: f64 = 100.0;
/// And it must be so many times slower than without load.
const SLOW_RATIO: f64 = 10.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Generations side by side",
    question: "Does one generation hold up the others, and the health probes?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "client-floor"],
    time: Time::Bounded {
        usual_s: [0.0, 0.0, 0.0],
        most_s: [20.0, 60.0, 120.0],
        answers: [8.0, 12.0, 20.0],
    },
    build: |context, value| {
        let SideBySideParams {} = params(value)?;
        Ok(Box::new(SideBySide {
            limits: context.limits.clone(),
            stage: 0,
        }))
    },
    schema: || schema_for!(SideBySideParams),
    example: "[experiment.side-by-side]\n",
};

/// The experiment takes no parameters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SideBySideParams {}

struct SideBySide {
    limits: Limits,
    stage: usize,
}

impl Experiment for SideBySide {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let Some(endpoint) = chosen(run) else {
            return Step::Done;
        };
        self.stage += 1;
        let phase = match self.stage {
            1 => Some(self.together(run, endpoint)),
            2 => self.probed(run, endpoint),
            _ => None,
        };
        phase.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let together = run.phase(NAME, TOGETHER).and_then(|phase| gained(run, phase));
        let probed = run.phase(NAME, PROBED).and_then(|phase| starved(run, phase));
        together.into_iter().chain(probed).collect()
    }
}

impl SideBySide {
    /// The requests that were made one after another before, all at once.
    fn together(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Phase {
        let items = known(run, endpoint);
        Phase {
            name: TOGETHER.to_owned(),
            experiment: NAME.to_owned(),
            shape: Shape::Burst {
                size: items.len() as u32,
                count: 1,
                interval_s: 0.0,
            },
            scenarios: vec![Scenario::new(endpoint.name.clone(), items)],
            limits: self.limits.clone(),
            capture: Capture::NONE,
        }
    }

    /// Probes at an even rate while requests come as fast as one at a time could be answered.
    fn probed(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Phase> {
        let probe = no_work(run)?;
        let solo_s = solo_ms(run, endpoint)? / 1000.0;
        let duration_s = BESIDE_N * solo_s / PACE;
        let weighed = |endpoint: &Endpoint, items: Vec<Item>, weight: f64| Scenario {
            weight,
            ..Scenario::new(endpoint.name.clone(), items)
        };
        Some(Phase {
            name: PROBED.to_owned(),
            experiment: NAME.to_owned(),
            scenarios: vec![
                weighed(endpoint, known(run, endpoint), BESIDE_N),
                weighed(probe, requests(run, probe), PROBES),
            ],
            shape: Shape::Open {
                rate: (BESIDE_N + PROBES) / duration_s,
                arrivals: Arrivals::Constant,
                duration_s,
                in_flight_max: 100,
            },
            limits: self.limits.clone(),
            capture: Capture::NONE,
        })
    }
}

/// The first endpoint that generates, of those with requests that are neither cheap nor endless.
fn chosen<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    generators(run).into_iter().find(|endpoint| {
        let fits = solo_ms(run, endpoint).is_some_and(|solo| (SOLO_MS_MIN..=SOLO_MS_MAX).contains(&solo));
        fits && known(run, endpoint).len() >= 2
    })
}

/// The requests whose times alone are known.
fn known(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let mut items = requests(run, endpoint);
    items.truncate(TOGETHER_N);
    items
}

/// What some requests took alone, in the preflight.
#[derive(Clone, Debug)]
struct Alone {
    /// Each of them, in ms.
    ms: Vec<f64>,
    /// Which of them was the endpoint's first call of all: what that took may hold what is made once.
    first: Option<usize>,
}

/// What sending requests together gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gained {
    /// Nothing: they took turns.
    Nothing,
    /// Something: they were served together.
    Something,
    /// Too little to call.
    Unclear,
    /// One takes so much longer than the others that there was little to gain.
    Unequal,
    /// Most came so much faster than alone that they were not made anew.
    Kept,
}

impl Alone {
    fn of(run: &RunView<'_>, endpoint: &str, items: &[Item]) -> Option<Self> {
        let preflight = run.phase("coverage", "preflight")?;
        let seen = answers(preflight, endpoint);
        let first = seen.first().map(|a| a.sample.seq);
        let found = items
            .iter()
            .map(|item| seen.iter().find(|a| a.is_ok() && *a.request == item.request))
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            ms: found.iter().map(|a| a.sample.service().as_millis_f64()).collect(),
            first: found.iter().position(|a| Some(a.sample.seq) == first),
        })
    }

    /// One after another.
    fn sum_ms(&self) -> f64 {
        self.ms.iter().sum()
    }

    /// The longest: served side by side, all together take no longer.
    fn longest_ms(&self) -> f64 {
        self.ms.iter().copied().fold(0.0, f64::max)
    }

    /// The most that there is to gain.
    fn ceiling(&self) -> f64 {
        self.sum_ms() / self.longest_ms()
    }

    /// One after another, where the first call of all took no longer than the longest of the others.
    fn least_ms(&self) -> f64 {
        let others = self.ms.iter().enumerate().filter(|(k, _)| Some(*k) != self.first);
        let longest = others.map(|(_, ms)| *ms).fold(0.0, f64::max);
        let above = self
            .first
            .map_or(0.0, |first| (self.ms[first] - longest).max(0.0));
        self.sum_ms() - above
    }

    /// Whether answers to the same requests look kept from before: at least half of them, but for the first call of all, took no
    /// more than a third of what they took alone. Others at work make none faster.
    fn are_kept(&self, again: Timings<'_>) -> bool {
        let others: Vec<usize> = (0..self.ms.len()).filter(|k| Some(*k) != self.first).collect();
        let is_kept = |k: &&usize| {
            let mut same = again.good().filter(|s| s.item as usize == **k);
            same.any(|s| KEPT_RATIO * s.service().as_millis_f64() <= self.ms[**k])
        };
        let kept = others.iter().filter(is_kept).count();
        kept > 0 && 2 * kept >= others.len()
    }

    /// What was gained when all of these were done after `whole_ms`.
    fn gained(&self, together: Timings<'_>, whole_ms: f64) -> Gained {
        let to_gain = (self.ceiling() - 1.0) / (TOGETHER_N as f64 - 1.0);
        if self.least_ms() / whole_ms >= GAIN_SOME {
            if self.are_kept(together) {
                Gained::Kept
            } else {
                Gained::Something
            }
        } else if self.ceiling() < CEILING_MIN {
            Gained::Unequal
        } else if self.sum_ms() / whole_ms < 1.0 + (GAIN_NONE - 1.0) * to_gain {
            Gained::Nothing
        } else {
            Gained::Unclear
        }
    }
}

/// What requests that were sent together gained over the same requests one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gain {
    /// How many requests.
    pub n: usize,
    /// The ratio of the times.
    pub ratio: f64,
    /// Whether that is something, and not nothing.
    pub is_some: bool,
}

/// What was gained at an endpoint, for the ladder, which concludes how many are served at once. `None` where it was not measured,
/// or lies between nothing and something.
pub(crate) fn clear_gain(run: &RunView<'_>, endpoint: &str) -> Option<Gain> {
    let phase = run.phase(NAME, TOGETHER)?;
    let scenario = &phase.phase.scenarios[0];
    let alone = Alone::of(run, endpoint, &scenario.items).filter(|_| scenario.name == endpoint)?;
    let together = Timings::of(phase, endpoint);
    let ends = together.ends_ms();
    let whole = *ends.last().filter(|_| ends.len() == alone.ms.len())?;
    let is_some = match alone.gained(together, whole) {
        Gained::Something => true,
        Gained::Nothing => false,
        Gained::Unclear | Gained::Unequal | Gained::Kept => return None,
    };
    let counted_ms = if is_some { alone.least_ms() } else { alone.sum_ms() };
    Some(Gain {
        n: alone.ms.len(),
        ratio: counted_ms / whole,
        is_some,
    })
}

/// What sending them together gained over one after another.
fn gained(run: &RunView<'_>, phase: &PhaseResult) -> Option<Finding> {
    let scenario = &phase.phase.scenarios[0];
    let endpoint = &scenario.name;
    let alone = Alone::of(run, endpoint, &scenario.items)?;
    let times = Timings::of(phase, endpoint);
    let n = alone.ms.len();
    let here = source(phase, endpoint);
    let draft = Draft::new(NAME, "gain-together", endpoint);
    let ends = times.ends_ms();
    if ends.len() < n {
        let finding = draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{} of {n} requests to {endpoint} that were sent together were answered, so what that gains is not known",
                ends.len()
            ))
            .detail(outcome(&times.tally()))
            .done();
        return Some(resting_on(finding, &[phase]));
    }
    let one_by_one = alone.sum_ms();
    let whole = ends.last().copied().unwrap_or(f64::INFINITY);
    let gain = one_by_one / whole;
    let draft = draft
        .figure("one after another", one_by_one, "ms", n, &here)
        .figure("together", whole, "ms", n, &here)
        .figure("gain of sending them together", gain, "ratio", n, &here)
        .figure(
            "most of them under way at one moment",
            f64::from(in_flight_max(times.samples())),
            "requests",
            n,
            &here,
        )
        .figure(
            "answers per second, together",
            1000.0 * n as f64 / whole,
            "1/s",
            n,
            &here,
        );
    let per_s = digits(1000.0 * n as f64 / whole);
    let detail = format!(
        "The same {n} requests took {} one after another and {} together: {per_s} answers per second. Were they served side by \
         side, they would take little longer than the longest alone ({}).",
        ms(one_by_one),
        ms(whole),
        ms(alone.longest_ms())
    );
    let gained = alone.gained(times, whole);
    let draft = told(draft, gained, &alone, (endpoint, n, whole), &detail);
    Some(resting_on(draft.done(), &[phase]))
}

/// Words for what sending so many requests to an endpoint together gained, which took `whole` ms.
fn told(
    draft: Draft,
    gained: Gained,
    alone: &Alone,
    (endpoint, n, whole): (&str, usize, f64),
    detail: &str,
) -> Draft {
    let per_s = digits(1000.0 * n as f64 / whole);
    let gain = alone.sum_ms() / whole;
    match gained {
        Gained::Nothing => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{n} requests to {endpoint} sent together take as long as {n} one after another"
            ))
            .detail(format!(
                "{detail} So they took turns: it serves {per_s} per second however many ask; the number of open requests is a \
                 queue and no capacity."
            ))
            .advice(
                "Batch what is under way, or run the model in a worker of its own; until then one replica answers one user at a time.",
                "",
            ),
        Gained::Unclear => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "{n} requests to {endpoint} together gain {} over one after another: too little to call, and too much to deny",
                digits(gain)
            ))
            .detail(detail),
        Gained::Unequal => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "One of {n} requests to {endpoint} takes so much longer than the others that sending them together shows nothing"
            ))
            .detail(format!(
                "{detail} So no server could be more than {} times as fast with them together.",
                digits(alone.ceiling())
            )),
        Gained::Kept => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "{n} requests to {endpoint} that were sent again, together, were answered as if from a cache: whether they take turns is \
                 not known"
            ))
            .detail(format!(
                "{detail} Most of them took less than a third of what they took alone the first time, and others at work make no request \
                 faster. So they were not made anew, and new ones may take turns."
            ))
            .advice(
                "Switch the cache off for the test, or load requests that differ each time from a suite (`{{random.hex(8)}}`).",
                "",
            ),
        Gained::Something => draft
            .title(format!(
                "{n} requests to {endpoint} together are done {} times as fast as one after another",
                digits(alone.least_ms() / whole)
            ))
            .detail(format!(
                "{detail} Where the first call of all took longer than any other, it counts as the longest of those: it may have held \
                 what is made once."
            )),
    }
}

/// Whether probes wait for the generations under way.
fn starved(run: &RunView<'_>, phase: &PhaseResult) -> Option<Finding> {
    let (working, probe) = (&phase.phase.scenarios[0].name, &phase.phase.scenarios[1].name);
    let idle_phase = run.phase("client-floor", "no-work")?;
    let mut idle = Timings::all(idle_phase).service_ms();
    let idle_ms = median(&mut idle);
    let bound = SLOW_MS.max(SLOW_RATIO * idle_ms);
    let probes = Timings::of(phase, probe);
    let response = probes.response_ms();
    let tally = probes.tally();
    let n = response.len();
    let slow = response.iter().filter(|ms| **ms > bound).count();
    let here = source(phase, probe);
    let draft = quantiles(
        Draft::new(NAME, "health-starves", probe).advisory(),
        &response,
        "probe beside generation",
        &[0.5, 0.9],
        &here,
    )
    .figure("probes slower than the bound", slow as f64, "", n, &here)
    .figure("the bound", bound, "ms", n, &here)
    .figure("probe median without load", idle_ms, "ms", idle.len(), &source(idle_phase, probe))
    .detail(format!(
        "{probe} was called at an even rate while {working} answered about as many requests as one at a time allows: {slow} of {n} \
         probes took longer than {}; without load their median is {}. {}",
        ms(bound),
        ms(idle_ms),
        outcome(&tally)
    ));
    let draft = if 2 * tally.failed() > tally.judged() || (n >= PROBES_MIN && 2 * slow >= n) {
        let longest = response.iter().copied().fold(0.0, f64::max);
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "{probe} waits for the generation under way: up to {} beside {working}",
                ms(longest)
            ))
            .advice(
                "Answer probes apart from the work (another thread or process); a platform that gives a probe one second would \
                 restart this server while it works.",
                "",
            )
    } else if n < PROBES_MIN {
        return None;
    } else if Alone::of(run, working, &phase.phase.scenarios[0].items)
        .is_some_and(|alone| alone.are_kept(Timings::of(phase, working)))
    {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{probe} still answers beside {working}, whose answers came as if from a cache: nothing was at work meanwhile"
            ))
    } else {
        draft.title(format!("{probe} still answers while {working} generates"))
    };
    Some(resting_on(draft.done(), &[phase, idle_phase]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{
        Captured, Endpoint, Expect, Item, Nanos, PhaseResult, Request, Role, Sample, SampleRequest, Surface,
        Verdict,
    };
    use serde_json::json;

    use super::{NAME, PROBED, SideBySide, TOGETHER, gained, starved};
    use crate::fake::summary;
    use crate::{Experiment, RunView, Step};

    const SOLO_MS: f64 = 500.0;

    fn surface() -> Surface {
        let endpoint = |method: &str, path: &str, role, samples: Vec<Request>| Endpoint {
            name: format!("{method} {path}"),
            method: method.into(),
            path: path.into(),
            role,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: samples
                .into_iter()
                .map(|request| SampleRequest {
                    request,
                    inputs: BTreeMap::new(),
                })
                .collect(),
            expect: Expect::default(),
        };
        let asked = (0..4)
            .map(|k| Request::json("POST", "/write", &json!({ "text": k })))
            .collect();
        Surface {
            endpoints: vec![
                endpoint("GET", "/health", Role::Health, vec![Request::get("/health")]),
                endpoint("POST", "/write", Role::Inference, asked),
            ],
            ..Surface::default()
        }
    }

    /// A phase whose samples are (scenario, item, intended, sent, done), times in ms.
    fn recorded(phase: prony_model::Phase, index: u16, times: &[(u16, u32, f64, f64, f64)]) -> PhaseResult {
        let at = Nanos::from_millis_f64;
        let samples: Vec<Sample> = times
            .iter()
            .enumerate()
            .map(|(seq, &(scenario, item, intended, sent, done))| Sample {
                seq: seq as u64,
                scenario,
                item,
                intended: at(intended),
                sent: at(sent),
                first_byte: at(done),
                done: at(done),
                ..Sample::default()
            })
            .collect();
        let captures = samples
            .iter()
            .map(|s| Captured {
                seq: s.seq,
                scenario: s.scenario,
                item: s.item,
                status: 200,
                outcome: s.outcome,
                headers: Vec::new(),
                body: json!({"text": "x", "usage": {"output_tokens": 3}}).to_string(),
                body_bytes: 50,
                cut: false,
                binary: false,
                head: String::new(),
                bytes: Vec::new(),
                digest: String::new(),
                error: String::new(),
            })
            .collect();
        PhaseResult {
            index,
            summary: summary(&phase, index, &samples, at(10_000.0)),
            phase,
            samples,
            samples_cut: false,
            captures,
            streams: Vec::new(),
            readings: Vec::new(),
        }
    }

    /// The verdicts on the gain and on the probes, for a server that ends four requests together at these times and answers
    /// probes, sent every 80 ms for two seconds, `probe_ms` after they were sent.
    fn judged(ends_ms: [f64; 4], probe_ms: impl Fn(f64) -> f64) -> (Verdict, Verdict) {
        judged_beside([SOLO_MS; 4], ends_ms, probe_ms)
    }

    /// The same where the four take these times alone.
    fn judged_beside(
        alone_ms: [f64; 4],
        ends_ms: [f64; 4],
        probe_ms: impl Fn(f64) -> f64,
    ) -> (Verdict, Verdict) {
        judged_again(alone_ms, ends_ms, 2_100.0, probe_ms)
    }

    /// The same where those beside the probes take so long.
    fn judged_again(
        alone_ms: [f64; 4],
        ends_ms: [f64; 4],
        beside_ms: f64,
        probe_ms: impl Fn(f64) -> f64,
    ) -> (Verdict, Verdict) {
        let surface = surface();
        let preflight = prony_model::Phase {
            name: "preflight".into(),
            experiment: "coverage".into(),
            scenarios: surface
                .endpoints
                .iter()
                .map(|e| prony_model::Scenario::new(e.name.clone(), e.items()))
                .collect(),
            shape: prony_model::Shape::Once { duration_s: None },
            limits: prony_model::Limits::default(),
            capture: prony_model::Capture::responses(9),
        };
        let item = |endpoint: usize, k: usize| -> Item { surface.endpoints[endpoint].items()[k].clone() };
        let floor = prony_model::Phase {
            name: "no-work".into(),
            experiment: "client-floor".into(),
            scenarios: vec![prony_model::Scenario::new("GET /health", vec![item(0, 0)])],
            ..preflight.clone()
        };
        let mut first = vec![(0, 0, 0.0, 0.0, 0.2)];
        first.extend((0..4).map(|k| {
            let start = 1.0 + alone_ms[..k as usize].iter().sum::<f64>();
            (1, k, start, start, start + alone_ms[k as usize])
        }));
        let idle: Vec<_> = (0..20)
            .map(|k| (0, 0, f64::from(k), f64::from(k), f64::from(k) + 0.2))
            .collect();
        let mut phases = vec![recorded(preflight, 0, &first), recorded(floor, 1, &idle)];
        let mut experiment = SideBySide {
            limits: prony_model::Limits::default(),
            stage: 0,
        };
        let mut next = |phases: &[PhaseResult]| {
            let run = RunView {
                surface: &surface,
                phases,
                cores: 2,
                shared_host: false,
            };
            match experiment.next(&run) {
                Step::Run(phase) => phase,
                Step::Restarted(_) | Step::Stopped { .. } | Step::Done => panic!("nothing to run"),
            }
        };
        let together: Vec<_> = (0..4).map(|k| (0, k, 0.0, 0.0, ends_ms[k as usize])).collect();
        let phase = next(&phases);
        phases.push(recorded(phase, 2, &together));
        let mut beside: Vec<_> = (0..4)
            .map(|k| (0, k, f64::from(k) * SOLO_MS, 0.0, beside_ms))
            .collect();
        beside.extend((0..24).map(|k| {
            let sent = 80.0 * f64::from(k);
            (1, 0, sent, sent, sent + probe_ms(sent))
        }));
        let phase = next(&phases);
        phases.push(recorded(phase, 3, &beside));
        let run = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: false,
        };
        let of = |name| run.phase(NAME, name).unwrap();
        let (gain, probes) = (
            gained(&run, of(TOGETHER)).unwrap(),
            starved(&run, of(PROBED)).unwrap(),
        );
        (gain.counted(), probes.counted())
    }

    #[test]
    fn one_event_loop_holds_up_everybody() {
        // All leave when the loop is free, and probes wait for the end of the generation under way.
        let until_free = |sent: f64| SOLO_MS - sent.rem_euclid(SOLO_MS);
        assert_eq!(judged([2_050.0; 4], until_free), (Verdict::Fail, Verdict::Warn));
    }

    #[test]
    fn a_queue_before_one_slot_leaves_probes_alone() {
        assert_eq!(
            judged([500.0, 1_000.0, 1_500.0, 2_000.0], |_| 0.4),
            (Verdict::Fail, Verdict::Pass)
        );
    }

    #[test]
    fn a_batch_holds_up_nobody() {
        assert_eq!(
            judged([520.0, 530.0, 540.0, 560.0], |_| 0.4),
            (Verdict::Pass, Verdict::Pass)
        );
    }

    #[test]
    fn one_long_request_among_short_ones_proves_no_turns() {
        let gain = |alone_ms, ends_ms| judged_beside(alone_ms, ends_ms, |_| 0.4).0;
        // Side by side, and no faster than the longest.
        assert_eq!(
            gain([500.0, 5_000.0, 500.0, 500.0], [510.0, 5_050.0, 520.0, 530.0]),
            Verdict::Warn
        );
        assert_eq!(
            gain([500.0, 1_500.0, 500.0, 500.0], [510.0, 1_520.0, 520.0, 530.0]),
            Verdict::Pass
        );
        assert_eq!(
            gain([500.0, 1_500.0, 500.0, 500.0], [500.0, 2_000.0, 2_500.0, 2_950.0]),
            Verdict::Fail
        );
    }

    #[test]
    fn what_the_first_call_takes_once_is_no_gain() {
        let gain = |alone_ms, ends_ms| judged_beside(alone_ms, ends_ms, |_| 0.4).0;
        let in_turns = [500.0, 1_000.0, 1_500.0, 2_000.0];
        assert_eq!(gain([1_600.0, 500.0, 500.0, 500.0], in_turns), Verdict::Warn);
        assert_eq!(gain([3_000.0, 500.0, 500.0, 500.0], in_turns), Verdict::Warn);
        assert_eq!(gain([3_000.0, 500.0, 500.0, 500.0], [520.0; 4]), Verdict::Pass);
    }

    #[test]
    fn answers_from_a_cache_show_neither_gain_nor_probes_that_are_left_alone() {
        let quick = [3.0, 4.0, 5.0, 6.0];
        let kept = judged_again([SOLO_MS; 4], quick, 4.0, |_| 0.4);
        assert_eq!(kept, (Verdict::Warn, Verdict::Warn), "advisory: not known");
        // One that was not kept is no proof that they are served together.
        assert_eq!(
            judged([3.0, 4.0, 5.0, 510.0], |_| 0.4),
            (Verdict::Warn, Verdict::Pass)
        );
    }

    #[test]
    fn a_small_gain_is_called_neither() {
        assert_eq!(
            judged([900.0, 1_000.0, 1_200.0, 1_480.0], |_| 0.4).0,
            Verdict::Warn
        );
    }
}
