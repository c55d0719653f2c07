//! The memory of a model: what a process needs, and whether it grows with the inferences. The test of growth is that of a server's
//! memory, see `leak`.

use prony_model::{Finding, Severity, Source, Verdict};
use prony_stats::growth::Verdict as Shape;
use prony_stats::median;

use super::{Measured, Memory, NAME, Start};
use crate::draft::Draft;
use crate::leak::judge::{Judged, READINGS_MIN, REQUESTS_MIN, Rules, TimeToLimit, judge};
use crate::leak::series::Series;
use crate::leak::units::{size, sizes, time};
use crate::wording::digits;

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// Inferences that a conclusion about growth needs.
pub fn growth_needs() -> f64 {
    REQUESTS_MIN
}

/// Readings that it needs.
pub fn readings_min() -> usize {
    READINGS_MIN
}

pub(super) fn findings(measured: &Measured) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(needed(measured));
    findings.extend(
        measured
            .memory
            .as_ref()
            .map(|memory| growth(&measured.model, memory)),
    );
    findings
}

/// What a process of this model needs.
fn needed(measured: &Measured) -> Option<Finding> {
    let of = |value: fn(&Start) -> f64| {
        let mut values: Vec<f64> = measured.starts.iter().map(value).collect();
        median(&mut values)
    };
    if measured.starts.is_empty() {
        return None;
    }
    let n = measured.starts.len();
    let (before, library, loaded) = (
        of(|s| s.before_bytes),
        of(|s| s.library_bytes),
        of(|s| s.loaded_bytes),
    );
    let peak_first = measured.starts.iter().map(|s| s.peak_bytes).fold(0.0, f64::max);
    let peak = measured
        .memory
        .as_ref()
        .map_or(peak_first, |m| m.peak_bytes.max(peak_first));
    let source = Source::default();
    Some(
        Draft::new(NAME, "memory", &measured.model)
            .title(format!(
                "A process needs {} of memory at its peak, {} once the model is loaded",
                size(peak),
                size(loaded)
            ))
            .detail(format!(
                "Resident memory: {} before anything is loaded, {} with the runtime's library, {} with the model's session (medians of \
                 {n} fresh processes), and {} at the peak with the inferences. Pages of the library that other processes map too \
                 are counted in each.",
                size(before),
                size(library),
                size(loaded),
                size(peak)
            ))
            .figure("before", before / MIB, "MiB", n, &source)
            .figure("with the library", library / MIB, "MiB", n, &source)
            .figure("with the model loaded", loaded / MIB, "MiB", n, &source)
            .figure("at the peak", peak / MIB, "MiB", n, &source)
            .done(),
    )
}

