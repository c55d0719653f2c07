//! The Prometheus format: alert rules whose thresholds lie outside of what was measured as normal.
//!
//! Names of metrics are those that the target was seen to expose, else the usual ones, with a comment that says so.

use std::fmt::Write as _;

use prony_model::{Advice, Setting};

use crate::yaml::{comment, name, number, quoted};
use crate::{FormatDef, Report};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "alerts",
    file: "alerts.yaml",
    description: "Prometheus alert rules, with formulas",
    applies: |report| !report.advice.is_empty(),
    render: |report, _| Ok(page(report)),
};

/// Speed of burning, long and short window, severity: the multi-window rules for a budget of 30 days (SRE Workbook, chapter 5).
const BURNS: [(f64, &str, &str, &str); 3] = [
    (14.4, "1h", "5m", "page"),
    (6.0, "6h", "30m", "page"),
    (1.0, "3d", "6h", "ticket"),
];

/// One rule while it is written.
struct Rule<'a> {
    alert: &'a str,
    expr: String,
    holds_for: &'a str,
    severity: &'a str,
    summary: String,
}

fn page(report: &Report) -> String {
    let advice = &report.advice;
    let mut out = String::new();
    comment(
        &mut out,
        0,
        &format!("Alert rules from what Prony measured on {}.", report.target.url),
    );
    comment(
        &mut out,
        0,
        &format!(
            "Run {} of {}. Each threshold has its formula; evidence is in report.md.",
            report.run.id, report.run.started_at
        ),
    );
    for lacking in &advice.unmeasured {
        if lacking.what.contains("alert") {
            comment(
                &mut out,
                0,
                &format!(
                    "Not measured: {} (missing: {}). First: {}.",
                    lacking.what, lacking.missing, lacking.first
                ),
            );
        }
    }
    let names = Names::of(advice);
    if !names.unseen.is_empty() {
        comment(
            &mut out,
            0,
            &format!(
                "The target was not seen to expose {}: write the names that yours have.",
                names.unseen.join(", ")
            ),
        );
    }
    let mut rules = String::new();
    failures(&mut rules, advice, &names);
    slow(&mut rules, advice, &names);
    saturation(&mut rules, advice, &names);
    memory(&mut rules, advice, &names);
    if rules.is_empty() {
        out.push_str("groups: []\n");
    } else {
        let _ = write!(
            out,
            "groups:\n  - name: {}\n    rules:\n{rules}",
            name(&report.title)
        );
    }
    out
}

/// Names of metrics: as seen, else the usual ones.
struct Names {
    duration: String,
    requests: String,
    status: String,
    in_progress: String,
    resident: String,
    unseen: Vec<String>,
}

impl Names {
    fn of(advice: &Advice) -> Self {
        let mut unseen = Vec::new();
        let mut seen = |found: &str, usual: &str| {
            if found.is_empty() {
                unseen.push(usual.to_owned());
                usual.to_owned()
            } else {
                found.to_owned()
            }
        };
        let metrics = &advice.metrics;
        let duration = seen(&metrics.duration_seconds, "http_request_duration_seconds");
        let requests = seen(&metrics.requests_total, "http_requests_total");
        let in_progress = seen(&metrics.in_progress, "http_requests_in_progress");
        let resident = seen(&metrics.resident_bytes, "process_resident_memory_bytes");
        let status = if metrics.status_label.is_empty() {
            "code"
        } else {
            &metrics.status_label
        };
        Self {
            duration,
            requests,
            status: status.to_owned(),
            in_progress,
            resident,
            unseen,
        }
    }
}

fn failures(out: &mut String, advice: &Advice, names: &Names) {
    let Some(objective) = advice.setting("objective.success_share") else {
        return;
    };
    explain(out, objective);
    if let Some(burn) = advice.setting("objective.burn") {
        explain(out, burn);
    }
    let allowed = 1.0 - objective.value;
    let share = |window: &str| {
        format!(
            "sum(rate({0}{{{1}=~\"5..\"}}[{window}])) / sum(rate({0}[{window}]))",
            names.requests, names.status
        )
    };
    for (burn, long, short, severity) in BURNS {
        let limit = number(burn * allowed);
        rule(
            out,
            &Rule {
                alert: &format!("ErrorBudgetBurn{}", long.to_ascii_uppercase()),
                expr: format!("({} > {limit}) and ({} > {limit})", share(long), share(short)),
                holds_for: "0m",
                severity,
                summary: format!(
                    "The error budget burns more than {burn} times too fast (over {long} and {short})."
                ),
            },
        );
    }
}

fn slow(out: &mut String, advice: &Advice, names: &Names) {
    let Some(p95) = advice.setting("alert.p95_s") else {
        return;
    };
    explain(out, p95);
    rule(
        out,
        &Rule {
            alert: "SlowAnswers",
            expr: format!(
                "histogram_quantile(0.95, sum by (le) (rate({}_bucket[5m]))) > {}",
                names.duration,
                number(p95.value)
            ),
            holds_for: "10m",
            severity: "page",
            summary: format!("p95 is above {} s, which no normal load gave.", number(p95.value)),
        },
    );
}

fn saturation(out: &mut String, advice: &Advice, names: &Names) {
    let Some(in_flight) = advice.setting("alert.in_flight") else {
        return;
    };
    explain(out, in_flight);
    rule(
        out,
        &Rule {
            alert: "Saturation",
            expr: format!(
                "avg_over_time({}[5m]) > {}",
                names.in_progress,
                number(in_flight.value)
            ),
            holds_for: "5m",
            severity: "ticket",
            summary: "More requests are in flight than 80 % of what gains throughput.".to_owned(),
        },
    );
}

fn memory(out: &mut String, advice: &Advice, names: &Names) {
    let Some(growth) = advice.setting("alert.bytes_per_request") else {
        return;
    };
    explain(out, growth);
    rule(
        out,
        &Rule {
            alert: "MemoryGrows",
            expr: format!(
                "sum(deriv({}[6h])) > {} * sum(rate({}[6h]))",
                names.resident,
                number(growth.value),
                names.requests
            ),
            holds_for: "30m",
            severity: "ticket",
            summary: "Memory grows with the requests served.".to_owned(),
        },
    );
}

fn rule(out: &mut String, rule: &Rule<'_>) {
    let _ = write!(
        out,
        "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        annotations:\n          summary: {}\n",
        rule.alert,
        quoted(&rule.expr),
        rule.holds_for,
        rule.severity,
        quoted(&rule.summary)
    );
}

fn explain(out: &mut String, setting: &Setting) {
    comment(out, 6, &setting.says);
    comment(
        out,
        6,
        &format!("Formula: {}.", setting.formula.trim_end_matches('.')),
    );
    comment(out, 6, &setting.caveat);
}
