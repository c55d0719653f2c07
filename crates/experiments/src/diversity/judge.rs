//! What the answers to varied requests allow to say about one endpoint.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Endpoint, Finding, PhaseResult, Role, Severity, Source, Verdict};
use serde_json::Value;

use super::NAME;
use super::classes;
use super::echo::{Echo, same, same_texts, without_numbers};
use super::nothing::found_nothing;
use super::rules::{self, Prose};
use super::variation::Trial;
use crate::answer::{Answer, answers, bounded_to};
use crate::draft::{Draft, source};
use crate::leaf::{Leaf, by_path, is_prose};

/// Fewest distinct values of an input before anything is said about it.
const VALUES_MIN: usize = 3;
/// Substance below which more values are asked for, see [`rules::substance`].
const SUBSTANCE_RICH: u32 = 4;
/// Values asked for when the answer has little substance.
const VALUES_MIN_POOR: usize = 6;

/// Said in a row where all that an answer holds is a class: inputs of one class rightly get the same.
const ONE_CLASS: &str = "one class for all, which may be right";

/// One good answer with its trial.
pub(super) struct Seen<'a> {
    pub trial: &'a Trial,
    answer: Answer<'a>,
    pub leaves: BTreeMap<String, Leaf>,
}

/// Everything seen of one endpoint.
pub(super) struct Observed<'a> {
    pub endpoint: &'a Endpoint,
    repeats: Vec<Seen<'a>>,
    variants: Vec<Seen<'a>>,
    noise: BTreeSet<String>,
    pub source: Source,
}

/// What is known about one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependence {
    Depends,
    Ignored,
    /// The same class for all, and nothing else that could tell inputs apart.
    OneClass,
    TooFew,
    NothingToCompare,
}

impl<'a> Observed<'a> {
    /// Joins trials and answers.
    pub(super) fn new(endpoint: &'a Endpoint, trials: &'a [Trial], phase: &'a PhaseResult) -> Self {
        let mut observed = Self {
            endpoint,
            repeats: Vec::new(),
            variants: Vec::new(),
            noise: BTreeSet::new(),
            source: source(phase, &endpoint.name),
        };
        observed.add(trials, phase);
        observed
    }

    /// Joins further trials and their answers.
    pub(super) fn add(&mut self, trials: &'a [Trial], phase: &'a PhaseResult) {
        let name = &self.endpoint.name;
        for answer in answers(phase, name).into_iter().filter(Answer::is_ok) {
            let Some(trial) = trials.get(answer.item as usize) else {
                continue;
            };
            let seen = Seen {
                trial,
                answer,
                leaves: leaves_of(&answer),
            };
            if trial.field.is_some() {
                self.variants.push(seen);
            } else {
                self.repeats.push(seen);
            }
        }
        self.noise = noise(&self.repeats);
    }

    /// The inputs of which a value of another kind is to be asked before anything is said against an endpoint whose answers could
    /// rightly be the same for inputs of one kind: classes, and certainties of them.
    pub(super) fn doubtful(&self) -> Vec<String> {
        if self.endpoint.role != Role::Inference {
            return Vec::new();
        }
        let degenerate = classes::is_degenerate(self);
        let is_constant = |variants: &[&Seen<'a>]| {
            let dependence = self.dependence(variants);
            matches!(dependence, Dependence::Ignored | Dependence::OneClass) && self.says_little(variants)
        };
        self.fields()
            .into_iter()
            .filter(|(field, _)| rules::must_matter(self.endpoint, field))
            .filter(|(_, variants)| degenerate || is_constant(variants))
            .map(|(field, _)| field.to_owned())
            .collect()
    }

