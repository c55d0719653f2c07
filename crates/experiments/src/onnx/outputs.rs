//! What holds of every right model, whatever its task: finite outputs, the same for the same input, others for other inputs, and of
//! the declared shape.

use prony_model::{Finding, Severity, Source, Verdict};

use super::{Measured, NAME, Output, Outputs};
use crate::draft::Draft;

/// Relative difference up to which two outputs of one input differ by the order of additions in several threads, in single
/// precision.
const ROUNDING: f64 = 1e-4;

pub(super) fn findings(measured: &Measured) -> Vec<Finding> {
    let Some(outputs) = &measured.outputs else {
        return Vec::new();
    };
    let model = measured.model.as_str();
    let digests: Vec<u64> = measured.starts.iter().map(|s| s.digest).collect();
    let (looked_at, unread): (Vec<Output>, Vec<Output>) =
        outputs.outputs.iter().cloned().partition(|o| o.values > 0);
    let read = Outputs {
        outputs: looked_at,
        ..*outputs
    };
    let has_values = !read.outputs.is_empty();
    let findings = [
        has_values.then(|| finite(model, &read)),
        has_values.then(|| deterministic(model, &read, &digests)),
        varied(model, &read),
        Some(declared(model, outputs)),
        (!unread.is_empty()).then(|| without_values(model, &unread)),
    ];
    findings.into_iter().flatten().collect()
}

fn names<'a>(outputs: impl Iterator<Item = &'a Output>) -> String {
    let names: Vec<String> = outputs.map(|o| format!("`{}`", o.name)).collect();
    names.join(", ")
}

/// Outputs of which nothing can be said.
fn without_values(model: &str, outputs: &[Output]) -> Finding {
    Draft::new(NAME, "outputs-read", model)
        .advisory()
        .verdict(Verdict::Inconclusive, Severity::Low)
        .title(format!(
            "{} had no value that could be looked at",
            names(outputs.iter())
        ))
        .detail("Sequences, maps and numbers of four or eight bits are not read, and an output may be empty.")
        .advice(
            "Export the model with tensors as outputs (scikit-learn: `options={\"zipmap\": False}`).",
            "",
        )
        .done()
}

fn finite(model: &str, outputs: &Outputs) -> Finding {
    let source = Source::default();
    let wrong = |o: &&Output| o.nan + o.infinite > 0;
    let values: u64 = outputs.outputs.iter().map(|o| o.values).sum();
    let bad: u64 = outputs.outputs.iter().map(|o| o.nan + o.infinite).sum();
    let draft = Draft::new(NAME, "outputs-finite", model).figure(
        "values that are not finite",
        bad as f64,
        "",
        values as usize,
        &source,
    );
    if bad == 0 {
        return draft
            .title(format!("All {values} values of the outputs are finite"))
            .detail(format!("Looked at for {} different inputs.", outputs.inputs))
            .done();
    }
    let rows = outputs
        .outputs
        .iter()
        .map(|o| {
            vec![
                o.name.clone(),
                o.values.to_string(),
                o.nan.to_string(),
                o.infinite.to_string(),
            ]
        })
        .collect();
    draft
        .verdict(Verdict::Fail, Severity::Critical)
        .title(format!(
            "{bad} of {values} values of the outputs are no finite numbers: {}",
            names(outputs.outputs.iter().filter(wrong))
        ))
        .detail(format!("Looked at for {} different inputs.", outputs.inputs))
        .table("Values of the outputs", &["Output", "Values", "Not a number", "Infinite"], rows, &source)
        .advice(
            "Look for a division by zero, a logarithm of zero or an overflow of half precision in the exported graph; feed inputs of \
             the range that the model was trained on with --range.",
            "",
        )
        .done()
}

