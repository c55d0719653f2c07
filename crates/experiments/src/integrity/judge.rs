//! What came back, counted and put into words.

use prony_model::{Captured, Finding, Outcome, PhaseResult, Sample, Severity, Verdict};
use prony_stats::{binomial, fisher};

use super::NAME;
use super::marks::{Kind, Marked, Named, Reference, is_broken};
use super::near;
use crate::RunView;
use crate::draft::{Draft, source};
use crate::metric::CONFIDENCE;
use crate::timings::{Timings, in_flight_max};
use crate::wording::{OUTCOME_COLUMNS, digits, resting_on_answers};

/// Error probability of "more often than one at a time".
const ALPHA: f64 = 0.01;
/// Share of answers one at a time that surely end earlier than in the trial, from which on that is a habit and no damage.
const HABIT: f64 = 0.01;

/// What answers came to. Those that were no answer (refused, late, given up) are in none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answers that could be judged.
    pub judged: u64,
    /// Answers that belong to another request.
    pub foreign: u64,
    /// Those of them that have the numbers of another's answer, and not its bytes.
    pub by_numbers: u64,
    /// Not whole: cut, broken HTTP, or no JSON where it was JSON.
    pub broken: u64,
    /// Whole by its own words, and only the start of what it is alone.
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
            let kept = || {
                let captures = phase.captures.iter();
                let mut of_it = captures.filter(|c| c.scenario == sample.scenario && c.item == sample.item);
                of_it.find(|c| c.seq == sample.seq)
            };
            counts.add(sample, kind, kept);
        }
        counts
    }

    fn add<'c>(&mut self, sample: &Sample, kind: &Kind, kept: impl FnOnce() -> Option<&'c Captured>) {
        match sample.outcome {
            Outcome::Interrupted => self.given_up += 1,
            Outcome::Ok | Outcome::Foreign | Outcome::Unmarked => self.judged += 1,
            outcome if is_broken(outcome) => self.judged += 1,
            _ => {}
        }
        match (sample.outcome, kind) {
            (Outcome::Foreign, _) => self.foreign += 1,
            // A text that a model wrote otherwise; a value that is another than alone, or no JSON any more.
            (
                Outcome::Unmarked,
                Kind::Values {
                    named: Named::Computed,
                },
            )
            | (Outcome::WrongBody, Kind::Values { named: Named::No }) => self.changed += 1,
            (Outcome::Unmarked, _) => self.unmarked += 1,
            (outcome, _) if is_broken(outcome) => self.broken += 1,
            (Outcome::Ok, Kind::Bytes(references)) => self.add_bytes(sample, references, kept),
            _ => {}
        }
    }

    /// A whole answer, held against what each request always gets. One that is shorter than its own may be rounded otherwise: it was cut
    /// only where it is its start.
    fn add_bytes<'c>(
        &mut self,
        sample: &Sample,
        references: &[Reference],
        kept: impl FnOnce() -> Option<&'c Captured>,
    ) {
        let at = sample.item as usize;
        let Some(own) = references.get(at).filter(|own| own.digest != sample.digest) else {
            return;
        };
        if references.iter().any(|other| other.digest == sample.digest) {
            self.foreign += 1;
        } else if own.begins_with(sample.digest, sample.bytes_in) {
            self.shorter += 1;
        } else if kept().is_some_and(|answer| near::is_anothers(answer, at, references)) {
            self.foreign += 1;
            self.by_numbers += 1;
        } else {
            self.changed += 1;
        }
    }

    fn bad(&self) -> u64 {
        self.foreign + self.broken + self.shorter + self.unmarked + self.changed
    }

    /// What answers are that end early: others where they come one at a time as a habit, else cut ones.
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
    } else if now.changed > 0
        && before.changed == 0
        // One changed answer of a model may be chance, as far as answers one at a time can tell.
        && (!inference || before.judged == 0 || now.changed > 1)
    {
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
    let how_often = if before.bad() > 0 {
        "as often as"
    } else {
        "not surely more often than"
    };
    let (title, partial) = match kind {
        Kind::Bytes(_) | Kind::Values { .. } if noisy => (
            format!(
                "{} of {n} answers of {endpoint}, up to {at_once} at once, were other than in the trial, {how_often} one at a time \
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
            let mut distinct: Vec<u64> = references.iter().map(|own| own.digest).collect();
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
        Kind::Values {
            named: Named::Plainly | Named::Computed,
        } => (
            format!(
                "{n} answers of {endpoint}, up to {at_once} at once, were about their own request and whole, so less than {limit} % \
                 are not (95 %)"
            ),
            false,
        ),
        Kind::Values { named: Named::No } => (
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
            if *named == Named::No { "" } else { ", and a value that names what it is about" }
        ),
        Kind::Form => "Only length, clean end and form could be checked.".to_owned(),
    };
    let by_numbers = match now.by_numbers {
        0 => String::new(),
        n => format!(
            " {n} had the bytes of no other's answer, but its numbers as close as rounding leaves them, and far from those of their own."
        ),
    };
    format!(
        "{way}{by_numbers} One at a time, {} of {} answers were not as they should be; together {} of {}. {} further requests were given up at \
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
    use prony_model::{Captured, Finding, Outcome, Sample, Verdict};
    use serde_json::json;
    use twox_hash::XxHash3_64;

    use super::{Counts, Named, Told, judged};
    use crate::draft::Draft;
    use crate::integrity::NAME;
    use crate::integrity::marks::{Kind, Reference};

    fn said(kind: &Kind, before: Counts, now: Counts) -> Finding {
        said_of(false, kind, before, now)
    }

    fn said_of(inference: bool, kind: &Kind, mut before: Counts, mut now: Counts) -> Finding {
        Counts::settle(&mut before, &mut now);
        let told = Told {
            endpoint: "GET /page",
            kind,
            inference,
            before,
            now,
            at_once: 16,
        };
        judged(Draft::new(NAME, NAME, told.endpoint), &told, String::new()).done()
    }

    fn same_bytes(bodies: &[&str]) -> Kind {
        let reference = |body: &&str| Reference {
            digest: XxHash3_64::oneshot(body.as_bytes()),
            bytes: body.len() as u32,
            body: Some(body.as_bytes().to_vec()),
        };
        Kind::Bytes(bodies.iter().map(reference).collect())
    }

    /// What answers to the first request come to.
    fn counted(kind: &Kind, bodies: &[&str]) -> Counts {
        let mut counts = Counts::default();
        for body in bodies {
            let sample = Sample {
                digest: XxHash3_64::oneshot(body.as_bytes()),
                bytes_in: body.len() as u32,
                ..Sample::default()
            };
            let captured = Captured {
                status: 200,
                body: (*body).to_owned(),
                ..Captured::unsent("")
            };
            counts.add(&sample, kind, || Some(&captured));
        }
        counts
    }

    #[test]
    fn an_answer_that_is_rounded_otherwise_is_not_cut() {
        let own = r#"{"score": 0.7312345, "label": "boat"}"#;
        let kind = same_bytes(&[own]);
        let rounded = counted(&kind, &[r#"{"score": 0.731235, "label": "boat"}"#; 20]);
        assert_eq!((rounded.changed, rounded.shorter), (20, 0));
        let alone = counted(&kind, &[own; 100]);
        let found = said_of(true, &kind, alone, rounded);
        assert_eq!(found.verdict, Verdict::Warn, "{}", found.title);

        let cut = counted(&kind, &[&own[..20], ""]);
        assert_eq!((cut.changed, cut.shorter), (0, 2));
        assert_eq!(said_of(true, &kind, alone, cut).verdict, Verdict::Fail);
        let not_held = Kind::Bytes(vec![Reference {
            digest: 1,
            bytes: 20,
            body: None,
        }]);
        let unknown = counted(&not_held, &[&own[..19], &own[..20]]);
        assert_eq!((unknown.changed, unknown.shorter), (1, 1));
    }

    /// What is computed otherwise beside others is rounding, another's text is a swap.
    #[test]
    fn a_text_that_is_computed_may_change_and_may_not_be_anothers() {
        let of = |named: Named, outcome: Outcome| {
            let mut counts = Counts::default();
            let sample = Sample {
                outcome,
                ..Sample::default()
            };
            counts.add(&sample, &Kind::Values { named }, || None);
            (counts.changed, counts.unmarked, counts.foreign)
        };
        assert_eq!(of(Named::Computed, Outcome::Unmarked), (1, 0, 0));
        assert_eq!(of(Named::Plainly, Outcome::Unmarked), (0, 1, 0));
        for named in [Named::Computed, Named::Plainly] {
            assert_eq!(of(named, Outcome::Foreign), (0, 0, 1));
        }
    }

    #[test]
    fn one_changed_answer_of_a_model_is_no_habit() {
        let kind = same_bytes(&["a page"]);
        let changed = |changed: u64, judged: u64| Counts {
            judged,
            changed,
            ..Counts::default()
        };
        let one = said_of(true, &kind, changed(0, 100), changed(1, 300));
        assert_eq!(one.verdict, Verdict::Pass, "{}", one.title);
        assert!(one.title.contains("not surely more often"), "{}", one.title);
        let few = said_of(true, &kind, changed(0, 1), changed(7, 300));
        assert_eq!(few.verdict, Verdict::Warn, "{}", few.title);
        let many = said_of(true, &kind, changed(0, 100), changed(100, 300));
        assert_eq!(many.verdict, Verdict::Warn, "{}", many.title);
        // What is looked up does not change at all.
        let looked_up = said(&kind, changed(0, 100), changed(1, 300));
        assert_eq!(looked_up.verdict, Verdict::Fail, "{}", looked_up.title);
    }

    #[test]
    fn a_swapped_answer_is_known_by_its_numbers_however_they_are_rounded() {
        let vector = |of: [f64; 4]| json!({ "embedding": of }).to_string();
        let (own, other) = (vector([0.12, -0.5, 0.33, 0.9]), vector([-0.7, 0.21, 0.05, 0.61]));
        let kind = same_bytes(&[&own, &other]);
        let swapped = counted(&kind, &[&vector([-0.7002, 0.2101, 0.0499, 0.6103])]);
        assert_eq!((swapped.foreign, swapped.by_numbers), (1, 1));
        let found = said_of(true, &kind, counted(&kind, &[&own]), swapped);
        assert!(found.title.contains("another request"), "{}", found.title);
        let rounded = counted(&kind, &[&vector([0.1201, -0.4998, 0.3301, 0.9003])]);
        assert_eq!((rounded.foreign, rounded.changed), (0, 1));
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
        let bytes = same_bytes(&["a page of some length"]);
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
        for kind in [same_bytes(&["a page"]), Kind::Values { named: Named::No }] {
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
