//! Times of a model: from a fresh process to the first output, one inference after another, and with more callers, threads or larger
//! batches.

use prony_model::{Finding, Severity, Source, Verdict};
use prony_stats::{mean, median, order, steady, student, variance};

use super::{Measured, NAME, Setting, Start, Steady};
use crate::draft::Draft;
use crate::wording::{digits, ms, quantile, quantiles};

/// Stretches of a setting whose rates its interval rests on.
const STRETCHES: usize = 10;
/// Inferences that a stretch needs on average for a rate.
const PER_STRETCH_MIN: usize = 2;
/// First inference over a later one, and more than it in ms, from which on warming up pays.
const COLD_FROM: f64 = 2.0;
const COLD_LEAST_MS: f64 = 5.0;
/// Throughput over that of the smallest setting, below which a larger one brings nothing worth while.
const WORTH_WHILE: f64 = 1.1;

pub(super) fn findings(measured: &Measured) -> Vec<Finding> {
    let model = measured.model.as_str();
    let mut findings = Vec::new();
    findings.extend(start(measured));
    findings.extend(measured.steady.as_ref().map(|steady| latency(model, steady)));
    findings.extend(scaling(model, &CALLERS, &measured.callers));
    findings.extend(scaling(model, &THREADS, &measured.threads));
    findings.extend(scaling(model, &BATCHES, &measured.batches));
    findings
}

impl Steady {
    /// Inferences that belong to the warm-up, by the test of the steady state (see `prony_stats::steady`); 0 where there are too few
    /// to tell.
    pub fn warm_up(&self) -> usize {
        steady::judge(&self.ms).map_or(0, |state| state.start)
    }
}

fn start(measured: &Measured) -> Option<Finding> {
    let starts = &measured.starts;
    if starts.is_empty() {
        return None;
    }
    let of = |value: fn(&Start) -> f64| starts.iter().map(value).collect::<Vec<f64>>();
    let parts = [
        ("the runtime's library", of(|s| s.library_ms)),
        ("the model's session", of(|s| s.load_ms)),
        ("first inference", of(|s| s.first_ms)),
        ("in all", of(|s| s.library_ms + s.load_ms + s.first_ms)),
    ];
    let source = Source::default();
    let mut draft = Draft::new(NAME, "start", &measured.model);
    let mut rows = Vec::new();
    for (label, values) in &parts {
        let estimate = order::estimate(values, 0.5, 0.95)?;
        let most = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        draft = draft.measured(
            &format!("{label}, median"),
            estimate.value,
            "ms",
            estimate.interval,
            values.len(),
            &source,
        );
        rows.push(vec![
            (*label).to_owned(),
            digits(least),
            digits(estimate.value),
            digits(most),
        ]);
    }
    let middle = |i: usize| median(&mut parts[i].1.clone());
    let later = measured
        .steady
        .as_ref()
        .map(|s| median(&mut s.ms[s.warm_up()..].to_vec()));
    let cold = later.filter(|later| *later > 0.0).map(|later| middle(2) / later);
    let compared = cold.map_or_else(String::new, |ratio| {
        format!(
            " The first inference takes {} times the median of later ones.",
            digits(ratio)
        )
    });
    let draft = draft
        .title(format!(
            "A fresh process gives its first output after {}, of which the model's session takes {} and the first inference {}",
            ms(middle(3)),
            ms(middle(1)),
            ms(middle(2))
        ))
        .detail(format!(
            "Medians of {} fresh processes, without the start of the process itself. The model's file and the library had been read \
             before, so the disk is not in these times: the first start after a reboot takes longer.{compared}",
            starts.len()
        ))
        .table("From a fresh process to the first output", &["Part", "Least ms", "Median ms", "Most ms"], rows, &source);
    let is_cold = |ratio: &f64| *ratio >= COLD_FROM && middle(2) * (1.0 - 1.0 / ratio) >= COLD_LEAST_MS;
    Some(match cold.filter(is_cold) {
        Some(ratio) => draft
            .advice(
                "Run one inference before the process says that it is ready.",
                &format!("the first takes {} times a later one", digits(ratio)),
            )
            .done(),
        None => draft.done(),
    })
}