    /// The first good answer.
    pub(super) fn base(&self) -> Option<&Seen<'a>> {
        self.repeats.first()
    }

    /// The inputs that were varied, with their good answers.
    fn fields(&self) -> BTreeMap<&str, Vec<&Seen<'a>>> {
        let mut fields: BTreeMap<&str, Vec<&Seen<'a>>> = BTreeMap::new();
        for seen in &self.variants {
            fields
                .entry(seen.trial.field.as_deref().unwrap_or_default())
                .or_default()
                .push(seen);
        }
        fields
    }

    /// The answers to requests whose difference ought to matter.
    pub(super) fn distinct(&self) -> Vec<&Seen<'a>> {
        self.variants
            .iter()
            .filter(|s| {
                s.trial
                    .field
                    .as_deref()
                    .is_some_and(|f| rules::must_matter(self.endpoint, f))
            })
            .collect()
    }

    fn is_noise(&self, leaf: &Leaf) -> bool {
        self.noise.contains(&leaf.pattern) || rules::is_noise_by_name(leaf)
    }

    /// The leaves that are no noise.
    pub(super) fn telling<'s>(&'s self, seen: &'s Seen<'a>) -> impl Iterator<Item = &'s Leaf> {
        seen.leaves.values().filter(|leaf| !self.is_noise(leaf))
    }

    /// Whether a variant's answer differs from the first one's beyond noise and echo.
    fn differs(&self, base: &Seen<'a>, variant: &Seen<'a>) -> bool {
        if base.leaves.is_empty() && variant.leaves.is_empty() {
            return base.answer.sample.digest != variant.answer.sample.digest;
        }
        let (base_echo, echo) = echoes(variant.trial);
        let mut unmatched = self.telling(base).count();
        for leaf in self.telling(variant) {
            match base.leaves.get(&leaf.path) {
                Some(old) if same(&old.value, &base_echo, &leaf.value, &echo) => unmatched -= 1,
                _ => return true,
            }
        }
        unmatched > 0
    }

    /// What an answer says beside noise and the input that was varied.
    fn own<'s>(&'s self, base: &'s Seen<'a>, variants: &[&Seen<'a>]) -> Vec<&'s Leaf> {
        let echo = variants.first().map(|v| echoes(v.trial).0);
        self.telling(base)
            .filter(|leaf| echo.as_ref().is_none_or(|echo| !is_echo(echo, leaf)))
            .collect()
    }

    /// Whether the first answer is so poor, or so sure, that inputs of one kind may rightly share it.
    fn says_little(&self, variants: &[&Seen<'a>]) -> bool {
        let Some(base) = self.base().filter(|base| !base.leaves.is_empty()) else {
            return false;
        };
        let own = self.own(base, variants);
        let leaves = || own.iter().copied();
        rules::substance(leaves()) < SUBSTANCE_RICH || rules::is_sure(leaves())
    }

    fn dependence(&self, variants: &[&Seen<'a>]) -> Dependence {
        let Some(base) = self.base() else {
            return Dependence::TooFew;
        };
        if variants.iter().any(|v| self.differs(base, v)) {
            return Dependence::Depends;
        }
        // What it writes is new each time, whatever is asked: no difference can be told from that.
        let writes_anew = |leaf: &Leaf| {
            self.noise.contains(&leaf.pattern)
                && is_prose(&leaf.text())
                && rules::prose_kind(leaf) != Prose::Boilerplate
        };
        if base.leaves.values().any(writes_anew) {
            return Dependence::NothingToCompare;
        }
        let own = self.own(base, variants);
        let own = || own.iter().copied();
        let substance = if base.leaves.is_empty() {
            SUBSTANCE_RICH
        } else {
            rules::substance(own())
        };
        let accepted = rules::is_acceptance(base.answer.sample.status, base.leaves.values());
        let nothing = base.answer.json().as_ref().is_some_and(found_nothing);
        if substance == 0 || accepted || nothing || base.answer.sample.bytes_in == 0 {
            return Dependence::NothingToCompare;
        }
        let needed = if substance >= SUBSTANCE_RICH {
            VALUES_MIN
        } else {
            VALUES_MIN_POOR
        };
        if variants.len() + 1 < needed {
            Dependence::TooFew
        } else if rules::are_only_classes(own()) || (rules::is_sure(own()) && may_be_of_one_kind(variants)) {
            Dependence::OneClass
        } else {
            Dependence::Ignored
        }
    }
}

/// Whether the inputs may all be of one kind: we made them up, and none of another kind was answered.
pub(super) fn may_be_of_one_kind(variants: &[&Seen<'_>]) -> bool {
    let is_made_up = |v: &&Seen<'_>| !v.trial.contrast && !rules::names_things(&v.trial.base_value);
    variants.iter().all(is_made_up)
}

/// How many of the inputs were chosen to be of another kind, as a sentence; empty without any.
pub(super) fn told_of_contrasts(variants: &[&Seen<'_>]) -> String {
    match variants.iter().filter(|v| v.trial.contrast).count() {
        0 => String::new(),
        n => format!(
            " {n} of them were chosen to be of other kinds: an advertisement, an insult and a text in another language, or \
             numbers far from the others."
        ),
    }
}

/// All findings about all endpoints, the overview first. Those named were left out, since each call of them leaves something behind.
pub(super) fn findings(observed: &[Observed<'_>], left_out: &[String], phase: &PhaseResult) -> Vec<Finding> {
    let mut rows = Vec::new();
    let mut found = Vec::new();
    for endpoint in observed {
        for (field, variants) in endpoint.fields() {
            let dependence = endpoint.dependence(&variants);
            rows.push(row(endpoint, field, &variants, dependence));
            if dependence == Dependence::Ignored {
                found.push(ignored(endpoint, field, &variants));
            }
        }
        if endpoint.endpoint.role == Role::Inference {
            found.extend(template(endpoint));
            found.extend(classes::degenerate(endpoint));
        }
        found.extend(nondeterministic(endpoint));
    }
    found.insert(0, overview(rows, &found, left_out, phase));
    found
}

fn overview(rows: Vec<Vec<String>>, found: &[Finding], left_out: &[String], phase: &PhaseResult) -> Finding {
    let without = match left_out {
        [] => String::new(),
        [one] => format!(" {one} was left out, since each call of it leaves something behind."),
        [one, more @ ..] => format!(
            " {one} and {} more were left out, since each call of them leaves something behind.",
            more.len()
        ),
    };
    let judged = rows.iter().filter(|r| r[4] == "yes" || r[4] == "no").count();
    let depend = rows.iter().filter(|r| r[4] == "yes").count();
    let verdict = if judged == 0 {
        Verdict::Inconclusive
    } else {
        Verdict::worst(found.iter().map(Finding::counted))
    };
    Draft::new(NAME, "diversity", "")
        .verdict(verdict, Severity::Info)
        .advisory()
        .title(if judged == 0 && rows.iter().any(|r| r[4] == ONE_CLASS) {
            "Whether answers depend on their inputs cannot be seen: they are one class for all that was sent".to_owned()
        } else if judged == 0 {
            "No input had enough distinct values to see whether answers depend on it".to_owned()
        } else {
            format!("The answers depend on {depend} of the {judged} inputs that could be judged")
        })
        .detail(format!(
            "One input was varied at a time and everything else kept. Repeats of one request showed what differs by \
             itself, such as times and ids; that and mere echoes of the input do not count as a difference.{without}"
        ))
        .table(
            "Distinct inputs and distinct answers",
            &["Endpoint", "Input", "Values tried", "Distinct answers", "Answer depends on it"],
            rows,
            &Source { phase: Some(phase.index), scenario: String::new() },
        )
        .done()
}

fn row(observed: &Observed<'_>, field: &str, variants: &[&Seen<'_>], dependence: Dependence) -> Vec<String> {
    let mut digests: BTreeSet<u64> = variants.iter().map(|v| v.answer.sample.digest).collect();
    digests.extend(observed.base().map(|b| b.answer.sample.digest));
    vec![
        observed.endpoint.name.clone(),
        field.to_owned(),
        (variants.len() + 1).to_string(),
        digests.len().to_string(),
        match dependence {
            Dependence::Depends => "yes",
            Dependence::Ignored => "no",
            Dependence::OneClass => ONE_CLASS,
            Dependence::TooFew => "too few values to say",
            Dependence::NothingToCompare => "nothing to compare",
        }
        .to_owned(),
    ]
}

fn ignored(observed: &Observed<'_>, field: &str, variants: &[&Seen<'_>]) -> Finding {
    let endpoint = observed.endpoint;
    let n = variants.len() + 1;
    let matters = rules::must_matter(endpoint, field);
    let draft = Draft::new(NAME, "input-ignored", &endpoint.name);
    let draft = match endpoint.role {
        Role::Inference if matters => draft.verdict(Verdict::Fail, Severity::High),
        Role::Media if matters => draft.verdict(Verdict::Warn, Severity::Medium).advisory(),
        Role::Inference if rules::ought_to_matter(endpoint, field) => {
            draft.verdict(Verdict::Warn, Severity::Medium).advisory()
        }
        _ => draft.advisory(),
    };
    let tried: Vec<String> = variants
        .first()
        .map(|v| v.trial.base_value.as_str())
        .into_iter()
        .chain(variants.iter().map(|v| v.trial.value.as_str()))
        .map(|value| bounded_to(value, 60))
        .collect();
    let rows = tried
        .iter()
        .zip(observed.base().into_iter().chain(variants.iter().copied()))
        .map(|(value, seen)| vec![value.clone(), bounded_to(&seen.answer.message(), 100)])
        .collect();
    draft
        .title(format!("The answer of {} does not depend on `{field}`", endpoint.name))
        .detail(format!(
            "{n} distinct values of `{field}` were sent with everything else unchanged. Apart from repeating the \
             input, all {n} answers say the same.{}",
            told_of_contrasts(variants)
        ))
        .figure("distinct values tried", n as f64, "", n, &observed.source)
        .figure("distinct answers beyond echo and noise", 1.0, "", n, &observed.source)
        .table("What was sent and answered", &[field, "Start of the answer"], rows, &observed.source)
        .advice(
            &format!("Find out why `{field}` is not used; a fallback that never reads it is the usual reason."),
            "Times of an endpoint that does not do its work are not the times of that work.",
        )
        .done()
}

/// Texts that ought to be written for each input, and are not.
fn template(observed: &Observed<'_>) -> Option<Finding> {
    let base = observed.base()?;
    let variants = observed.distinct();
    if variants.len() + 1 < VALUES_MIN {
        return None;
    }
    let patterns: BTreeSet<&str> = std::iter::once(base)
        .chain(variants.iter().copied())
        .flat_map(|seen| {
            let echo = echo_here(seen, &variants);
            observed
                .telling(seen)
                .filter(move |l| l.value.is_string() && is_prose(&echo.mask(&l.text())))
                .map(|l| l.pattern.as_str())
        })
        .collect();
    let mut constant = Vec::new();
    let mut only_numbers = Vec::new();
    for pattern in patterns {
        let group = |seen: &'_ Seen<'_>| -> Vec<Leaf> {
            seen.leaves
                .values()
                .filter(|l| l.pattern == pattern)
                .cloned()
                .collect()
        };
        let of_base = group(base);
        let example = of_base.first()?;
        let kind = rules::prose_kind(example);
        if kind == Prose::Boilerplate {
            continue;
        }
        let all_same = |fold: fn(&str) -> String| {
            variants.iter().all(|v| {
                let (base_echo, echo) = echoes(v.trial);
                let theirs = group(v);
                same_texts(&refs(&of_base), &base_echo, &refs(&theirs), &echo, fold)
            })
        };
        if all_same(str::to_owned) {
            constant.push((kind, example.clone()));
        } else if all_same(without_numbers) {
            only_numbers.push((kind, example.clone()));
        } else {
            return None;
        }
    }
    let written = |list: &[(Prose, Leaf)]| {
        list.iter()
            .find(|(k, _)| *k == Prose::Generated)
            .map(|(_, l)| l.clone())
    };
    let n = variants.len() + 1;
    let name = &observed.endpoint.name;
    let (leaf, draft) = if let Some(leaf) = written(&constant) {
        let draft = Draft::new(NAME, "template-answer", name)
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{name} returns the same text for every input"));
        (leaf, draft)
    } else {
        let leaf = written(&only_numbers)?;
        let draft = Draft::new(NAME, "template-answer", name)
            .verdict(Verdict::Warn, Severity::Medium)
            .advisory()
            .title(format!(
                "{name} returns the same sentences for every input, with other numbers"
            ));
        (leaf, draft)
    };
    Some(
        draft
            .detail(format!(
                "For {n} distinct inputs the text at `{}` was the same once the repeated input was masked, and no \
                 other text of the answer differed in its words. A model that reads its input writes differently \
                 about different inputs; a template does not.",
                bounded_to(&leaf.pattern, 80)
            ))
            .figure("distinct inputs", n as f64, "", n, &observed.source)
            .quote("the text", &leaf.text(), &observed.source)
            .advice(
                "Check that the model writes this text; look for an error that is caught and answered by a template.",
                "The time of a template says nothing about the time of generation.",
            )
            .done(),
    )
}

/// Good to know: the same request, another result.
fn nondeterministic(observed: &Observed<'_>) -> Option<Finding> {
    let base = observed.base()?;
    let varying: Vec<&Leaf> = base
        .leaves
        .values()
        .filter(|l| observed.noise.contains(&l.pattern) && !rules::is_noise_by_name(l))
        .filter(|l| is_prose(&l.text()) || rules::is_class(l) || rules::is_certainty(l))
        .collect();
    let first = varying.first()?;
    let said: BTreeSet<String> = observed
        .repeats
        .iter()
        .filter_map(|r| r.leaves.get(&first.path))
        .map(|l| bounded_to(&l.text(), 80))
        .collect();
    let n = observed.repeats.len();
    let name = &observed.endpoint.name;
    let draft = Draft::new(NAME, "nondeterministic", name)
        .advisory()
        .title(format!("{name} answers the same request differently"))
        .detail(format!(
            "{n} identical requests gave {} different values of `{}`. Sampling does that on purpose; whether this \
             endpoint depends on its input was judged by the other parts of its answer.",
            said.len(),
            bounded_to(&first.pattern, 80)
        ))
        .figure("identical requests", n as f64, "", n, &observed.source);
    Some(
        said.iter()
            .take(3)
            .fold(draft, |d, text| {
                d.quote("one of the answers", text, &observed.source)
            })
            .done(),
    )
}

/// The echoes of the first request and of the variant.
fn echoes(trial: &Trial) -> (Echo, Echo) {
    (Echo::of(&trial.base_value), Echo::of(&trial.value))
}

fn echo_here(seen: &Seen<'_>, variants: &[&Seen<'_>]) -> Echo {
    if seen.trial.field.is_some() {
        Echo::of(&seen.trial.value)
    } else {
        Echo::of(variants.first().map_or("", |v| v.trial.base_value.as_str()))
    }
}

fn is_echo(echo: &Echo, leaf: &Leaf) -> bool {
    !leaf.value.is_null() && echo.mask(&leaf.text()) == echo.mask(echo.value())
}

fn refs(leaves: &[Leaf]) -> Vec<&Leaf> {
    leaves.iter().collect()
}

/// The answer's leaves: of JSON its scalars, of other text the whole body as one; none of bytes.
fn leaves_of(answer: &Answer<'_>) -> BTreeMap<String, Leaf> {
    match (answer.json(), answer.captured) {
        (Some(document), _) => by_path(&document),
        (None, Some(captured)) if !captured.binary && !captured.cut => {
            by_path(&Value::String(captured.body.clone()))
        }
        _ => BTreeMap::new(),
    }
}

/// Patterns of leaves that differ between answers to the same request.
fn noise(repeats: &[Seen<'_>]) -> BTreeSet<String> {
    let mut noise = BTreeSet::new();
    let Some((first, rest)) = repeats.split_first() else {
        return noise;
    };
    for other in rest {
        for (a, b) in [(first, other), (other, first)] {
            for leaf in a.leaves.values() {
                if b.leaves.get(&leaf.path).map(|l| &l.value) != Some(&leaf.value) {
                    noise.insert(leaf.pattern.clone());
                }
            }
        }
    }
    noise
}
