//! What came back, counted and put into words.

use prony_model::{Finding, Outcome, PhaseResult, Sample, Severity, Verdict};
use prony_stats::{binomial, fisher};

use super::NAME;
use super::marks::{Kind, Marked, is_broken};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::metric::CONFIDENCE;
use crate::timings::{Timings, in_flight_max};
use crate::wording::{OUTCOME_COLUMNS, digits, resting_on_answers};

/// Error probability of "more often than one at a time".
const ALPHA: f64 = 0.01;
/// Share of answers one at a time that are surely shorter than in the trial, from which on that is a habit and no damage.
const HABIT: f64 = 0.01;

/// What answers came to. Those that were no answer (refused, late, given up) are in none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answers that could be judged.
    pub judged: u64,
    /// Answers that belong to another request.
    pub foreign: u64,
    /// Not whole: cut, broken HTTP, or no JSON where it was JSON.
    pub broken: u64,
    /// Whole by its own words, and shorter than alone.
    pub shorter: u64,
    /// Whole, but without its mark.
    pub unmarked: u64,
    /// Whole, and other bytes than alone.
    pub changed: u64,
    /// Cut off on purpose.
    pub given_up: u64,
}

impl Counts {
    /// Of a phase. `kind` is how answers are told to belong.
    pub(super) fn of(phase: &PhaseResult, endpoint: &str, kind: &Kind) -> Self {
        let mut counts = Self::default();
        for sample in Timings::of(phase, endpoint).samples() {
            counts.add(sample, kind);
        }
        counts
    }

    fn add(&mut self, sample: &Sample, kind: &Kind) {
        match sample.outcome {
            Outcome::Interrupted => self.given_up += 1,
            Outcome::Ok | Outcome::Foreign | Outcome::Unmarked => self.judged += 1,
            outcome if is_broken(outcome) => self.judged += 1,
            _ => {}
        }
        match (sample.outcome, kind) {
            (Outcome::Foreign, _) => self.foreign += 1,
            (Outcome::Unmarked, _) => self.unmarked += 1,
            // A value that is another than alone, or no JSON any more.
            (Outcome::WrongBody, Kind::Values { named: false }) => self.changed += 1,
            (outcome, _) if is_broken(outcome) => self.broken += 1,
            (Outcome::Ok, Kind::Bytes(references)) => {
                let Some(own) = references.get(sample.item as usize) else {
                    return;
                };
                if sample.digest == own.0 {
                    return;
                }
                if references.iter().any(|(digest, _)| *digest == sample.digest) {
                    self.foreign += 1;
                } else if sample.bytes_in < own.1 {
                    self.shorter += 1;
                } else {
                    self.changed += 1;
                }
            }
            _ => {}
        }
    }

    fn bad(&self) -> u64 {
        self.foreign + self.broken + self.shorter + self.unmarked + self.changed
    }

    /// What shorter answers are: others where they come one at a time as a habit, else cut ones.
    fn settle(before: &mut Self, now: &mut Self) {
        let (surely, _) = binomial::clopper_pearson(before.shorter, before.judged, CONFIDENCE);
        // A single one may be damage, of however few.
        let is_habit = before.shorter > 1 && surely >= HABIT;
        for counts in [before, now] {
            let shorter = std::mem::take(&mut counts.shorter);
            if is_habit {
                counts.changed += shorter;
            } else {
                counts.broken += shorter;
            }
        }
    }
}

/// The finding about one endpoint.
pub(super) fn finding(
    run: &RunView<'_>,
    endpoint: &str,
    marked: &Marked,
    alone: Option<&PhaseResult>,
    together: &PhaseResult,
) -> Finding {
    let kind = &marked.kind;
    let mut before = alone.map_or_else(Counts::default, |phase| Counts::of(phase, endpoint, kind));
    let mut now = Counts::of(together, endpoint, kind);
    Counts::settle(&mut before, &mut now);
    let evidence = source(together, endpoint);
    let tally = Timings::of(together, endpoint).tally();
    let samples = || Timings::of(together, endpoint).samples();
    let at_once = in_flight_max(samples());
    let span_s = Timings::of(together, endpoint).span_s();
    let overlap = samples().map(|s| s.service().as_secs_f64()).sum::<f64>() / span_s.max(1e-9);
    let draft = Draft::new(NAME, NAME, endpoint)
        .figure(
            "answers judged",
            now.judged as f64,
            "requests",
            now.judged as usize,
            &evidence,
        )
        .figure(
            "of another request",
            now.foreign as f64,
            "requests",
            now.judged as usize,
            &evidence,
        )
        .figure(
            "not whole",
            now.broken as f64,
            "requests",
            now.judged as usize,
            &evidence,
        )
        .figure(
            "without their mark",
            now.unmarked as f64,
            "requests",
            now.judged as usize,
            &evidence,
        )
        .figure(
            "other than alone",
            now.changed as f64,
            "requests",
            now.judged as usize,
            &evidence,
        )
        .figure(
            "given up on purpose",
            now.given_up as f64,
            "requests",
            samples().count(),
            &evidence,
        )
        .figure(
            "most in flight",
            f64::from(at_once),
            "requests",
            samples().count(),
            &evidence,
        )
        .figure("overlap factor", overlap, "ratio", samples().count(), &evidence)
        .table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), &evidence);
    let how = said(kind, &before, &now, at_once, overlap);
    let rests_on: Vec<&PhaseResult> = alone.into_iter().chain([together]).collect();
    let inference = run
        .surface
        .endpoints
        .iter()
        .any(|e| e.name == endpoint && e.role == prony_model::Role::Inference);
    let finding = judged(
        draft,
        &Told {
            endpoint,
            kind,
            inference,
            before,
            now,
            at_once,
        },
        how,
    );
    resting_on_answers(finding.done(), &rests_on)
}

