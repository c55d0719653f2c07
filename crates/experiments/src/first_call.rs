//! Is the first call slower than the rest? The very first request to each endpoint, from the preflight, against the same
//! endpoint's baseline. It sends nothing itself, and must not claim a cause: one observation cannot show one.

use prony_model::{Budget, Finding, Outcome, PhaseResult, Sample, Severity, Verdict};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::machine;
use crate::timings::Timings;
use crate::wording::{digits, ms, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "first-call";

/// What waiting for a core may add to a call where programs use all of them, in ms: scheduling stalls of some hundred ms were seen.
const WAIT_MS_MAX: f64 = 1000.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "First call",
    question: "Is the first call slower than the rest?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::None,
    build: |_, value| {
        let asked: FirstCallParams = params(value)?;
        Ok(Box::new(FirstCall { rule: asked }))
    },
    schema: || schema_for!(FirstCallParams),
    example: "[experiment.first-call]\nratio = 3\nexcess_ms = 20\n",
};

/// Parameters of the first-call experiment.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FirstCallParams {
    /// A first call counts as slow from so many times the steady median on.
    pub ratio: f64,
    /// And when it takes so many ms longer than the slowest steady call.
    pub excess_ms: f64,
    /// Steady calls needed to judge.
    pub steady_calls: usize,
}

impl Default for FirstCallParams {
    fn default() -> Self {
        Self {
            ratio: 3.0,
            excess_ms: 20.0,
            steady_calls: 20,
        }
    }
}

struct FirstCall {
    rule: FirstCallParams,
}

/// The first call of one endpoint beside its steady ones.
struct Pair<'a> {
    endpoint: &'a str,
    first: &'a Sample,
    first_ms: f64,
    median_ms: f64,
    slowest_ms: f64,
    /// Median of the first calls with other inputs, which came after it; `None` when there was only one input.
    other_inputs_ms: Option<f64>,
    n: usize,
    baseline: &'a PhaseResult,
}

impl Pair<'_> {
    fn ratio(&self) -> f64 {
        self.first_ms / self.median_ms
    }

    /// Whether a time is far above the steady ones.
    fn is_slow(&self, time_ms: f64, rule: &FirstCallParams) -> bool {
        time_ms >= rule.ratio * self.median_ms && time_ms - self.slowest_ms > rule.excess_ms
    }

    /// Whether only the very first call was slow, and not the first call with every input.
    fn is_penalty(&self, rule: &FirstCallParams) -> bool {
        let alone = self
            .other_inputs_ms
            .is_none_or(|other| self.first_ms >= rule.ratio * other);
        alone && self.is_slow(self.first_ms, rule)
    }

    /// Whether no core was free meanwhile, and it took so little longer that it may have waited for one.
    fn may_have_waited(&self, preflight: &PhaseResult) -> bool {
        self.first_ms - self.median_ms <= WAIT_MS_MAX
            && machine::was_full(preflight, self.first.sent, self.first.done) == Some(true)
    }

    /// Whether the first call with each input was slow: later answers look cached.
    fn is_cached(&self, rule: &FirstCallParams) -> bool {
        self.other_inputs_ms
            .is_some_and(|other| self.is_slow(other, rule))
    }
}

