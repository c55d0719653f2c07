//! Does what is said to come from a cache come faster? Where answers state how many tokens they read from one, new prompts and
//! their repeats are timed in pairs, and the pairs whose usage speaks of the cache are held against the times.
//!
//! A dozen short requests: the whole effect of a cache, over lengths, is the cache experiment's. It must not know how a
//! cache works.

use prony_model::{
    Budget, Capture, Endpoint, Finding, Item, Limits, Phase, PhaseResult, Scenario, Severity, Shape, Verdict,
};
use prony_stats::{equivalence, mean, median, paired};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::{Answer, answers};
use crate::cache::{draw, letters, plain_text, shorten_answer};
use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::mutation::json_body;
use crate::primary::requests;
use crate::text_slot::text_slots;
use crate::token_counts::{TokenCounts, generators};
use crate::wording::{digits, ms, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "cache-claim";

/// Lengths of the prompts in words, the next when the last was too short to see what a prompt costs.
const LENGTHS: [u32; 2] = [150, 1500];
/// Words of a prompt that costs next to nothing.
const SHORT_WORDS: u32 = 4;
/// Short prompts before the pairs.
const SHORTS: u32 = 2;
/// Pairs of a new prompt and its repeat.
const PAIRS: u32 = 6;
/// Fewest pairs from which anything is said.
const PAIRS_MIN: usize = 5;
/// A new prompt must take so many times as long as a short one: what a cache could save is then to be seen.
const VISIBLE: f64 = 1.3;
/// A ratio within 1 / 1.1 and 1.1 is no effect.
const MARGIN: f64 = 1.1;
/// Error probability of each side.
const ALPHA: f64 = 0.05;
/// The usage of a repeat speaks of the cache when so large a part of the input is said to come from it.
const CACHED_SHARE: f64 = 0.5;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Cache as stated",
    question: "Does what is said to come from a cache come faster?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.0, 0.0, 0.0],
        most_s: [15.0, 30.0, 60.0],
        answers: [12.0, 16.0, 24.0],
    },
    build: |context, value| {
        let asked: CacheClaimParams = params(value)?;
        Ok(Box::new(CacheClaim {
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            tried: 0,
        }))
    },
    schema: || schema_for!(CacheClaimParams),
    example: "[experiment.cache-claim]\nduration_s = 30\n",
};

/// Parameters of the experiment on stated cache hits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheClaimParams {
    /// Stop after so many seconds. By default 15 (quick), 30 (standard) or 60 (thorough).
    pub duration_s: Option<f64>,
}

struct CacheClaim {
    duration_s: f64,
    seed: u64,
    limits: Limits,
    /// Lengths tried so far.
    tried: usize,
}

impl Experiment for CacheClaim {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        // Only when the last length was too short is there anything more to learn.
        let open = run.of(NAME).last().is_none_or(|last| {
            let seen = Seen::of(last);
            seen.claimed >= PAIRS_MIN && !seen.is_visible()
        });
        let phase = LENGTHS
            .get(self.tried)
            .filter(|_| open)
            .and_then(|&words| self.phase(run, words));
        self.tried += 1;
        phase.map_or(Step::Done, Step::Run)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        run.of(NAME).last().and_then(finding).into_iter().collect()
    }
}

impl CacheClaim {
    fn phase(&self, run: &RunView<'_>, words: u32) -> Option<Phase> {
        let endpoint = chosen(run)?;
        let number = u64::from(words);
        let mut items = Vec::new();
        for k in 0..SHORTS {
            items.push(item(
                run,
                endpoint,
                SHORT_WORDS,
                draw(self.seed, &[number, 1, u64::from(k)]),
            )?);
        }
        for k in 0..PAIRS {
            let new = item(run, endpoint, words, draw(self.seed, &[number, 2, u64::from(k)]))?;
            items.push(new.clone());
            items.push(new);
        }
        Some(Phase {
            name: format!("{words} words"),
            experiment: NAME.to_owned(),
            capture: Capture::responses(items.len() as u32),
            scenarios: vec![Scenario::new(endpoint.name.clone(), items)],
            shape: Shape::Once {
                duration_s: Some(self.duration_s / LENGTHS.len() as f64),
            },
            limits: self.limits.clone(),
        })
    }
}

/// The first endpoint that generates from text and states, in any answer of the preflight, how much came from a cache, be it
/// nothing.
fn chosen<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    let preflight = run.phase("coverage", "preflight")?;
    generators(run).into_iter().find(|endpoint| {
        let states_cache = answers(preflight, &endpoint.name)
            .iter()
            .filter_map(Answer::json)
            .any(|json| TokenCounts::of(&json).is_some_and(|counts| counts.cached.is_some()));
        states_cache && item(run, endpoint, LENGTHS[0], 0).is_some()
    })
}

/// A request for a short answer to a text of so many words.
fn item(run: &RunView<'_>, endpoint: &Endpoint, words: u32, bits: u64) -> Option<Item> {
    let base = requests(run, endpoint).into_iter().next()?;
    let slot = text_slots(endpoint, &base.request).into_iter().next()?;
    if letters(words) > slot.chars_max {
        return None;
    }
    let mut request = slot.with(&base.request, &plain_text(bits, words))?;
    let mut body = json_body(&request)?;
    shorten_answer(&mut body);
    request.body = prony_model::Body::text(body.to_string());
    Some(Item {
        request,
        expect: base.expect,
    })
}

