//! The text that `prony load` prints at its end. It lays out the document and computes nothing.

use std::fmt::Write as _;

use prony_model::{Nanos, Verdict};

use super::document::{LoadDocument, OutcomeCount, QuantileMs, Times};
use super::streams;

/// The summary, ending in the one line that scripts read.
pub(super) fn text(document: &LoadDocument, color: bool) -> String {
    let mut out = String::new();
    head(&mut out, document);
    outcomes(&mut out, &document.outcomes);
    latency(&mut out, document);
    streams::write(&mut out, &document.streams);
    transfer(&mut out, document);
    validity(&mut out, document, color);
    let _ = writeln!(out, "\n{}", last_line(document));
    out
}

/// `p50=1.20ms p99=3.40ms p99.9=n/a`: nearest ranks of good answers.
fn last_line(document: &LoadDocument) -> String {
    let show = |ms: Option<f64>| ms.map_or_else(|| "n/a".to_owned(), time);
    let p = &document.percentiles;
    format!(
        "p50={} p99={} p99.9={}",
        show(p.p50_ms),
        show(p.p99_ms),
        show(p.p99_9_ms)
    )
}

fn head(out: &mut String, d: &LoadDocument) {
    let found = d
        .dns_ms
        .map_or_else(String::new, |ms| format!(", resolved in {}", time(ms)));
    let _ = writeln!(out, "target     {} at {}{found}", d.target, d.address);
    let _ = writeln!(
        out,
        "load       {}{}",
        d.shape,
        if d.interrupted { " (interrupted)" } else { "" }
    );
    let _ = writeln!(
        out,
        "requests   {} due, {} ok, {} failed{} in {}",
        d.requests.offered,
        d.requests.ok,
        d.requests.failed,
        if d.requests.own > 0 {
            format!(", {} not sent or cut off", d.requests.own)
        } else {
            String::new()
        },
        time(d.duration_s * 1e3),
    );
    if d.requests.retried > 0 {
        let _ = writeln!(
            out,
            "attempts   {}, {} of them sent again after a failure: {:.2} for each request",
            d.requests.attempts, d.requests.retried, d.requests.amplification
        );
    }
    let _ = writeln!(
        out,
        "rate       {}/s due, {}/s finished, {}/s ok",
        number(d.rates.offered_per_s),
        number(d.rates.achieved_per_s),
        number(d.rates.ok_per_s)
    );
}

fn outcomes(out: &mut String, counts: &[OutcomeCount]) {
    let total: u64 = counts.iter().map(|count| count.n).sum();
    let _ = writeln!(
        out,
        "\n{:<18} {:>10} {:>8}  {:>9} {:>9}",
        "outcome", "requests", "share", "p50", "longest"
    );
    for count in counts {
        let _ = writeln!(
            out,
            "{:<18} {:>10} {:>7.2}%  {:>9} {:>9}  {}",
            count.outcome.name(),
            count.n,
            100.0 * count.n as f64 / total.max(1) as f64,
            count.response.p50_ms.map_or_else(|| "-".to_owned(), time),
            time(count.response.max_ms),
            if count.outcome == prony_model::Outcome::Ok {
                String::new()
            } else {
                count.says.clone()
            }
        );
    }
    let mut told = counts
        .iter()
        .filter_map(|c| Some((c.outcome.name(), c.first_error.as_ref()?)))
        .peekable();
    if told.peek().is_some() {
        let _ = writeln!(out, "\nthe first of each kind of failure");
    }
    for (name, error) in told {
        let _ = writeln!(out, "{name:<18} {error}");
    }
    trim_line_ends(out);
}