fn latency(model: &str, steady: &Steady) -> Finding {
    let source = Source {
        phase: Some(steady.phase),
        scenario: String::new(),
    };
    let state = steady::judge(&steady.ms);
    let kept = &steady.ms[steady.warm_up()..];
    let threads = match steady.threads {
        1 => "one thread".to_owned(),
        n => format!("{n} threads"),
    };
    let told = format!(
        "One inference after another with {threads}: median {}, p95 {}, p99 {}.",
        quantile(kept, 0.5),
        quantile(kept, 0.95),
        quantile(kept, 0.99)
    );
    let draft = quantiles(
        Draft::new(NAME, "latency", model),
        kept,
        "inference",
        &[0.5, 0.95, 0.99],
        &source,
    );
    let middle = order::estimate(kept, 0.5, 0.95).map_or(0.0, |e| e.value);
    let title = format!("An inference takes {} at the median, with {threads}", ms(middle));
    let finding = match state.map(|s| s.verdict) {
        None => draft.title(title).detail(format!(
            "{told} {} inferences are too few to tell a warm-up apart (at least {} must be left): only the very first is left out.",
            kept.len(),
            steady::VALUES_MIN
        )),
        Some(steady::Verdict::Settled) => draft.title(title).detail(format!(
            "{told} {} inferences of the warm-up are left out; the remaining {} are steady.",
            steady.warm_up(),
            kept.len()
        )),
        Some(steady::Verdict::Unsteady) => draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!("{title}, but it still moved after the warm-up was left out"))
            .detail(told)
            .advice(
                "Run it again on a quiet machine. If it goes on moving, heat or a change of the processor's clock is at work.",
                "",
            ),
        Some(steady::Verdict::NeverSettled) => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title("The times never settled: the warm-up takes more than half of the run")
            .detail(told)
            .advice("Run it without --quick, on a quiet machine.", ""),
    };
    let mut finding = finding.done();
    if !steady.distrust.is_empty() {
        finding.verdict = Verdict::Invalid;
        finding.title = format!("The measurement cannot be trusted: {}", finding.title);
        finding.detail = format!(
            "The times may be those of other programs: {}. {}",
            steady.distrust, finding.detail
        );
    }
    finding
}

/// The words for a kind of setting.
struct Kind {
    id: &'static str,
    one: &'static str,
    many: &'static str,
    /// What a row of the table counts, per second.
    rate: &'static str,
    /// Whether an inference answers as many inputs as the setting says.
    multiplies: bool,
    how: &'static str,
    pays: &'static str,
    wasted: &'static str,
}

static CALLERS: Kind = Kind {
    id: "callers",
    one: "caller",
    many: "callers",
    rate: "Inferences/s",
    multiplies: false,
    how: "Each caller has a session of its own with one thread; all call without a pause.",
    pays: "Run so many workers with one thread each, and count on the memory of a session for each.",
    wasted: "Run one worker per process: more callers at once bring nothing here.",
};

static THREADS: Kind = Kind {
    id: "threads",
    one: "thread",
    many: "threads",
    rate: "Inferences/s",
    multiplies: false,
    how: "One caller; onnxruntime shares each operator among so many threads (intra-op).",
    pays: "Give a session so many threads where one answer must be quick; for throughput compare with more callers of one thread each.",
    wasted: "Set intra-op threads to 1: more of them bring nothing for this model and take processors from others.",
};

static BATCHES: Kind = Kind {
    id: "batch",
    one: "input in a batch",
    many: "inputs in a batch",
    rate: "Inputs/s",
    multiplies: true,
    how: "One caller; the batch axis is dynamic. The rate counts inputs, not batches.",
    pays: "Batch up to so many inputs where waiting for them costs less than that.",
    wasted: "Do not batch on this machine: it brings no throughput and makes each answer slower.",
};

/// Inputs per second under a setting with its 95 % interval, from the rates of stretches of equal length.
struct Rate {
    value: u32,
    per_s: f64,
    ci: Option<(f64, f64)>,
    median_ms: f64,
    n: usize,
    phase: u16,
}