/// What came of one length.
struct Seen {
    /// Times of short prompts, in ms.
    short: Vec<f64>,
    /// Times of a new prompt and of its repeat, in ms, of the pairs whose usage speaks of the cache.
    pairs: Vec<(f64, f64)>,
    /// How many pairs these are.
    claimed: usize,
    /// Pairs answered well.
    answered: usize,
    /// The tokens that repeats were said to read from the cache.
    cached: Vec<f64>,
}

impl Seen {
    fn of(phase: &PhaseResult) -> Self {
        let mut seen = Self {
            short: Vec::new(),
            pairs: Vec::new(),
            claimed: 0,
            answered: 0,
            cached: Vec::new(),
        };
        let all = answers(phase, &phase.phase.scenarios[0].name);
        let good = |item: u32| all.iter().find(|a| a.item == item && a.is_ok());
        let took = |answer: &Answer<'_>| answer.sample.service().as_millis_f64();
        let counts = |answer: &Answer<'_>| TokenCounts::of(&answer.json()?);
        seen.short.extend((0..SHORTS).filter_map(good).map(took));
        for k in 0..PAIRS {
            let first = SHORTS + 2 * k;
            let (Some(new), Some(again)) = (good(first), good(first + 1)) else {
                continue;
            };
            seen.answered += 1;
            let (Some(before), Some(after)) = (counts(new), counts(again)) else {
                continue;
            };
            let cached = after.cached.unwrap_or(0.0);
            // Some count what was read from the cache beside the input, some within it.
            let input = after.input.unwrap_or(0.0).max(cached);
            if before.cached.unwrap_or(0.0) < CACHED_SHARE * cached
                && cached >= CACHED_SHARE * input
                && cached > 0.0
            {
                seen.cached.push(cached);
                seen.pairs.push((took(new), took(again)));
            }
        }
        seen.claimed = seen.pairs.len();
        seen
    }

    /// Whether what a prompt costs is to be seen at this length.
    fn is_visible(&self) -> bool {
        let mut new: Vec<f64> = self.pairs.iter().map(|(new, _)| *new).collect();
        !self.short.is_empty() && !new.is_empty() && median(&mut new) >= VISIBLE * mean(&self.short)
    }
}

fn finding(phase: &PhaseResult) -> Option<Finding> {
    let endpoint = &phase.phase.scenarios[0].name;
    let mut seen = Seen::of(phase);
    if seen.claimed < PAIRS_MIN {
        return None;
    }
    let logs: Vec<f64> = seen.pairs.iter().map(|(new, again)| (new / again).ln()).collect();
    let shown = paired::interval(&logs, 0.95)?;
    let margin = MARGIN.ln();
    let same = equivalence::tost(&logs, -margin, margin, ALPHA)
        .map_or(shown.mean.abs() < margin, |tested| tested.equivalent);
    let (mut new, mut again): (Vec<f64>, Vec<f64>) = seen.pairs.iter().copied().unzip();
    let (new_ms, again_ms) = (median(&mut new), median(&mut again));
    let cached = median(&mut seen.cached);
    let n = seen.claimed;
    let here = source(phase, endpoint);
    let ratio = shown.mean.exp();
    let interval = (shown.low.exp(), shown.high.exp());
    let draft = Draft::new(NAME, "cache-claim", endpoint)
        .measured(
            "time of a new prompt over that of its repeat",
            ratio,
            "ratio",
            Some(interval),
            n,
            &here,
        )
        .figure(
            "tokens that a repeat is said to read from the cache",
            cached,
            "tokens",
            n,
            &here,
        )
        .figure("new prompt, median", new_ms, "ms", n, &here)
        .figure("repeated prompt, median", again_ms, "ms", n, &here)
        .figure(
            "short prompt, mean",
            mean(&seen.short),
            "ms",
            seen.short.len(),
            &here,
        );
    let detail = format!(
        "{n} prompts were sent twice. Usage says that the second time {} tokens came from the cache; new prompts took {}, repeats \
         {}, a prompt of {SHORT_WORDS} words {}. New over repeated: {} (95 % interval {} to {}).",
        digits(cached),
        ms(new_ms),
        ms(again_ms),
        ms(mean(&seen.short)),
        digits(ratio),
        digits(interval.0),
        digits(interval.1)
    );
    let draft = if !seen.is_visible() {
        draft
            .title(format!(
                "Prompts of {endpoint} cost too little to see whether what it says to come from the cache comes faster"
            ))
            .detail(detail)
    } else if shown.low > 0.0 && shown.mean > margin {
        draft
            .title(format!(
                "What {endpoint} says to come from the cache comes {} times as fast",
                digits(ratio)
            ))
            .detail(detail)
    } else if same {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{endpoint} reports cache hits that save no time: {} cached tokens, and the repeat takes {} where the new prompt took {}",
                digits(cached),
                ms(again_ms),
                ms(new_ms)
            ))
            .detail(format!(
                "{detail} That the ratio lies within {MARGIN} was tested (two one-sided tests at 5 %). So the hit is reported, and \
                 the prompt is computed all the same."
            ))
            .advice(
                "Find out whether what is found in the cache is used: usage, and what it costs, are stated from the lookup alone.",
                "",
            )
    } else {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "Whether what {endpoint} says to come from the cache comes faster is open: ratio {} from {n} pairs",
                digits(ratio)
            ))
            .detail(detail)
    };
    Some(resting_on(draft.done(), &[phase]))
}
