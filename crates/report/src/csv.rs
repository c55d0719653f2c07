//! The CSV format: one line for each scenario, step and outcome of each phase, for spreadsheets and data frames.

use std::fmt::Write as _;

use prony_model::{Distribution, SummaryRow};

use crate::report::PhaseEntry;
use crate::{FormatDef, Report, TerminalStyle, escape};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "csv",
    file: "rows.csv",
    description: "one line for each scenario, step and outcome of each phase, times in ms, for spreadsheets",
    applies: |report| report.phases().any(|phase| !phase.summary.rows.is_empty()),
    render: |report, _: TerminalStyle| Ok(page(report)),
};

/// Longest name.
const NAME_CHARS_MAX: usize = 240;

/// Quantiles of each time.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999")];

fn page(report: &Report) -> String {
    let mut out =
        String::from("experiment,phase,phase_index,valid,scenario,part,step,connections,outcome,n,per_s");
    for time in ["response", "service", "lag"] {
        let _ = write!(out, ",{time}_mean_ms");
        for (_, name) in QUANTILES {
            let _ = write!(out, ",{time}_{name}_ms,{time}_{name}_lo_ms,{time}_{name}_hi_ms");
        }
        let _ = write!(out, ",{time}_max_ms");
    }
    out.push('\n');
    for phase in report.phases() {
        for row in &phase.summary.rows {
            line(&mut out, phase, row);
        }
    }
    out
}

fn line(out: &mut String, phase: &PhaseEntry, row: &SummaryRow) {
    let summary = &phase.summary;
    let _ = write!(
        out,
        "{},{},{},{},{},{},{},{},{},{},{}",
        text(&summary.experiment),
        text(&summary.name),
        summary.index,
        summary.validity.is_valid(),
        text(&row.scenario),
        row.part,
        row.step,
        row.connections,
        row.outcome.name(),
        row.n,
        row.per_s
    );
    for times in [&row.response, &row.service, &row.lag] {
        distribution(out, times);
    }
    out.push('\n');
}

/// Mean, quantiles with their intervals, largest. What has too few observations behind it is empty.
fn distribution(out: &mut String, times: &Distribution) {
    let seen = times.n > 0;
    let ms = |ns: f64| {
        if seen {
            (ns / 1e6).to_string()
        } else {
            String::new()
        }
    };
    let _ = write!(out, ",{}", ms(times.mean_ns));
    for (p, _) in QUANTILES {
        let known = times
            .quantiles
            .iter()
            .find(|q| (q.p - p).abs() < 1e-9 && q.needs_n == 0 && seen);
        match known {
            Some(q) => {
                let _ = write!(
                    out,
                    ",{},{},{}",
                    ms(q.value.0 as f64),
                    ms(q.lo.0 as f64),
                    ms(q.hi.0 as f64)
                );
            }
            None => out.push_str(",,,"),
        }
    }
    let _ = write!(out, ",{}", ms(times.max.0 as f64));
}

/// A quoted cell. A spreadsheet takes a cell for a formula that begins with one of these signs, so a quote stands before it.
fn text(text: &str) -> String {
    let shown = escape::plain(text, NAME_CHARS_MAX).replace('"', "\"\"");
    let guard = if shown.starts_with(['=', '+', '-', '@']) {
        "'"
    } else {
        ""
    };
    format!("\"{guard}{shown}\"")
}