fn rate(setting: &Setting, multiplies: bool) -> Option<Rate> {
    let each = if multiplies { f64::from(setting.value) } else { 1.0 };
    let length_s = *setting.ends_s.last().filter(|s| **s > 0.0)?;
    let n = setting.ends_s.len();
    let count = STRETCHES.min(n / PER_STRETCH_MIN);
    let ci = (count == STRETCHES).then(|| {
        let mut rates = Vec::with_capacity(count);
        let mut before = 0;
        for i in 1..=count {
            let to = length_s * i as f64 / count as f64;
            let until = if i == count {
                n
            } else {
                setting.ends_s.partition_point(|end| *end <= to)
            };
            rates.push((until - before) as f64 * each / (length_s / count as f64));
            before = until;
        }
        let half = student::quantile(0.975, count as f64 - 1.0) * (variance(&rates) / count as f64).sqrt();
        let centre = mean(&rates);
        (centre - half, centre + half)
    });
    Some(Rate {
        value: setting.value,
        per_s: n as f64 * each / length_s,
        ci,
        median_ms: median(&mut setting.ms.clone()),
        n,
        phase: setting.phase,
    })
}

fn scaling(model: &str, kind: &Kind, settings: &[Setting]) -> Option<Finding> {
    let rates: Vec<Rate> = settings.iter().filter_map(|s| rate(s, kind.multiplies)).collect();
    let (first, rest) = rates.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let best = rest.iter().max_by(|a, b| a.per_s.total_cmp(&b.per_s))?;
    let gain = best.per_s / first.per_s;
    let source = |rate: &Rate| Source {
        phase: Some(rate.phase),
        scenario: String::new(),
    };
    let name = |value: u32| format!("{value} {}", if value == 1 { kind.one } else { kind.many });
    let mut draft = Draft::new(NAME, kind.id, model);
    for rate in &rates {
        draft = draft.measured(
            &format!("throughput, {}", name(rate.value)),
            rate.per_s,
            "1/s",
            rate.ci,
            rate.n,
            &source(rate),
        );
    }
    let rows = rates
        .iter()
        .map(|r| {
            vec![
                r.value.to_string(),
                digits(r.per_s),
                digits(r.per_s / first.per_s),
                digits(r.median_ms),
            ]
        })
        .collect();
    let told = told(first, rest, best);
    let title = match told {
        Told::Pays => format!(
            "Throughput is highest with {}: {}/s, {} times that with {}",
            name(best.value),
            digits(best.per_s),
            digits(gain),
            name(first.value)
        ),
        Told::Nothing => format!(
            "More {} bring no more throughput: {}/s with {}",
            kind.many,
            digits(first.per_s),
            name(first.value)
        ),
        Told::Undecided | Told::TooFew => format!(
            "{}/s with {}, {}/s with {}: {}",
            digits(first.per_s),
            name(first.value),
            digits(best.per_s),
            name(best.value),
            if told == Told::TooFew {
                "too few inferences to tell the two apart"
            } else {
                "the intervals do not tell the two apart"
            }
        ),
    };
    let because = format!("{} times the throughput of {}", digits(gain), name(first.value));
    let draft = draft
        .title(title)
        .detail(format!(
            "{} Intervals rest on the rates of {STRETCHES} stretches of equal length.",
            kind.how
        ))
        .table(
            "Throughput by setting",
            &[kind.many, kind.rate, "Times the first", "Median ms"],
            rows,
            &source(first),
        );
    Some(match told {
        Told::Pays => draft.advice(kind.pays, &because).done(),
        Told::Nothing => draft.advice(kind.wasted, "").done(),
        Told::Undecided | Told::TooFew => draft.done(),
    })
}

/// What another setting brings over the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// More, by its whole interval.
    Pays,
    /// None of them anything worth while, by their whole intervals.
    Nothing,
    /// The intervals overlap.
    Undecided,
    /// There are no intervals to tell by.
    TooFew,
}

fn told(first: &Rate, rest: &[Rate], best: &Rate) -> Told {
    let (Some((first_low, first_high)), Some((low, _))) = (first.ci, best.ci) else {
        return Told::TooFew;
    };
    let adds_nothing = |rate: &Rate| rate.ci.is_some_and(|(_, high)| high <= WORTH_WHILE * first_low);
    if low > first_high {
        Told::Pays
    } else if rest.iter().all(adds_nothing) {
        Told::Nothing
    } else {
        Told::Undecided
    }
}
