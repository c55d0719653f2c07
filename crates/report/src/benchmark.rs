//! The benchmark format: targets met per cell, per kind of test and per model, under the keys of a benchmark report that CI reads. A test
//! is what gates of the suite stand on; it is met when it was attempted, every attempt was answered well, and every gate passes.
//! It judges nothing anew: what has no data is not met, and what was not measured is null.

use std::collections::BTreeMap;

use prony_model::{GateResult, Outcome, SummaryRow, Verdict};
use serde_json::{Map, Value, json};

use crate::build::names_phase;
use crate::report::RunEnd;
use crate::{FormatDef, PhaseEntry, RenderError, Report, TerminalStyle};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "benchmark",
    file: "benchmark.json",
    description: "targets met per cell, kind of test and model, for CI",
    applies: |report| report.gates.iter().any(is_timed),
    render,
};

/// Shares of tests met, in %, below which the run counts as failed and as doubtful.
const FAILED_BELOW: f64 = 80.0;
const DOUBTFUL_BELOW: f64 = 90.0;
/// Processes of the target, in the order in which they tell best what it holds.
const MEMORY: [&str; 2] = ["target.pss_bytes", "target.rss_bytes"];

fn render(report: &Report, _: TerminalStyle) -> Result<String, RenderError> {
    let mut text = serde_json::to_string_pretty(&document(report))?;
    text.push('\n');
    Ok(text)
}

/// Whether a gate asks for answers that are good and in time.
fn is_timed(gate: &GateResult) -> bool {
    let check = gate.gate.check.trim_start();
    check.starts_with("missed_") || check.starts_with("met_")
}

/// What gates of one phase and scenario stand on.
struct Test<'a> {
    phase: &'a str,
    scenario: &'a str,
    gates: Vec<&'a GateResult>,
    attempts: u64,
    good: u64,
    mean_ms: Option<f64>,
}

impl<'a> Test<'a> {
    fn new(report: &Report, phase: &'a str, scenario: &'a str, gates: Vec<&'a GateResult>) -> Self {
        // A phase that was measured once more counts as it was at last, as it does for the gates.
        let entry = report.phases().filter(|p| names_phase(phase, &p.summary)).last();
        let rows: Vec<&SummaryRow> = entry.map(|p| rows(p, scenario)).unwrap_or_default();
        let of = |rows: &[&SummaryRow]| rows.iter().map(|row| row.n).sum::<u64>();
        let (good, other): (Vec<&SummaryRow>, Vec<&SummaryRow>) =
            rows.into_iter().partition(|row| row.outcome == Outcome::Ok);
        let answered = of(&good);
        let weighed: f64 = good.iter().map(|row| row.n as f64 * row.response.mean_ns).sum();
        Self {
            phase,
            scenario,
            gates,
            attempts: answered + of(&other),
            good: answered,
            mean_ms: (answered > 0).then(|| weighed / answered as f64 / 1e6),
        }
    }

    fn is_good(&self) -> bool {
        self.attempts > 0 && self.good == self.attempts
    }

    fn is_met(&self) -> bool {
        self.attempts > 0 && self.gates.iter().all(|g| g.verdict == Verdict::Pass)
    }

    /// Whether what is asked of its times is met; `None` where nothing is.
    fn is_in_time(&self) -> Option<bool> {
        let mut timed = self.gates.iter().filter(|g| is_timed(g)).peekable();
        timed.peek()?;
        Some(self.attempts > 0 && timed.all(|g| g.verdict == Verdict::Pass))
    }

    /// The scenario without its step, and without the name of its phase before it.
    fn model(&self) -> &'a str {
        let name = self.scenario.split('/').next().unwrap_or_default();
        let own = name.strip_prefix(self.phase).map_or(name, str::trim_start);
        if own.is_empty() { self.phase } else { own }
    }

    fn value(&self) -> Value {
        json!({
            "test_type": self.phase,
            "name": if self.scenario.is_empty() { self.phase } else { self.scenario },
            "targets": self.gates.iter().map(|g| g.gate.check.as_str()).collect::<Vec<_>>(),
            "attempts": self.attempts,
            "answered_well": self.good,
            "response_time_ms_mean": self.mean_ms,
            "success": self.is_good(),
            "meets_real_time_target": self.is_in_time(),
            "meets_targets": self.is_met(),
        })
    }
}

