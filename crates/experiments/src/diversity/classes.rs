//! A classifier that gives every input the same class with the same certainty.

use prony_model::{Finding, Severity, Verdict};

use super::NAME;
use super::judge::{Observed, Seen, may_be_of_one_kind, told_of_contrasts};
use super::rules;
use crate::answer::bounded_to;
use crate::draft::Draft;
use crate::leaf::Leaf;

/// Fewest distinct inputs before a constant class is called degenerate.
const INPUTS_MIN: usize = 4;
/// Spread below which a certainty counts as the same for all.
const SPREAD_MIN: f64 = 0.01;

/// What was the same for all inputs.
struct Constant<'s, 'a> {
    base: &'s Seen<'a>,
    variants: Vec<&'s Seen<'a>>,
    class: &'s Leaf,
    /// The certainty that was the same as well.
    certainty: Option<&'s Leaf>,
    /// The first of those beside the class, whether or not it was the same.
    beside: Option<&'s Leaf>,
}

/// The class that all inputs got, where they did.
fn constant<'s, 'a>(observed: &'s Observed<'a>) -> Option<Constant<'s, 'a>> {
    let base = observed.base()?;
    let variants = observed.distinct();
    if variants.len() + 1 < INPUTS_MIN {
        return None;
    }
    let certainties: Vec<&Leaf> = observed
        .telling(base)
        .filter(|l| rules::is_certainty(l))
        .collect();
    // The code of a class is told from other numbers only where nothing stands beside it.
    let alone = rules::are_only_classes(observed.telling(base));
    let classes: Vec<&Leaf> = observed
        .telling(base)
        .filter(|l| rules::is_class(l) || (alone && l.value.is_number() && rules::is_class_like(l)))
        .collect();
    let class = *classes.first()?;
    if !classes.iter().all(|l| is_constant(l, &variants)) {
        return None;
    }
    let spreads = certainties.iter().any(|l| spread(l, &variants) >= SPREAD_MIN);
    let certainty = certainties
        .iter()
        .copied()
        .find(|l| !spreads && is_constant(l, &variants));
    Some(Constant {
        base,
        variants,
        class,
        certainty,
        beside: certainties.first().copied(),
    })
}

/// Whether all inputs got one class with one certainty.
pub(super) fn is_degenerate(observed: &Observed<'_>) -> bool {
    constant(observed).is_some_and(|found| found.certainty.is_some())
}

/// One class with one certainty for all inputs; one class with differing certainty is only good to know, and so is one that is quite
/// sure of inputs that may all be of one kind.
pub(super) fn degenerate(observed: &Observed<'_>) -> Option<Finding> {
    let found = constant(observed)?;
    let (class, variants) = (found.class, &found.variants);
    let sure = found
        .certainty
        .filter(|certainty| rules::is_full(certainty) && may_be_of_one_kind(variants));
    let draft = match (found.certainty, found.beside) {
        (Some(_), _) if sure.is_some() => constant_class(observed, class, SURE, variants.len() + 1),
        (Some(certainty), _) => constant_certainty(observed, class, certainty, variants),
        (None, Some(_)) => constant_class(observed, class, SPREAD, variants.len() + 1),
        (None, None) => constant_class(observed, class, NONE, variants.len() + 1),
    };
    let certainty = found.certainty.or(found.beside);
    Some(with_evidence(
        draft, observed, found.base, variants, class, certainty,
    ))
}

fn is_constant(leaf: &Leaf, variants: &[&Seen<'_>]) -> bool {
    variants
        .iter()
        .all(|v| v.leaves.get(&leaf.path).is_some_and(|l| l.value == leaf.value))
}

/// How far a number moves from its first value.
fn spread(leaf: &Leaf, variants: &[&Seen<'_>]) -> f64 {
    let first = leaf.value.as_f64().unwrap_or_default();
    variants
        .iter()
        .filter_map(|v| v.leaves.get(&leaf.path)?.value.as_f64())
        .fold(0.0, |spread, value| spread.max((value - first).abs()))
}

/// How likely one class is for all of `n` inputs, were both of two classes equally likely: `0.5^(n-1)`.
fn chance(n: usize) -> f64 {
    0.5_f64.powf(n as f64 - 1.0)
}

fn constant_certainty(
    observed: &Observed<'_>,
    class: &Leaf,
    certainty: &Leaf,
    variants: &[&Seen<'_>],
) -> Draft {
    let n = variants.len() + 1;
    let name = &observed.endpoint.name;
    Draft::new(NAME, "degenerate-output", name)
        .verdict(Verdict::Fail, Severity::High)
        .title(format!(
            "{name} gives the same class ({}) with {} {} for all {n} inputs",
            bounded_to(&class.text(), 40),
            certainty.key(),
            bounded_to(&certainty.text(), 20)
        ))
        .detail(format!(
            "{n} distinct inputs, one class, one certainty.{} Were both of two classes equally likely, {n} equal \
             classes would come by chance in {:.1} % of such tests; that the certainty is equal in every digit as \
             well is the stronger sign. These inputs may all belong to one class: inputs known to differ would \
             settle it.",
            told_of_contrasts(variants),
            chance(n) * 100.0
        ))
}

/// What is said of the certainty beside a constant class.
const NONE: &str = "and no certainty";
const SPREAD: &str = "but not with the same certainty";
const SURE: &str = "and is quite sure of it";

fn constant_class(observed: &Observed<'_>, class: &Leaf, but: &str, n: usize) -> Draft {
    let name = &observed.endpoint.name;
    Draft::new(NAME, "constant-class", name)
        .advisory()
        .title(format!(
            "{name} gives the same class ({}) for all {n} inputs, {but}",
            bounded_to(&class.text(), 40)
        ))
        .detail(format!(
            "That is no defect by itself: were two classes equally likely it would happen in {:.1} % of such tests, \
             and these inputs may be of one class.",
            chance(n) * 100.0
        ))
}

fn with_evidence(
    draft: Draft,
    observed: &Observed<'_>,
    base: &Seen<'_>,
    variants: &[&Seen<'_>],
    class: &Leaf,
    certainty: Option<&Leaf>,
) -> Finding {
    let n = variants.len() + 1;
    let base_value = variants.first().map_or("", |v| v.trial.base_value.as_str());
    let row = |input: &str, seen: &Seen<'_>| {
        let cell = |leaf: &Leaf| {
            seen.leaves
                .get(&leaf.path)
                .map_or_else(|| "-".to_owned(), |l| bounded_to(&l.text(), 40))
        };
        vec![
            bounded_to(input, 60),
            cell(class),
            certainty.map_or_else(|| "-".to_owned(), cell),
        ]
    };
    let rows = std::iter::once(row(base_value, base))
        .chain(variants.iter().map(|v| row(&v.trial.value, v)))
        .collect();
    let key = certainty.map_or("certainty", Leaf::key);
    draft
        .figure("distinct inputs", n as f64, "", n, &observed.source)
        .figure(
            "chance of one class, were two classes equally likely",
            chance(n),
            "ratio",
            n,
            &observed.source,
        )
        .table(
            "Class and certainty by input",
            &["Input", class.key(), key],
            rows,
            &observed.source,
        )
        .advice(
            "Send inputs known to belong to different classes and see whether the class follows.",
            "",
        )
        .done()
}