/// What was counted, about what.
struct Told<'a> {
    endpoint: &'a str,
    kind: &'a Kind,
    inference: bool,
    before: Counts,
    now: Counts,
    at_once: u32,
}

/// The verdict and its words: the worst first.
fn judged(draft: Draft, told: &Told<'_>, how: String) -> Draft {
    let Told {
        endpoint,
        inference,
        before,
        now,
        ..
    } = *told;
    let more_often = |before_bad: u64, now_bad: u64| {
        let p = fisher::two_sided(now_bad, now.judged, before_bad, before.judged);
        let share = |bad: u64, n: u64| bad as f64 / n.max(1) as f64;
        p < ALPHA && share(now_bad, now.judged) > share(before_bad, before.judged)
    };
    if now.judged == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("No answer of {endpoint} under load could be judged"))
            .detail(how)
    } else if now.foreign > 0 {
        draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!(
                "{} of {} answers of {endpoint} belonged to another request that was under way",
                now.foreign, now.judged
            ))
            .detail(how)
            .advice(
                "Look for state that requests share: a global variable, a buffer used again, a cache keyed too coarsely, a \
                 connection to the model on which answers are matched by order.",
                "",
            )
    } else if now.broken > 0 {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{} of {} answers of {endpoint} were not whole", now.broken, now.judged))
            .detail(how)
            .advice("Look for writes that are not awaited, for buffers that are cut, and for a proxy that closes early.", "")
    } else if now.unmarked > 0 && more_often(before.unmarked, now.unmarked) {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{} of {} answers of {endpoint} lost the mark of their request under load, {} of {} one at a time",
                now.unmarked, now.judged, before.unmarked, before.judged
            ))
            .detail(how)
    } else if now.changed > 0 && before.changed == 0 {
        let (verdict, severity) = if inference {
            (Verdict::Warn, Severity::Medium)
        } else {
            (Verdict::Fail, Severity::High)
        };
        draft
            .verdict(verdict, severity)
            .title(format!(
                "{} of {} answers of {endpoint} were other than one at a time, where {} of {} were",
                now.changed, now.judged, before.changed, before.judged
            ))
            .detail(format!(
                "{how} A model that computes several requests together may round differently; other answers may not change."
            ))
    } else if now.changed > 0 && more_often(before.changed, now.changed) {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "Answers of {endpoint} change more often under load: {} of {}, one at a time {} of {}",
                now.changed, now.judged, before.changed, before.judged
            ))
            .detail(how)
    } else {
        clean(draft, told, how)
    }
}

fn clean(draft: Draft, told: &Told<'_>, how: String) -> Draft {
    let Told {
        endpoint,
        kind,
        before,
        now,
        at_once,
        ..
    } = *told;
    let n = now.judged;
    let limit = digits(100.0 * binomial::zero_failure_bound(n));
    // What was as frequent alone is no damage, but it is no proof either.
    let noisy = now.bad() > 0;
    let (title, partial) = match kind {
        Kind::Bytes(_) | Kind::Values { .. } if noisy => (
            format!(
                "{} of {n} answers of {endpoint}, up to {at_once} at once, were other than in the trial, as often as one at a time \
                 ({} of {}); the others were as they should be",
                now.bad(),
                before.bad(),
                before.judged
            ),
            true,
        ),
        Kind::Marks if noisy => (
            format!(
                "{n} distinct requests to {endpoint}, up to {at_once} at once: no answer was swapped or cut, so less than {limit} % \
                 are (95 %); {} lost their mark, as often as one at a time",
                now.unmarked
            ),
            false,
        ),
        Kind::Marks => (
            format!(
                "{n} distinct requests to {endpoint}, up to {at_once} at once: no answer was damaged, cut or swapped, so less than \
                 {limit} % are (95 %)"
            ),
            false,
        ),
        Kind::Bytes(references) => {
            let mut distinct: Vec<u64> = references.iter().map(|(digest, _)| *digest).collect();
            distinct.sort_unstable();
            distinct.dedup();
            let swaps = if distinct.len() > 1 {
                ", cut or swapped"
            } else {
                " or cut"
            };
            (
                format!(
                    "{n} answers of {endpoint}, up to {at_once} at once, had the same bytes as one at a time: none was damaged{swaps}, \
                     so less than {limit} % are (95 %)"
                ),
                false,
            )
        }
        Kind::Values { named: true } => (
            format!(
                "{n} answers of {endpoint}, up to {at_once} at once, were about their own request and whole, so less than {limit} % \
                 are not (95 %)"
            ),
            false,
        ),
        Kind::Values { named: false } => (
            format!(
                "{n} answers of {endpoint}, up to {at_once} at once, were whole and had the values that they have one at a time, so \
                 less than {limit} % have not (95 %); a swap could not have been seen"
            ),
            false,
        ),
        Kind::Form => (
            format!(
                "{n} answers of {endpoint}, up to {at_once} at once, were whole; whether they belong to their requests cannot be \
                 seen: nothing of the input comes back, and each answer differs"
            ),
            true,
        ),
    };
    let draft = draft.title(title).detail(how);
    if partial { draft.advisory() } else { draft }
}

