//! The words for what the cache experiment found.

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::median;

use super::effect::{Effect, Growth, MARGIN, Ratio, Share, growth, pairs_needed};
use super::observed::Course;
use super::prompts::Arm;
use super::{NAME, Purpose};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::primary::no_work_ms;
use crate::text_slot::TextSlot;
use crate::wording::{digits, resting_on};

/// A repeated answer this much slower than an answer without work, in ms, may still come from a cache of answers.
const NEAR_MS: f64 = 1.0;

/// The findings about every endpoint that was tried.
pub(super) fn findings(run: &RunView<'_>, courses: &[Course], seed: u64) -> Vec<Finding> {
    let mut findings: Vec<Finding> = courses
        .iter()
        .filter_map(|course| {
            let of_times = |purpose| !matches!(purpose, Purpose::InTurn | Purpose::AtOnce);
            let results = course
                .results(run)
                .filter(|(planned, _)| of_times(planned.purpose));
            let phases: Vec<&PhaseResult> = results.map(|(_, result)| result).collect();
            let last = *phases.last()?;
            let finding = match course.slot {
                Some(_) => of_prompts(run, course, last, seed),
                None => of_url(run, course, last),
            };
            Some(resting_on(finding, &phases))
        })
        .collect();
    if findings.is_empty() {
        findings.push(
            Draft::new(NAME, "cache-effect", "")
                .advisory()
                .title("No cache was looked for: no working endpoint takes text or is a plain GET")
                .done(),
        );
    }
    findings
}

/// `3.1 (95 % interval 2.8 to 3.4)`.
fn shown(ratio: &Ratio) -> String {
    format!(
        "{} (95 % interval {} to {})",
        digits(ratio.mean),
        digits(ratio.interval.0),
        digits(ratio.interval.1)
    )
}

fn of_arm(effects: &[(Arm, Ratio)], arm: Arm) -> Option<Ratio> {
    effects.iter().find(|(a, _)| *a == arm).map(|(_, ratio)| *ratio)
}

fn of_url(run: &RunView<'_>, course: &Course, last: &PhaseResult) -> Finding {
    let endpoint = &course.endpoint;
    let evidence = source(last, endpoint);
    let draft = Draft::new(NAME, "http-cache", endpoint).advisory();
    let Some(ratio) = of_arm(&course.effects(run, 0, 1), Arm::Hit) else {
        return too_little(draft, endpoint);
    };
    let draft = with_ratio(draft, "time to first byte, new URL over the same URL", &ratio, &evidence).detail(format!(
        "The same URL again, against the URL with a parameter that nobody sent before, one at a time and in random order within \
         {} pairs. This speaks of caches that go by the URL, on the way or in the server; it compares first bytes.",
        ratio.pairs
    ));
    match ratio.effect {
        Effect::Faster => draft.title(format!(
            "{endpoint} answers the same URL {} times as fast as a new one, 95 % interval {} to {}: it is cached",
            digits(ratio.mean),
            digits(ratio.interval.0),
            digits(ratio.interval.1)
        )),
        Effect::Same => draft.title(format!(
            "{endpoint} takes as long for the same URL as for a new one: ratio {}, so no cache goes by the URL",
            shown(&ratio)
        )),
        Effect::Slower => slower(draft, endpoint, "URL", &ratio),
        Effect::Undecided => undecided(draft, endpoint, &ratio),
    }
    .done()
}

