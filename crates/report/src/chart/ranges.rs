//! How wide times spread: from the median to the 99th percentile, and the largest, a row for each. Knows nothing of phases.

use std::fmt::Write as _;

use prony_model::Nanos;

use super::scale::Axis;
use super::{heading, label, text};
use crate::number;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 740.0;
const ROW: f64 = 20.0;
const TOP: f64 = 30.0;

/// The times of one kind of request.
pub(super) struct Range {
    /// What it is.
    pub label: String,
    /// Median.
    pub p50: Nanos,
    /// 90th percentile, where there are enough observations.
    pub p90: Option<Nanos>,
    /// 99th percentile, where there are enough observations.
    pub p99: Option<Nanos>,
    /// The largest seen.
    pub largest: Nanos,
    /// Observations.
    pub n: u64,
}

/// A row for each range, on one logarithmic axis.
pub(super) fn draw(title: &str, ranges: &[Range]) -> String {
    let ms = |t: Nanos| t.as_secs_f64() * 1e3;
    let lo = ranges.iter().map(|r| ms(r.p50)).fold(f64::INFINITY, f64::min);
    let hi = ranges.iter().map(|r| ms(r.largest)).fold(0.0, f64::max);
    let x = Axis::between(lo * 0.8, hi * 1.1, true, LEFT, RIGHT);
    let bottom = TOP + ROW * ranges.len() as f64;
    let mut out = format!(
        "<figure class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{title}\">\
         <text class=\"t\" x=\"0\" y=\"14\">{title}</text>",
        bottom + 26.0,
        title = heading(title)
    );
    for tick in x.decades() {
        let at = x.at(tick);
        let says = Nanos((tick * 1e6).round() as u64);
        let _ = write!(out, "<path class=\"g\" d=\"M{at:.1} {TOP}V{bottom:.1}\"/>");
        text(&mut out, "class=\"m\"", (at, bottom + 16.0), says);
    }
    for (i, range) in ranges.iter().enumerate() {
        let y = TOP + ROW * (i as f64 + 0.5);
        row(&mut out, range, y, |t| x.at(ms(t)));
    }
    out.push_str("</svg><figcaption>Bar: p50 to p99, darker to p90; dot: the largest.</figcaption></figure>");
    out
}

fn row(out: &mut String, range: &Range, y: f64, at: impl Fn(Nanos) -> f64) {
    let mut says = format!("n = {}, p50 {}", number::count(range.n), range.p50);
    let from = at(range.p50);
    text(out, "class=\"e\"", (LEFT - 8.0, y + 4.0), label(&range.label));
    out.push_str("<g>");
    for (class, name, end) in [("w", "p99", range.p99), ("n", "p90", range.p90)] {
        if let Some(end) = end {
            let _ = write!(says, ", {name} {end}");
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"10\"/>",
                y - 5.0,
                (at(end) - from).max(1.0)
            );
        }
    }
    let _ = write!(says, ", largest {}", range.largest);
    let _ = write!(
        out,
        "<path class=\"p\" d=\"M{from:.1} {:.1}v12\"/><circle class=\"s0\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"2.5\"/><title>{says}</title></g>",
        y - 6.0,
        at(range.largest)
    );
}
