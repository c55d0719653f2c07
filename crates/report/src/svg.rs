//! The SVG format: a chart of tokens per second in all over those of a user, one below the other for each curve. Text in it is
//! bounded and escaped; it holds no script, no style sheet and no link.

use std::fmt::Write as _;

use crate::curves::{Curve, CurvePoint};
use crate::escape::{self, plain};
use crate::number::number;
use crate::{FormatDef, Report};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "svg",
    file: "curves.svg",
    description: "charts of throughput against interactivity, where streams were measured at several concurrencies",
    applies: |report| !report.curves.is_empty(),
    render: |report, _| Ok(render(report)),
};

const WIDTH: f64 = 720.0;
const PANEL: f64 = 360.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Lines of the grid in each direction.
const TICKS: usize = 5;
/// Longest title and longest text, in characters.
const TITLE_CHARS_MAX: usize = 90;
const TEXT_CHARS_MAX: usize = 200;

fn render(report: &Report) -> String {
    if report.curves.is_empty() {
        let mut words = String::new();
        text(
            &mut words,
            (LEFT, TOP),
            "start",
            "no streams were measured at several concurrencies",
        );
        return page(1, &words);
    }
    let mut panels = String::new();
    for (i, curve) in report.curves.iter().enumerate() {
        panel(&mut panels, curve, PANEL * i as f64);
    }
    page(report.curves.len(), &panels)
}

/// The chart of one curve.
pub(crate) fn one(curve: &Curve) -> String {
    let mut out = String::new();
    panel(&mut out, curve, 0.0);
    page(1, &out)
}

fn page(panels: usize, content: &str) -> String {
    let height = PANEL * panels as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         {content}</svg>\n"
    )
}

fn panel(out: &mut String, curve: &Curve, top: f64) {
    let (x_max, y_max) = (
        nice(
            curve
                .points
                .iter()
                .map(|p| p.user_tokens_per_s)
                .fold(0.0, f64::max),
        ),
        nice(curve.points.iter().map(|p| p.tokens_per_s).fold(0.0, f64::max)),
    );
    let (left, right, upper, lower) = (LEFT, WIDTH - RIGHT, top + TOP, top + PANEL - BOTTOM);
    let place = |p: &CurvePoint| {
        (
            left + (right - left) * p.user_tokens_per_s / x_max,
            lower - (lower - upper) * p.tokens_per_s / y_max,
        )
    };
    let title = format!(
        "{}: throughput against interactivity",
        plain(&curve.scenario, TITLE_CHARS_MAX)
    );
    text(out, (left, top + 24.0), "start", &title);
    for tick in 0..=TICKS {
        let share = tick as f64 / TICKS as f64;
        let (x, y) = (left + (right - left) * share, lower - (lower - upper) * share);
        line(out, (x, upper), (x, lower));
        line(out, (left, y), (right, y));
        text(out, (x, lower + 18.0), "middle", &number(x_max * share));
        text(out, (left - 8.0, y + 4.0), "end", &number(y_max * share));
    }
    let middle = f64::midpoint(left, right);
    text(
        out,
        (middle, lower + 40.0),
        "middle",
        "output tokens per second of a user (1 / mean TPOT)",
    );
    let (x, y) = (left - 58.0, f64::midpoint(upper, lower));
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">output tokens per second in all</text>"
    );
    let path: Vec<String> = curve
        .points
        .iter()
        .map(|p| {
            let (x, y) = place(p);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>",
        path.join(" ")
    );
    for point in &curve.points {
        let (x, y) = place(point);
        let fill = if point.is_pareto { "#1f6feb" } else { "#ffffff" };
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{fill}\" stroke=\"#1f6feb\" stroke-width=\"1.5\"/>"
        );
        text(out, (x + 8.0, y - 8.0), "start", &point.connections.to_string());
    }
    text(
        out,
        (right, top + 24.0),
        "end",
        "numbers: streams at once; filled: Pareto",
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e4e4e4\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape::html(words, TEXT_CHARS_MAX)
    );
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten; 1 for what is no size.
fn nice(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::nice;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, end) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.3, 2.0),
            (240.0, 250.0),
            (260.0, 500.0),
            (7e3, 1e4),
        ] {
            assert!((nice(value) - end).abs() < 1e-9 * end, "{value}");
        }
    }
}