/// The rows of a scenario or of a step of it; those of all arrivals where none is named.
fn rows<'p>(phase: &'p PhaseEntry, scenario: &str) -> Vec<&'p SummaryRow> {
    let rows = phase.summary.rows.iter();
    let theirs = rows.filter(|row| !row.outcome.is_own());
    theirs
        .filter(|row| {
            if scenario.is_empty() {
                !row.part
            } else {
                row.scenario == scenario
            }
        })
        .collect()
}

fn tests(report: &Report) -> Vec<Test<'_>> {
    let mut by_place: Vec<((&str, &str), Vec<&GateResult>)> = Vec::new();
    for gate in report.gates.iter().filter(|g| !g.gate.phase.is_empty()) {
        let place = (
            gate.gate.phase.as_str(),
            gate.gate.scenario.as_deref().unwrap_or_default(),
        );
        match by_place.iter_mut().find(|(known, _)| *known == place) {
            Some((_, gates)) => gates.push(gate),
            None => by_place.push((place, vec![gate])),
        }
    }
    by_place
        .into_iter()
        .map(|((phase, scenario), gates)| Test::new(report, phase, scenario, gates))
        .collect()
}

/// Part of the whole in %, to a tenth; null where there is no whole.
fn percent(part: usize, whole: usize) -> Value {
    if whole == 0 {
        Value::Null
    } else {
        json!((1000.0 * part as f64 / whole as f64).round() / 10.0)
    }
}