impl Experiment for FirstCall {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(preflight) = run.phase("coverage", "preflight") else {
            return vec![undecided(
                "The first calls were not recorded: the coverage experiment did not run",
            )];
        };
        let pairs: Vec<Pair<'_>> = run
            .of("baseline")
            .filter_map(|b| self.pair(preflight, b))
            .collect();
        if pairs.is_empty() {
            return vec![undecided(
                "No endpoint has a good first call and enough steady calls to compare it with",
            )];
        }
        let mut slowest: Vec<&Pair<'_>> = pairs.iter().filter(|p| p.is_penalty(&self.rule)).collect();
        slowest.sort_by(|a, b| b.first_ms.total_cmp(&a.first_ms));
        let (held_up, slowest): (Vec<_>, Vec<_>) = slowest
            .into_iter()
            .partition(|pair| pair.may_have_waited(preflight));
        let mut rests_on: Vec<&PhaseResult> = pairs.iter().map(|p| p.baseline).collect();
        rests_on.push(preflight);
        let finding = match (slowest.first(), held_up.first()) {
            (Some(worst), _) => penalty(worst, &slowest, &pairs, preflight),
            (None, Some(worst)) => full_machine(worst, &pairs, preflight),
            (None, None) => no_penalty(&pairs, preflight),
        };
        let cached = pairs
            .iter()
            .filter(|p| p.is_cached(&self.rule))
            .map(|p| cached(p, preflight));
        std::iter::once(finding)
            .chain(cached)
            .map(|f| resting_on(f, &rests_on))
            .collect()
    }
}

impl FirstCall {
    fn pair<'a>(&self, preflight: &'a PhaseResult, baseline: &'a PhaseResult) -> Option<Pair<'a>> {
        let endpoint = baseline.phase.name.as_str();
        let first = Timings::of(preflight, endpoint)
            .samples()
            .find(|s| !s.outcome.is_own())?;
        if first.outcome != Outcome::Ok {
            return None;
        }
        let times = Timings::of(baseline, endpoint);
        let steady = times.service_ms();
        if steady.len() < self.rule.steady_calls {
            return None;
        }
        // The same input must also be fast later: a first call may be slow because its input is large.
        let request = &preflight.phase.scenarios[first.scenario as usize]
            .items
            .get(first.item as usize)?
            .request;
        let items = &baseline.phase.scenarios[0].items;
        let mut same: Vec<f64> = times
            .good()
            .filter(|s| items.get(s.item as usize).is_some_and(|i| i.request == *request))
            .map(|s| s.service().as_millis_f64())
            .collect();
        let median_ms = prony_stats::median(&mut steady.clone());
        let median_ms = if same.is_empty() {
            median_ms
        } else {
            median_ms.max(prony_stats::median(&mut same))
        };
        let mut others: Vec<f64> = Timings::of(preflight, endpoint)
            .good()
            .filter(|s| s.item != first.item)
            .map(|s| s.service().as_millis_f64())
            .collect();
        Some(Pair {
            other_inputs_ms: (!others.is_empty()).then(|| prony_stats::median(&mut others)),
            endpoint,
            first,
            first_ms: first.service().as_millis_f64(),
            median_ms,
            slowest_ms: steady.iter().copied().fold(0.0, f64::max),
            n: steady.len(),
            baseline,
        })
    }
}

fn undecided(why: &str) -> Finding {
    Draft::new(NAME, "first-call-penalty", "")
        .verdict(Verdict::Inconclusive, Severity::Info)
        .advisory()
        .title(why)
        .advice(
            "Run coverage and baseline before, and give the baseline time for 20 requests per endpoint.",
            "",
        )
        .done()
}

fn no_penalty(pairs: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    Draft::new(NAME, "first-call-penalty", "")
        .title("No first call was much slower than the rest")
        .detail(
            "The very first request of this run to each endpoint is compared with its steady calls. The target may have been warm \
             already: restart it and repeat to learn about a cold start.",
        )
        .table("First call against steady calls", &COLUMNS, pairs.iter().map(row).collect(), &source(preflight, ""))
        .done()
}