fn deterministic(model: &str, outputs: &Outputs, digests: &[u64]) -> Finding {
    let source = Source::default();
    let unequal = |o: &&Output| o.unequal > 0;
    let repeats: u32 = outputs.outputs.iter().map(|o| o.unequal).max().unwrap_or(0);
    let largest = outputs.outputs.iter().map(|o| o.difference).fold(0.0, f64::max);
    let differ = digests.windows(2).any(|pair| pair[0] != pair[1]);
    let draft = Draft::new(NAME, "outputs-deterministic", model).figure(
        "repeats of one input with another output",
        f64::from(repeats),
        "",
        outputs.repeats as usize,
        &source,
    );
    let said = format!(
        "The same input was fed {} more times in one process, and first in each of {} fresh processes.",
        outputs.repeats,
        digests.len()
    );
    if repeats == 0 && !differ {
        return draft
            .title("The same input gives the same output, bit by bit")
            .detail(said)
            .done();
    }
    if repeats == 0 {
        return draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title("The same input gives another output in another process")
            .detail(format!("{said} Within one process the output stayed the same."))
            .advice(
                "Fix what is drawn when the session is made: the seed of random operators, the number of threads, the optimisations.",
                "",
            )
            .done();
    }
    let draft = draft.figure(
        "largest relative difference",
        largest,
        "ratio",
        outputs.repeats as usize,
        &source,
    );
    if largest <= ROUNDING {
        return draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "The same input gives outputs that differ in their last digits, by up to {largest:.1e} of the largest value"
            ))
            .detail(format!("{said} Sums that several threads share are added in another order each time."))
            .advice("Compare outputs with a tolerance, or run with one thread.", "")
            .done();
    }
    draft
        .verdict(Verdict::Fail, Severity::High)
        .title(format!(
            "The same input gives different outputs: {repeats} of {} repeats of {} differ",
            outputs.repeats,
            names(outputs.outputs.iter().filter(unequal))
        ))
        .detail(said)
        .advice(
            "Export the model for inference: random operators and dropout of the training mode stay in the graph otherwise.",
            "",
        )
        .done()
}

/// An output without a single finite value is left out: it is wrong already, and what it would be otherwise is unknown.
fn varied(model: &str, outputs: &Outputs) -> Option<Finding> {
    let told: Vec<&Output> = outputs
        .outputs
        .iter()
        .filter(|o| o.nan + o.infinite < o.values)
        .collect();
    (!told.is_empty()).then(|| variety(model, outputs.inputs, &told))
}

fn variety(model: &str, inputs: u32, told: &[&Output]) -> Finding {
    let source = Source::default();
    let constant = |o: &&&Output| o.distinct <= 1;
    let distinct = told.iter().map(|o| o.distinct).max().unwrap_or(0);
    let draft = Draft::new(NAME, "outputs-vary", model).figure(
        "different outputs",
        f64::from(distinct),
        "",
        inputs as usize,
        &source,
    );
    let constants = told.iter().filter(constant).count();
    if inputs < 2 {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(
                "Whether the output depends on the input was not looked at: there is only one input to feed",
            )
            .detail("The model has no input, or none whose values may differ.")
            .advice("Widen the range of its inputs with --range.", "")
            .done();
    }
    if constants == 0 {
        return draft
            .title(format!(
                "Different inputs give different outputs: {distinct} of {inputs}"
            ))
            .detail("The inputs are random, so nothing is said of whether an output is right.")
            .done();
    }
    if constants < told.len() {
        return draft
            .verdict(Verdict::Warn, Severity::Low)
            .advisory()
            .title(format!(
                "{} stays the same for {inputs} different inputs",
                names(told.iter().filter(constant).copied())
            ))
            .detail("The other outputs vary. An output that tells a size or a threshold may be constant on purpose.")
            .advice("Feed inputs like those of production: another --range or --shape.", "")
            .done();
    }
    draft
        .verdict(Verdict::Fail, Severity::Critical)
        .title(format!("The output is the same for {inputs} different inputs"))
        .detail("Bit by bit. The inputs are random within their range.")
        .advice(
            "Check the export: weights that are all zero, an output that was folded to a constant, or a range of inputs that \
             saturates the first layer (--range).",
            "",
        )
        .done()
}

fn declared(model: &str, outputs: &Outputs) -> Finding {
    let source = Source::default();
    let wrong = |o: &&Output| !o.contradiction.is_empty();
    let count = outputs.outputs.iter().filter(wrong).count();
    let draft = Draft::new(NAME, "outputs-as-declared", model).figure(
        "outputs that contradict their declaration",
        count as f64,
        "",
        outputs.outputs.len(),
        &source,
    );
    if count == 0 {
        return draft
            .title("All outputs have the type and shape that the model declares")
            .detail(format!("Looked at for {} different inputs.", outputs.inputs))
            .done();
    }
    let rows = outputs
        .outputs
        .iter()
        .filter(wrong)
        .map(|o| vec![o.name.clone(), o.declared.clone(), o.contradiction.clone()])
        .collect();
    draft
        .verdict(Verdict::Fail, Severity::Medium)
        .title(format!(
            "{} {} not have the type and shape that the model declares",
            names(outputs.outputs.iter().filter(wrong)),
            if count == 1 { "does" } else { "do" }
        ))
        .detail("Clients that allocate by the declaration read wrong values or fail.".to_owned())
        .table(
            "Outputs against their declaration",
            &["Output", "Declared", "Came"],
            rows,
            &source,
        )
        .advice(
            "Export the model again with the axes that vary declared as dynamic.",
            "",
        )
        .done()
}