fn of_prompts(run: &RunView<'_>, course: &Course, last: &PhaseResult, seed: u64) -> Finding {
    let endpoint = &course.endpoint;
    let evidence = source(last, endpoint);
    let draft = Draft::new(NAME, "cache-effect", endpoint).advisory();
    let tests = course.tests();
    let lengths = course.compared(run);
    let Some((&longest, effects)) = lengths
        .last()
        .map(|longest| (longest, course.effects(run, *longest, tests)))
    else {
        return too_little(draft, endpoint);
    };
    let Some(hit) = of_arm(&effects, Arm::Hit) else {
        return too_little(draft, endpoint);
    };
    let prefix = of_arm(&effects, Arm::Prefix);
    let growth = growth(&points(run, course, &lengths), seed);
    let rate = course.hit_rate(run);
    let mut draft = with_ratio(
        draft,
        &format!("time to first byte, new over repeated, {longest} words"),
        &hit,
        &evidence,
    );
    if let Some(prefix) = &prefix {
        let label = format!("time to first byte, new over known beginning, {longest} words");
        draft = with_ratio(draft, &label, prefix, &evidence);
    }
    draft = with_growth(draft, growth.as_ref(), &evidence);
    if let Some((before, begins)) = course.begins(run) {
        draft = draft.figure(
            "shortest prompt that gains",
            f64::from(begins),
            "words",
            lengths.len(),
            &evidence,
        );
        if before > 0 {
            draft = draft.figure(
                "longest that does not",
                f64::from(before),
                "words",
                lengths.len(),
                &evidence,
            );
        }
    }
    if let Some(rate) = &rate {
        let ci = (100.0 * rate.interval.0, 100.0 * rate.interval.1);
        draft = draft.measured(
            "repeated prompts that met the cache",
            100.0 * rate.value,
            "%",
            Some(ci),
            rate.n,
            &evidence,
        );
    }
    let draft = draft.table(
        "By length of the prompt",
        &COLUMNS,
        rows(run, course, &lengths),
        &evidence,
    );
    let how = format!(
        "New prompts, prompts sent before and prompts of which all but the last word was sent before, one at a time and in \
         random order within blocks of three, up to {longest} words ({}) in `{}`. Time to the first byte of the answer: of an answer that \
         is not streamed it holds the whole work.",
        course.tokens(run, longest).map_or_else(
            || "the answers do not tell how many tokens".to_owned(),
            |tokens| format!("{} tokens by the answers' own count", digits(tokens))
        ),
        course.slot.as_ref().map_or("", TextSlot::name)
    );
    match hit.effect {
        Effect::Faster => helps(run, course, draft, &Seen { longest, hit, prefix, growth, rate }, &how),
        Effect::Same => draft
            .title(format!(
                "No cache was seen at {endpoint}: a repeated prompt takes as long as a new one, ratio {} at {longest} words",
                shown(&hit)
            ))
            .detail(format!(
                "{how} The ratio is shown to lie within {} and {}, so this is a result and not a lack of data.",
                digits(1.0 / MARGIN),
                digits(MARGIN)
            )),
        Effect::Slower => slower(draft.detail(how), endpoint, "prompt", &hit),
        Effect::Undecided => undecided(draft.detail(how), endpoint, &hit),
    }
    .done()
}

/// What was found where a cache helps.
struct Seen {
    longest: u32,
    hit: Ratio,
    prefix: Option<Ratio>,
    growth: Option<Growth>,
    rate: Option<Share>,
}

fn helps(run: &RunView<'_>, course: &Course, draft: Draft, seen: &Seen, how: &str) -> Draft {
    let endpoint = &course.endpoint;
    let longest = seen.longest;
    let by_prefix = seen.prefix.filter(|p| p.effect == Effect::Faster);
    let answers = is_of_answers(run, course, longest);
    let kind = match (&by_prefix, answers) {
        (_, Some(true)) => "A cache of answers",
        (Some(_), _) => "The prefix cache",
        (None, _) => "A cache of whole prompts",
    };
    let from = match course.begins(run) {
        Some((before, _)) if before > 0 => {
            let ratio = of_arm(&course.effects(run, before, course.tests()), Arm::Hit);
            match ratio {
                Some(r) if r.effect == Effect::Same => {
                    format!(" and does nothing up to {before} (ratio {})", shown(&r))
                }
                _ => String::new(),
            }
        }
        _ => String::new(),
    };
    let rate = seen.rate.map_or_else(String::new, |rate| {
        format!(
            "; a repeated prompt met it in {} % of the cases (95 % interval {} to {})",
            digits(100.0 * rate.value),
            digits(100.0 * rate.interval.0),
            digits(100.0 * rate.interval.1)
        )
    });
    let mut said = vec![how.to_owned()];
    if let Some((before, begins)) = course.begins(run) {
        said.push(match before {
            0 => format!("It gains from {begins} words on, the shortest that was tried."),
            before => {
                format!("It gains from {begins} words on; {before} words gained nothing that could be shown.")
            }
        });
    }
    if let Some(growth) = &seen.growth {
        said.push(format!(
            "A new prompt costs {} ms more for each hundred words, a repeated one {}: {} % of the growth is saved.",
            digits(100.0 * growth.miss_ms),
            digits(100.0 * growth.cached_ms.max(0.0)),
            digits(100.0 * growth.saved)
        ));
    }
    said.push(match (answers, &by_prefix) {
        (Some(true), _) => "Repeated prompts got the same bytes about as fast as an answer without any work: the answer itself \
                            was kept."
            .to_owned(),
        (None, _) if course.repeats_bytes(run, longest) => {
            "Without an endpoint that does no work, a cache of answers cannot be told from one of prompts.".to_owned()
        }
        (_, Some(prefix)) => format!(
            "A known beginning with a new last word is enough: ratio {}.",
            shown(prefix)
        ),
        (_, None) => "A known beginning with a new last word was not shown to be enough.".to_owned(),
    });
    draft
        .title(format!(
            "{kind} of {endpoint} cuts the time to the first byte {} times (95 % interval {} to {}) at {longest} words{from}{rate}",
            digits(seen.hit.mean),
            digits(seen.hit.interval.0),
            digits(seen.hit.interval.1)
        ))
        .detail(said.join(" "))
}