fn growth(model: &str, memory: &Memory) -> Finding {
    let source = Source {
        phase: Some(memory.phase),
        scenario: String::new(),
    };
    let series = Series {
        what: "resident memory of the process",
        requests: memory.inferences.clone(),
        bytes: memory.bytes.clone(),
        span_s: memory.span_s,
        limit: memory.limit_bytes.map(|bytes| (bytes, "this process")),
        interruption: None,
    };
    let total = memory.inferences.last().copied().unwrap_or(0.0);
    let per_s = if memory.span_s > 0.0 {
        total / memory.span_s
    } else {
        0.0
    };
    let rules = Rules::default();
    let draft = Draft::new(NAME, "memory-growth", model);
    let longer = "Give it more time with --memory-time: a conclusion needs 10,000 inferences, and four times as many where memory moves.";
    let Some(judged) = judge(&series, &rules) else {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title("Too few readings of memory to tell whether it grows with the inferences")
            .detail(format!(
                "{} readings over {} inferences.",
                memory.bytes.len(),
                digits(total)
            ))
            .figure(
                "readings",
                memory.bytes.len() as f64,
                "",
                memory.bytes.len(),
                &source,
            )
            .advice(longer, "")
            .done();
    };
    let reached = memory
        .limit_bytes
        .filter(|_| per_s > 0.0)
        .map(|bytes| judged.time_to(bytes, per_s));
    let (verdict, severity) = verdict(&judged, reached, &rules);
    let line = judged.line();
    let (percent, ci) = judged.percent_per_thousand();
    let draft = draft
        .verdict(verdict, severity)
        .title(title(&judged, total))
        .detail(format!(
            "Resident memory was read {} times over {} inferences of a few inputs in turn; the first 30 % are left out. Mann-Kendall \
             with the Hamed-Rao correction: z = {}. Growth that matters: {} per inference.{}",
            memory.bytes.len(),
            digits(total),
            digits(judged.growth.trend.z),
            size(judged.matters_bytes),
            reaches(verdict, reached, per_s)
        ))
        .measured("growth per 1,000 inferences", percent, "%", Some(ci), judged.readings, &source)
        .figure("memory at the end", judged.level_bytes / MIB, "MiB", judged.readings, &source)
        .figure("at the peak", memory.peak_bytes / MIB, "MiB", judged.readings, &source);
    match verdict {
        Verdict::Pass => draft.done(),
        Verdict::Inconclusive => draft.advice(longer, "").done(),
        _ => draft
            .advice(
                "Restart workers after a bounded number of inferences until it is found. An arena that grows with every new shape looks \
                 like this: feed a few fixed shapes, or switch the memory arena off.",
                &format!("{} per inference", size(line.slope)),
            )
            .done(),
    }
}

fn settled(judged: &Judged) -> bool {
    match judged.after_step {
        Some(after) => after.verdict == Shape::NoLeak,
        None => judged.shape() == Shape::NoLeak,
    }
}

fn verdict(judged: &Judged, reached: Option<TimeToLimit>, rules: &Rules) -> (Verdict, Severity) {
    let verdict = match judged.shape() {
        _ if !judged.is_enough => Verdict::Inconclusive,
        _ if settled(judged) => Verdict::Pass,
        Shape::Inconclusive | Shape::Step => Verdict::Inconclusive,
        _ => judged.by_consequence(reached, rules.horizon_s),
    };
    let severity = match verdict {
        Verdict::Pass => Severity::Info,
        Verdict::Fail => Severity::High,
        Verdict::Warn => Severity::Medium,
        _ => Severity::Low,
    };
    (verdict, severity)
}

fn title(judged: &Judged, total: f64) -> String {
    let line = judged.line();
    let (_, (low, high)) = judged.percent_per_thousand();
    let each = format!(
        "{} per inference (95 % CI {})",
        size(line.slope),
        sizes((line.low, line.high))
    );
    match judged.shape() {
        _ if !judged.is_enough => format!(
            "Too short a run to tell whether memory grows: {} inferences, and growth above {} per inference would have shown",
            digits(total),
            size(line.high.max(judged.matters_bytes))
        ),
        _ if settled(judged) => format!(
            "Memory does not grow with the inferences: less than {} % per 1,000",
            digits(high.max(0.0))
        ),
        Shape::Leak => format!("Memory grows by {each}"),
        Shape::Decelerating => format!("Memory grows, ever more slowly, at last by {each}"),
        Shape::Step => "Memory rose in a step, and too little was read after it".to_owned(),
        Shape::Inconclusive => format!(
            "Whether memory grows with the inferences cannot be told: between {} % and {} % per 1,000",
            digits(low),
            digits(high)
        ),
        Shape::NoLeak | Shape::ShapeUnknown => {
            format!("Memory grows by {each}, and whether that goes on cannot be told yet")
        }
    }
}

/// When the memory is used up, where memory grows.
fn reaches(verdict: Verdict, reached: Option<TimeToLimit>, per_s: f64) -> String {
    match reached {
        Some(reached) if matches!(verdict, Verdict::Fail | Verdict::Warn) => format!(
            " At {} inferences per second the memory that a process here may use is used up in {}.",
            digits(per_s),
            time(reached.by_line_s)
        ),
        _ => String::new(),
    }
}
