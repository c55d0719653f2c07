//! Values along an axis, as lines with points. Knows nothing of phases.

use std::fmt::Write as _;

use super::scale::Axis;
use super::{heading, label, path, text};
use crate::number;

/// Size of the picture and of the plot within it.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 448.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 208.0;

/// From the mark of a legend to its text.
const LEGEND_STEP: f64 = 16.0;

/// Most points of a line of which each has a mark.
const MARKED_MAX: usize = 60;

/// How far above the highest point the axis goes where the ideal is shown, so that it can be seen.
const IDEAL_ROOM: f64 = 1.4;

/// Room for its label.
const IDEAL_LABEL: f64 = 150.0;

/// One line.
pub(super) struct Series {
    /// What it is.
    pub label: String,
    /// Points, by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines, from zero on.
pub(super) struct Chart<'a> {
    /// Heading.
    pub title: &'a str,
    /// What the horizontal axis shows.
    pub x_title: &'a str,
    /// Whether the horizontal axis is logarithmic, with a mark at each point.
    pub x_log: bool,
    /// Unit of the vertical axis.
    pub unit: &'a str,
    /// The lines.
    pub series: Vec<Series>,
    /// Whether to show where the first line would go in proportion.
    pub ideal: bool,
}

impl Chart<'_> {
    /// The picture; empty without a point.
    pub(super) fn draw(&self) -> String {
        let points = || self.series.iter().flat_map(|s| s.points.iter().copied());
        let Some((x_lo, x_hi, y_hi)) = points().fold(None, |seen, (x, y)| {
            let (lo, hi, top) = seen.unwrap_or((x, x, y));
            Some((x.min(lo), x.max(hi), y.max(top)))
        }) else {
            return String::new();
        };
        let room = if self.ideal { IDEAL_ROOM } else { 1.0 };
        let y = Axis::from_zero(room * y_hi, BOTTOM, TOP);
        let x = Axis::between(x_lo, x_hi, self.x_log, LEFT + 8.0, RIGHT - 8.0);
        let mut out = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
             <text class=\"t\" x=\"0\" y=\"14\">{title}</text>",
            title = heading(self.title)
        );
        self.grid(&mut out, &x, &y);
        if self.ideal {
            ideal(&mut out, &self.series[0].points, &x, &y);
        }
        for (i, series) in self.series.iter().enumerate() {
            self.line(&mut out, i, series, &x, &y);
        }
        out.push_str("</svg></figure>");
        out
    }

    fn grid(&self, out: &mut String, x: &Axis, y: &Axis) {
        for tick in y.ticks() {
            let at = y.at(tick);
            let says = label(&number::with_unit(tick, self.unit));
            let _ = write!(out, "<path class=\"g\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>");
            text(out, "class=\"e\"", (LEFT - 6.0, at + 4.0), says);
        }
        for tick in self.x_ticks(x) {
            let says = number::number(tick);
            text(out, "class=\"m\"", (x.at(tick), BOTTOM + 16.0), says);
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        text(out, "class=\"m\"", (middle, BOTTOM + 34.0), label(self.x_title));
    }

    /// Of a logarithmic axis the places that were measured; else round numbers.
    fn x_ticks(&self, x: &Axis) -> Vec<f64> {
        if !self.x_log {
            return x.ticks();
        }
        let mut places: Vec<f64> = self
            .series
            .iter()
            .flat_map(|s| s.points.iter().map(|p| p.0))
            .collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    fn line(&self, out: &mut String, index: usize, series: &Series, x: &Axis, y: &Axis) {
        let class = format!("s{index}");
        let line = path(series.points.iter().map(|&(px, py)| (x.at(px), y.at(py))));
        let _ = write!(out, "<path class=\"l {class}\" d=\"{line}\"/>");
        let marked = Some(&series.points).filter(|points| points.len() <= MARKED_MAX);
        for &(px, py) in marked.into_iter().flatten() {
            let _ = write!(
                out,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {}</title></circle>",
                x.at(px),
                y.at(py),
                number::number(px),
                label(&number::with_unit(py, self.unit))
            );
        }
        let share = (RIGHT - LEFT) / self.series.len() as f64;
        let from = LEFT + share * index as f64;
        let _ = write!(
            out,
            "<circle class=\"{class}\" cx=\"{from:.1}\" cy=\"28\" r=\"4\"/><text x=\"{:.1}\" y=\"32\">{}</text>",
            from + LEGEND_STEP / 2.0,
            label(&series.label)
        );
    }
}

/// Where the first point would go if it grew in proportion, as far as the axis reaches.
fn ideal(out: &mut String, points: &[(f64, f64)], x: &Axis, y: &Axis) {
    let (Some(&(x0, y0)), Some(&(x1, _))) = (points.first(), points.last()) else {
        return;
    };
    if x0 <= 0.0 || y0 <= 0.0 {
        return;
    }
    let end = x1.min(x0 * y.end() / y0);
    let line = path((0..=24).map(|n| {
        let px = x0 * (end / x0).powf(f64::from(n) / 24.0);
        (x.at(px), y.at(y0 * px / x0))
    }));
    let (class, beside) = if x.at(end) < RIGHT - IDEAL_LABEL {
        ("class=\"d\"", 6.0)
    } else {
        ("class=\"e\"", -12.0)
    };
    let _ = write!(out, "<path class=\"i\" d=\"{line}\"/>");
    let at = (x.at(end) + beside, y.at(y0 * end / x0) + 12.0);
    text(out, class, at, "if it grew in proportion");
}