fn said(kind: &Kind, before: &Counts, now: &Counts, at_once: u32, overlap: f64) -> String {
    let way = match kind {
        Kind::Marks => "Each request carried a random mark of 122 bits, which the answer repeats; the mark of another request in an \
                        answer is no chance."
            .to_owned(),
        Kind::Bytes(references) => format!(
            "One at a time, each of {} requests always got the same bytes; every answer was held against them by its XXH3-64.",
            references.len()
        ),
        Kind::Values { named } => format!(
            "Answers differ by themselves or tell a time, so the values that stay the same one at a time were held against each answer{}.",
            if *named { ", and a value that names what it is about" } else { "" }
        ),
        Kind::Form => "Only length, clean end and form could be checked.".to_owned(),
    };
    format!(
        "{way} One at a time, {} of {} answers were not as they should be; together {} of {}. {} further requests were given up at \
         a random moment, because damage likes cancellation. Up to {at_once} requests were under way at once (overlap factor {}): \
         that speaks of the client; how many the server truly ran at once is the ladder's answer.",
        before.bad(),
        before.judged,
        now.bad(),
        now.judged,
        now.given_up,
        digits(overlap)
    )
}

/// Said when no endpoint could be tried.
pub(super) fn nothing(run: &RunView<'_>) -> Finding {
    let title = if run.working_endpoints().iter().any(|e| e.is_work()) {
        "No endpoint may be loaded, so no answers of many at once were held against their requests"
    } else {
        "No endpoint that does the target's work answered well, so no answer could be held against its request"
    };
    Draft::new(NAME, NAME, "")
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title(title)
        .advice("Name an endpoint and a valid request for it in the suite.", "")
        .done()
}

#[cfg(test)]
mod tests {
    use prony_model::{Finding, Verdict};

    use super::{Counts, Told, judged};
    use crate::draft::Draft;
    use crate::integrity::NAME;
    use crate::integrity::marks::Kind;

    fn said(kind: &Kind, mut before: Counts, mut now: Counts) -> Finding {
        Counts::settle(&mut before, &mut now);
        let told = Told {
            endpoint: "GET /page",
            kind,
            inference: false,
            before,
            now,
            at_once: 16,
        };
        judged(Draft::new(NAME, NAME, told.endpoint), &told, String::new()).done()
    }

    fn shorter(of: u64, judged: u64) -> Counts {
        Counts {
            judged,
            shorter: of,
            ..Counts::default()
        }
    }

    #[test]
    fn shorter_answers_are_damage_unless_they_come_one_at_a_time_as_well() {
        let bytes = Kind::Bytes(vec![(1, 40)]);
        let cut = said(&bytes, shorter(1, 400), shorter(5, 5000));
        assert_eq!(cut.verdict, Verdict::Fail, "{}", cut.title);
        assert!(cut.title.contains("5 of 5000"), "{}", cut.title);
        let cut = said(&bytes, shorter(0, 0), shorter(1, 300));
        assert_eq!(cut.verdict, Verdict::Fail, "{}", cut.title);
        let habit = said(&bytes, shorter(120, 400), shorter(90, 300));
        assert_eq!(habit.verdict, Verdict::Pass, "{}", habit.title);
    }

    #[test]
    fn what_changes_by_itself_proves_no_bound() {
        let changed = |changed: u64, judged: u64| Counts {
            judged,
            changed,
            ..Counts::default()
        };
        for kind in [Kind::Bytes(vec![(1, 40)]), Kind::Values { named: false }] {
            let noisy = said(&kind, changed(40, 100), changed(130, 300));
            assert_eq!(noisy.verdict, Verdict::Pass);
            assert!(
                noisy.title.contains("130 of 300 answers")
                    && noisy.title.contains("as often as one at a time (40 of 100)"),
                "{}",
                noisy.title
            );
            assert!(!noisy.title.contains("less than"), "{}", noisy.title);
            let clean = said(&kind, changed(0, 100), changed(0, 300));
            assert!(clean.title.contains("less than"), "{}", clean.title);
        }
    }
}