fn counts(tests: &[&Test<'_>]) -> Map<String, Value> {
    let count = |keep: &dyn Fn(&Test<'_>) -> bool| tests.iter().filter(|t| keep(t)).count();
    let good = count(&|t| t.is_good());
    let timed = count(&|t| t.is_in_time().is_some());
    let in_time = count(&|t| t.is_in_time() == Some(true));
    let met = count(&|t| t.is_met());
    let values = json!({
        "total_tests": tests.len(),
        "successful_tests": good,
        "failed_tests": tests.len() - good,
        "tests_without_data": count(&|t| t.attempts == 0),
        "success_rate": percent(good, tests.len()),
        "real_time_compliance_rate": percent(in_time, timed),
        "targets_met_rate": percent(met, tests.len()),
    });
    match values {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// 130 interrupted, 1 below 80 % of the tests met, 2 below 90 %, 0 else.
fn exit_code(report: &Report, tests: &[Test<'_>]) -> u8 {
    if report.run.end == RunEnd::Interrupted {
        return 130;
    }
    let met = tests.iter().filter(|t| t.is_met()).count();
    let share = 100.0 * met as f64 / tests.len().max(1) as f64;
    if share < FAILED_BELOW {
        1
    } else if share < DOUBTFUL_BELOW {
        2
    } else {
        0
    }
}

fn grouped<'a>(tests: &'a [Test<'a>], key: impl Fn(&'a Test<'a>) -> &'a str) -> Value {
    let mut groups: BTreeMap<&str, Vec<&Test<'_>>> = BTreeMap::new();
    for test in tests {
        groups.entry(key(test)).or_default().push(test);
    }
    let group = |(name, tests): (&str, Vec<&Test<'_>>)| {
        let mut map = counts(&tests);
        map.insert("tests".to_owned(), tests.iter().map(|t| t.value()).collect());
        (name.to_owned(), Value::Object(map))
    };
    Value::Object(groups.into_iter().map(group).collect())
}

fn document(report: &Report) -> Value {
    let tests = tests(report);
    let mut summary = counts(&tests.iter().collect::<Vec<_>>());
    // What one inference takes of a server's memory cannot be seen from outside.
    summary.insert("memory_compliance_rate".to_owned(), Value::Null);
    let memory = MEMORY
        .iter()
        .find_map(|key| report.system.rows.iter().find(|row| row.key == *key));
    let memory = memory.and_then(|row| {
        let (before, after) = (row.before?, row.after?);
        Some(json!({
            "of": row.key, "before_bytes": before, "after_bytes": after, "grown_bytes": after - before,
        }))
    });
    json!({
        "summary": summary,
        "performance_targets": report.gates.iter().map(|g| json!({
            "test_type": g.gate.phase, "name": g.gate.scenario, "target": g.gate.check, "verdict": g.verdict, "says": g.says,
        })).collect::<Vec<_>>(),
        "results_by_test_type": grouped(&tests, |t| t.phase),
        "results_by_model": grouped(&tests, Test::model),
        // A target is no baseline: `prony compare` holds one server against another.
        "performance_regressions": Value::Null,
        "memory_analysis": memory,
        "recommendations": report.recommendations.iter().map(|r| r.advice.as_str()).collect::<Vec<_>>(),
        "benchmark_metadata": {
            "timestamp": report.run.started_at,
            "version": report.run.prony,
            "python_version": Value::Null,
            "target": report.target.url,
            "suite": report.run.suite,
            "run": report.run.id,
            "seed": report.run.seed,
            "verdict": report.verdict,
        },
        "exit_code": exit_code(report, &tests),
    })
}

#[cfg(test)]
mod tests {
    use prony_model::{Distribution, Gate, GateResult, Nanos, Outcome, SummaryRow, Verdict};
    use serde_json::json;

    use super::{DEF, document};
    use crate::report::RunEnd;
    use crate::{PhaseEntry, Report, RunRecord, Section};

    fn row(scenario: &str, outcome: Outcome, n: u64) -> SummaryRow {
        SummaryRow {
            scenario: scenario.to_owned(),
            part: true,
            step: 0,
            connections: 1,
            outcome,
            n,
            per_s: 0.0,
            response: Distribution {
                mean_ns: 2e6,
                ..Distribution::default()
            },
            service: Distribution::default(),
            lag: Distribution::default(),
            ttfb: Distribution::default(),
            transfer: Distribution::default(),
            connect: Distribution::default(),
            tls: Distribution::default(),
        }
    }

    fn gate(phase: &str, scenario: &str, check: &str, verdict: Verdict) -> GateResult {
        GateResult {
            gate: Gate {
                phase: phase.to_owned(),
                scenario: Some(scenario.to_owned()),
                check: check.to_owned(),
            },
            verdict,
            measured: None,
            says: String::new(),
        }
    }

    fn report(rows: Vec<SummaryRow>, gates: Vec<GateResult>) -> Report {
        of_attempts("suite", vec![rows], gates)
    }

    /// A phase `quick` of an experiment, once for each set of rows.
    fn of_attempts(experiment: &str, attempts: Vec<Vec<SummaryRow>>, gates: Vec<GateResult>) -> Report {
        let entry = |rows| PhaseEntry {
            anchor: String::new(),
            label: "quick".to_owned(),
            description: String::new(),
            verdict: None,
            summary: prony_model::PhaseSummary {
                name: "quick".to_owned(),
                experiment: experiment.to_owned(),
                rows,
                ..serde_json::from_value(empty()).unwrap()
            },
        };
        let mut report = Report::build(&RunRecord::fold(&[]));
        report.run.end = RunEnd::Finished;
        report.sections = vec![Section {
            anchor: String::new(),
            experiment: experiment.to_owned(),
            title: String::new(),
            question: String::new(),
            verdict: None,
            findings: Vec::new(),
            tables: Vec::new(),
            phases: attempts.into_iter().map(entry).collect(),
            unfinished: Vec::new(),
        }];
        report.gates = gates;
        report
    }

    fn empty() -> serde_json::Value {
        json!({
            "index": 0, "name": "", "experiment": "suite", "shape": "", "open_loop": false, "started": Nanos(0), "ended": Nanos(1),
            "offered": 0, "ok": 0, "failed": 0, "own": 0, "attempts": 0, "retried": 0, "offered_per_s": 0.0, "achieved_per_s": 0.0,
            "ok_per_s": 0.0, "in_flight_mean": 0.0, "in_flight_max": 0, "bytes_in": 0, "connections": 0, "rows": [], "streams": [],
            "validity": prony_model::Validity::default(), "partial": false,
        })
    }

    #[test]
    fn a_failure_is_neither_fast_nor_left_out() {
        let rows = vec![
            row("quick nano/load", Outcome::Ok, 1),
            row("quick nano/single", Outcome::Status5xx, 1),
        ];
        let missed = "missed_2000_ms_count == 0";
        let told = document(&report(
            rows,
            vec![
                gate("quick", "quick nano/load", missed, Verdict::Pass),
                gate("quick", "quick nano/single", missed, Verdict::Fail),
                gate("quick", "quick small/single", missed, Verdict::Inconclusive),
            ],
        ));
        let summary = &told["summary"];
        assert_eq!(summary["total_tests"], 3);
        assert_eq!(summary["successful_tests"], 1);
        assert_eq!(summary["tests_without_data"], 1);
        assert_eq!(summary["success_rate"], json!(33.3));
        assert_eq!(summary["real_time_compliance_rate"], json!(33.3));
        assert_eq!(told["results_by_model"]["nano"]["total_tests"], 2);
        assert_eq!(
            told["results_by_model"]["small"]["tests"][0]["meets_real_time_target"],
            false
        );
        assert_eq!(
            told["results_by_model"]["nano"]["tests"][0]["response_time_ms_mean"],
            json!(2.0)
        );
        assert_eq!(told["exit_code"], 1);
        assert!(told["performance_regressions"].is_null() && summary["memory_compliance_rate"].is_null());
    }

    #[test]
    fn a_phase_that_was_measured_once_more_counts_as_it_was_at_last() {
        let attempts = vec![
            vec![row("m/single", Outcome::Status5xx, 4)],
            vec![row("m/single", Outcome::Ok, 5)],
        ];
        let gates = vec![gate("quick", "m/single", "missed_9_ms_count == 0", Verdict::Pass)];
        let told = document(&of_attempts("suite", attempts, gates));
        let test = &told["results_by_test_type"]["quick"]["tests"][0];
        assert_eq!(
            (&test["attempts"], &test["answered_well"]),
            (&json!(5), &json!(5))
        );
        assert_eq!(test["success"], true);
    }

    #[test]
    fn a_gate_on_a_phase_of_an_experiment_has_its_rows() {
        let told = |phase: &str| {
            let rows = vec![vec![row("m/single", Outcome::Ok, 5)]];
            let gates = vec![gate(phase, "m/single", "missed_9_ms_count == 0", Verdict::Pass)];
            document(&of_attempts("coverage", rows, gates))["summary"].clone()
        };
        assert_eq!(told("coverage/quick")["successful_tests"], 1);
        // Only a phase of the suite is named by its name alone.
        assert_eq!(told("quick")["tests_without_data"], 1);
    }

    #[test]
    fn the_exit_code_follows_the_share_that_is_met() {
        let code = |met: u64| {
            let gates = (0..20)
                .map(|k| {
                    let verdict = if k < met { Verdict::Pass } else { Verdict::Fail };
                    gate(
                        "quick",
                        &format!("m{k}/single"),
                        "missed_9_ms_count == 0",
                        verdict,
                    )
                })
                .collect();
            let rows = (0..20)
                .map(|k| row(&format!("m{k}/single"), Outcome::Ok, 1))
                .collect();
            document(&report(rows, gates))["exit_code"].clone()
        };
        assert_eq!(
            (code(20), code(18), code(17), code(16), code(15)),
            (json!(0), json!(0), json!(2), json!(2), json!(1))
        );
    }

    #[test]
    fn it_is_written_where_targets_are_on_attempts() {
        let with = |check: &str| {
            (DEF.applies)(&report(
                Vec::new(),
                vec![gate("quick", "a/b", check, Verdict::Pass)],
            ))
        };
        assert!(with("met_2000_ms_share >= 0.9") && with("missed_500_ms_count == 0"));
        assert!(!with("failed_count == 0"));
    }
}