fn latency(out: &mut String, d: &LoadDocument) {
    if d.latency.response.n == 0 {
        let _ = writeln!(
            out,
            "\nno request was answered as expected, so there is no latency to report"
        );
        return;
    }
    let _ = writeln!(
        out,
        "\n{:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "ok answers", "mean", "p50", "p90", "p95", "p99", "p99.9", "longest"
    );
    let rows = [
        ("response", &d.latency.response),
        ("service", &d.latency.service),
        ("connect", &d.latency.connect),
        ("TLS handshake", &d.latency.tls),
        ("first byte", &d.latency.ttfb),
        ("transfer", &d.latency.transfer),
        ("send lag", &d.latency.lag),
    ];
    for (name, times) in rows.into_iter().filter(|(_, times)| times.n > 0) {
        times_line(out, name, times);
    }
    let response = &d.latency.response;
    let intervals: Vec<String> = response
        .quantiles
        .iter()
        .filter_map(|q| {
            Some(format!(
                "p{} {} to {}",
                percent(q.p),
                time(q.lo_ms?),
                time(q.hi_ms?)
            ))
        })
        .collect();
    if !intervals.is_empty() {
        let _ = writeln!(out, "95 % intervals of response: {}", intervals.join(", "));
    }
    let missing: Vec<String> = response
        .quantiles
        .iter()
        .filter(|q| q.needs_n > 0)
        .map(|q| format!("p{} needs {}", percent(q.p), q.needs_n))
        .collect();
    if !missing.is_empty() {
        let enough_by_number = |q: &QuantileMs| q.needs_n > 0 && q.needs_n <= response.n;
        let why = if response.quantiles.iter().any(enough_by_number) {
            "; those close in time depend on one another"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "not estimable from {} answers: {} independent ones{why}",
            response.n,
            missing.join(", ")
        );
    }
    if d.open_loop {
        let _ = writeln!(
            out,
            "open loop: response time counts from when each request was due"
        );
    } else {
        let _ = writeln!(
            out,
            "closed loop: a slow target was asked less often, so these times are not latency under load; use --rate \
             for that"
        );
    }
}

pub(super) fn times_line(out: &mut String, name: &str, times: &Times) {
    let show = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), time);
    let _ = writeln!(
        out,
        "{name:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        time(times.mean_ms),
        show(times.p50_ms),
        show(times.p90_ms),
        show(times.p95_ms),
        show(times.p99_ms),
        show(times.p99_9_ms),
        time(times.max_ms)
    );
}

fn transfer(out: &mut String, d: &LoadDocument) {
    let _ = writeln!(
        out,
        "\ntransfer   {} in bodies, {}/s, {} connections opened",
        bytes(d.transfer.bytes_in as f64),
        bytes(d.transfer.bytes_in_per_s),
        d.transfer.connections
    );
    let _ = writeln!(
        out,
        "in flight  {} on average, {} at most",
        number(d.in_flight.mean),
        d.in_flight.max
    );
}

fn validity(out: &mut String, d: &LoadDocument, color: bool) {
    let (red, green, reset) = if color {
        ("\x1b[1;31m", "\x1b[32m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let lag = d.validity.lag_p99;
    if d.validity.is_valid() {
        let _ = writeln!(
            out,
            "validity   {green}valid{reset}: 99 % of requests were sent within {lag} of when due"
        );
    } else {
        let _ = writeln!(out, "validity   {red}INVALID{reset}: do not use these numbers");
    }
    for issue in &d.validity.invalid {
        let _ = writeln!(out, "           {}: {}", issue.name, issue.says);
    }
    for issue in &d.validity.warnings {
        let _ = writeln!(out, "           warning, {}: {}", issue.name, issue.says);
    }
    let tint = if d.verdict == Verdict::Pass { green } else { red };
    let _ = writeln!(out, "verdict    {tint}{}{reset}", d.verdict);
}

fn trim_line_ends(out: &mut String) {
    let trimmed: Vec<&str> = out.lines().map(str::trim_end).collect();
    *out = trimmed.join("\n") + "\n";
}

/// `1.20ms`, as times are written everywhere.
fn time(ms: f64) -> String {
    Nanos::from_millis_f64(ms).to_string()
}

/// A number with as many decimals as help.
pub(super) fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn percent(p: f64) -> f64 {
    (p * 1e6).round() / 1e4
}

fn bytes(n: f64) -> String {
    match n {
        n if n >= 1024.0 * 1024.0 * 1024.0 => format!("{:.2} GiB", n / 1024.0 / 1024.0 / 1024.0),
        n if n >= 1024.0 * 1024.0 => format!("{:.2} MiB", n / 1024.0 / 1024.0),
        n if n >= 1024.0 => format!("{:.2} KiB", n / 1024.0),
        n => format!("{n:.0} B"),
    }
}
