//! The CSV format: one line for each scenario, step and outcome of each phase, for spreadsheets and data frames.

use csv::Writer;
use prony_model::{Distribution, SummaryRow};

use crate::report::PhaseEntry;
use crate::{FormatDef, RenderError, Report, TerminalStyle, escape};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "csv",
    file: "rows.csv",
    description: "one line for each scenario, step and outcome of each phase, times in ms, for spreadsheets",
    applies: |report| report.phases().any(|phase| !phase.summary.rows.is_empty()),
    render: |report, _: TerminalStyle| page(report),
};

/// Longest name.
const NAME_CHARS_MAX: usize = 240;

/// Quantiles of each time.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999")];

fn page(report: &Report) -> Result<String, RenderError> {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(heads())?;
    for phase in report.phases() {
        for row in &phase.summary.rows {
            out.write_record(cells(phase, row))?;
        }
    }
    let bytes = out
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn heads() -> Vec<String> {
    let columns = "experiment phase phase_index valid scenario part step connections outcome n per_s";
    let mut out: Vec<String> = columns.split(' ').map(str::to_owned).collect();
    for time in ["response", "service", "lag"] {
        out.push(format!("{time}_mean_ms"));
        for (_, name) in QUANTILES {
            out.extend(["", "lo_", "hi_"].map(|end| format!("{time}_{name}_{end}ms")));
        }
        out.push(format!("{time}_max_ms"));
    }
    out
}

fn cells(phase: &PhaseEntry, row: &SummaryRow) -> Vec<String> {
    let summary = &phase.summary;
    let mut out = vec![
        text(&summary.experiment),
        text(&summary.name),
        summary.index.to_string(),
        summary.validity.is_valid().to_string(),
        text(&row.scenario),
        row.part.to_string(),
        row.step.to_string(),
        row.connections.to_string(),
        row.outcome.name().to_owned(),
        row.n.to_string(),
        row.per_s.to_string(),
    ];
    for times in [&row.response, &row.service, &row.lag] {
        distribution(&mut out, times);
    }
    out
}

/// Mean, quantiles with their intervals, largest. What has too few observations behind it is empty.
fn distribution(out: &mut Vec<String>, times: &Distribution) {
    let ms = |ns: Option<f64>| {
        ns.filter(|_| times.n > 0)
            .map_or_else(String::new, |ns| (ns / 1e6).to_string())
    };
    out.push(ms(Some(times.mean_ns)));
    for (p, _) in QUANTILES {
        let mut known = times.quantiles.iter();
        let known = known.find(|q| (q.p - p).abs() < 1e-9 && q.needs_n == 0);
        out.push(ms(known.map(|q| q.value.0 as f64)));
        out.push(ms(known.map(|q| q.lo.0 as f64)));
        out.push(ms(known.map(|q| q.hi.0 as f64)));
    }
    out.push(ms(Some(times.max.0 as f64)));
}

/// A cell of text. A spreadsheet takes one for a formula that begins with one of these signs, so a quote stands before it.
fn text(text: &str) -> String {
    let shown = escape::plain(text, NAME_CHARS_MAX);
    if shown.starts_with(['=', '+', '-', '@']) {
        format!("'{shown}")
    } else {
        shown
    }
}