/// A slow first call on a machine that had no core left for it.
fn full_machine(worst: &Pair<'_>, all: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    let evidence = source(preflight, worst.endpoint);
    Draft::new(NAME, "first-call-penalty", worst.endpoint)
        .verdict(Verdict::Inconclusive, Severity::Info)
        .advisory()
        .title(format!(
            "The first call of {} took {} in place of {}, but no core of the machine was free",
            worst.endpoint,
            ms(worst.first_ms),
            ms(worst.median_ms)
        ))
        .detail(
            "Other programs used all cores meanwhile, or the hypervisor took them: the call may have waited for one. So may those of              other endpoints that the table shows as slow.",
        )
        .figure("first call", worst.first_ms, "ms", 1, &evidence)
        .figure(
            "median of the later calls",
            worst.median_ms,
            "ms",
            worst.n,
            &source(worst.baseline, worst.endpoint),
        )
        .table("First call against steady calls", &COLUMNS, all.iter().map(row).collect(), &evidence)
        .advice("Restart the target and repeat while nothing else runs on the machine.", "")
        .done()
}

/// Not a fault: but the steady times are those of repeated inputs.
fn cached(pair: &Pair<'_>, preflight: &PhaseResult) -> Finding {
    let other = pair.other_inputs_ms.unwrap_or(pair.first_ms);
    let evidence = source(preflight, pair.endpoint);
    Draft::new(NAME, "repeated-inputs-faster", pair.endpoint)
        .advisory()
        .title(format!(
            "{} answers an input {} times faster when it has seen it before",
            pair.endpoint,
            digits(other / pair.median_ms)
        ))
        .detail(format!(
            "The first call with each input took about {}, later calls with the same inputs {}. This looks like a cache. The \
             times measured under load are those of repeated inputs; new inputs take longer.",
            ms(other),
            ms(pair.median_ms)
        ))
        .figure("first call with another input, median", other, "ms", 1, &evidence)
        .figure(
            "median of the later calls",
            pair.median_ms,
            "ms",
            pair.n,
            &source(pair.baseline, pair.endpoint),
        )
        .done()
}

fn penalty(worst: &Pair<'_>, slow: &[&Pair<'_>], all: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    let others = match slow.len() {
        1 => String::new(),
        n => format!("; {} other endpoints show the same", n - 1),
    };
    let first_of_all = if worst.first.seq == 0 {
        " It was also the first measured request to any endpoint."
    } else {
        ""
    };
    let endpoint = if slow.len() == 1 { worst.endpoint } else { "" };
    let evidence = source(preflight, worst.endpoint);
    Draft::new(NAME, "first-call-penalty", endpoint)
        .verdict(Verdict::Fail, Severity::Medium)
        .title(format!(
            "The first call of {} took {}, {} times the usual {}{others}",
            worst.endpoint,
            ms(worst.first_ms),
            digits(worst.ratio()),
            ms(worst.median_ms)
        ))
        .detail(format!(
            "The time to connect is not in it. The slowest of {} later calls took {}; were the first one like the others, it would \
             be the slowest with a chance of 1 in {}.{first_of_all} One first call cannot show the cause: it is consistent with a \
             model or a library that is loaded at first use. Restart the target and repeat to confirm.",
            worst.n,
            ms(worst.slowest_ms),
            worst.n + 1
        ))
        .figure("first call", worst.first_ms, "ms", 1, &evidence)
        .figure("median of the later calls", worst.median_ms, "ms", worst.n, &source(worst.baseline, worst.endpoint))
        .figure("first over median", worst.ratio(), "ratio", worst.n + 1, &evidence)
        .table("First call against steady calls", &COLUMNS, all.iter().map(row).collect(), &source(preflight, ""))
        .advice(
            "Load models and warm up before the server says that it is ready; keep the first call out of averages.",
            &format!("{} / {} = {}", ms(worst.first_ms), ms(worst.median_ms), digits(worst.ratio())),
        )
        .done()
}

const COLUMNS: [&str; 6] = [
    "Endpoint",
    "First, ms",
    "Steady median, ms",
    "Steady slowest, ms",
    "Steady calls",
    "Ratio",
];

fn row(pair: &Pair<'_>) -> Vec<String> {
    vec![
        pair.endpoint.to_owned(),
        digits(pair.first_ms),
        digits(pair.median_ms),
        digits(pair.slowest_ms),
        pair.n.to_string(),
        digits(pair.ratio()),
    ]
}