/// Whether repeated prompts get the same bytes, about as fast as a request without work; `None` when the latter was not
/// measured.
fn is_of_answers(run: &RunView<'_>, course: &Course, words: u32) -> Option<bool> {
    let floor = no_work_ms(run)?;
    let (mut new, mut repeated): (Vec<f64>, Vec<f64>) =
        course.pairs(run, words, Arm::Hit).into_iter().unzip();
    let near = median(&mut repeated) <= floor * 1.5 + NEAR_MS;
    let far = median(&mut new) > 2.0 * (floor * 1.5 + NEAR_MS);
    Some(near && far && course.repeats_bytes(run, words))
}

fn points(run: &RunView<'_>, course: &Course, lengths: &[u32]) -> Vec<(f64, f64, f64)> {
    lengths
        .iter()
        .flat_map(|&words| {
            let pairs = course.pairs(run, words, Arm::Hit);
            pairs
                .into_iter()
                .map(move |(miss, hit)| (f64::from(words), miss, hit))
        })
        .collect()
}

fn with_ratio(draft: Draft, label: &str, ratio: &Ratio, evidence: &Source) -> Draft {
    draft.measured(
        label,
        ratio.mean,
        "ratio",
        Some(ratio.interval),
        ratio.pairs,
        evidence,
    )
}

fn with_growth(draft: Draft, growth: Option<&Growth>, evidence: &Source) -> Draft {
    let Some(growth) = growth else { return draft };
    draft
        .figure(
            "time per further word, new",
            1000.0 * growth.miss_ms,
            "us",
            growth.pairs,
            evidence,
        )
        .figure(
            "time per further word, repeated",
            1000.0 * growth.cached_ms,
            "us",
            growth.pairs,
            evidence,
        )
        .measured(
            "growth saved by the cache",
            100.0 * growth.saved,
            "%",
            Some((100.0 * growth.interval.0, 100.0 * growth.interval.1)),
            growth.pairs,
            evidence,
        )
}

fn too_little(draft: Draft, endpoint: &str) -> Finding {
    draft
        .verdict(Verdict::Inconclusive, Severity::Info)
        .title(format!(
            "Too few answers of {endpoint} to say whether a cache helps"
        ))
        .advice(
            "Give the experiment more time (`duration_s`), or shorter prompts (`lengths`).",
            "",
        )
        .done()
}

fn undecided(draft: Draft, endpoint: &str, ratio: &Ratio) -> Draft {
    draft
        .verdict(Verdict::Inconclusive, Severity::Info)
        .title(format!(
            "Whether a cache helps at {endpoint} is open: ratio {} from {} pairs",
            shown(ratio),
            ratio.pairs
        ))
        .advice(
            "Give the experiment more time (`duration_s`), on a quiet machine.",
            &format!(
                "the logarithm of a pair's ratio varies by {}, so to show that there is no effect takes about {} pairs",
                digits(ratio.deviation),
                pairs_needed(ratio.deviation)
            ),
        )
}

fn slower(draft: Draft, endpoint: &str, what: &str, ratio: &Ratio) -> Draft {
    draft
        .verdict(Verdict::Warn, Severity::Low)
        .title(format!(
            "{endpoint} takes longer for a repeated {what} than for a new one: new over repeated {}",
            shown(ratio)
        ))
        .advice(
            "See whether a cache costs more than it saves, or whether requests wait for one another's entry.",
            "",
        )
}

const COLUMNS: [&str; 6] = [
    "Words",
    "Pairs",
    "New, median ms",
    "Repeated, median ms",
    "New over repeated",
    "New over known beginning",
];

fn rows(run: &RunView<'_>, course: &Course, lengths: &[u32]) -> Vec<Vec<String>> {
    let tests = course.tests();
    lengths
        .iter()
        .map(|&words| {
            let effects = course.effects(run, words, tests);
            let (mut new, mut repeated): (Vec<f64>, Vec<f64>) =
                course.pairs(run, words, Arm::Hit).into_iter().unzip();
            let cell = |arm| of_arm(&effects, arm).map_or_else(|| "-".to_owned(), |r| shown(&r));
            vec![
                words.to_string(),
                new.len().to_string(),
                digits(median(&mut new)),
                digits(median(&mut repeated)),
                cell(Arm::Hit),
                cell(Arm::Prefix),
            ]
        })
        .collect()
}
