//! Throughput against interactivity: tokens per second in all over those of a user, with a point for each concurrency. It may stand
//! alone, so its parts have attributes and no classes. Computes no figure.

use std::fmt::Write as _;

use super::scale::Axis;
use super::{path, text};
use crate::curves::{Curve, CurvePoint};
use crate::escape::{self, plain};
use crate::number::number;

/// Size of the picture of one curve.
pub(crate) const WIDTH: f64 = 720.0;
pub(crate) const HEIGHT: f64 = 360.0;

/// The plot within it.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 300.0;

/// Where a text begins, ends or has its middle; and where it stands upright, left of the plot.
const START: &str = "text-anchor=\"start\"";
const END: &str = "text-anchor=\"end\"";
const MIDDLE: &str = "text-anchor=\"middle\"";
const UPRIGHT: &str = "text-anchor=\"middle\" transform=\"rotate(-90 22 175)\"";

/// Longest name and longest text, in characters.
const NAME_CHARS_MAX: usize = 90;
const TEXT_CHARS_MAX: usize = 200;

/// The picture of one curve.
pub(crate) fn draw(curve: &Curve) -> String {
    let largest = |of: fn(&CurvePoint) -> f64| curve.points.iter().map(of).fold(0.0, f64::max);
    let x = Axis::from_zero(largest(|p| p.user_tokens_per_s), LEFT, RIGHT);
    let y = Axis::from_zero(largest(|p| p.tokens_per_s), BOTTOM, TOP);
    let mut out = String::new();
    let name = plain(&curve.scenario, NAME_CHARS_MAX);
    let title = format!("{name}: throughput against interactivity");
    words(&mut out, START, (LEFT, 24.0), &title);
    grid(&mut out, &x, &y);
    let place = |p: &CurvePoint| (x.at(p.user_tokens_per_s), y.at(p.tokens_per_s));
    let line = path(curve.points.iter().map(place));
    let _ = writeln!(
        out,
        "<path d=\"{line}\" fill=\"none\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>"
    );
    for point in &curve.points {
        let (x, y) = place(point);
        let fill = if point.is_pareto { "#1f6feb" } else { "#ffffff" };
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{fill}\" stroke=\"#1f6feb\" stroke-width=\"1.5\"/>"
        );
        words(
            &mut out,
            START,
            (x + 8.0, y - 8.0),
            &point.connections.to_string(),
        );
    }
    let says = "numbers: streams at once; filled: Pareto";
    words(&mut out, END, (RIGHT, 24.0), says);
    out
}

/// A picture that only says something.
pub(crate) fn nothing(says: &str) -> String {
    let mut out = String::new();
    words(&mut out, START, (LEFT, TOP), says);
    out
}

fn grid(out: &mut String, x: &Axis, y: &Axis) {
    for tick in x.ticks() {
        let at = x.at(tick);
        let _ = writeln!(out, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#e4e4e4\"/>");
        words(out, MIDDLE, (at, BOTTOM + 18.0), &number(tick));
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#e4e4e4\"/>");
        words(out, END, (LEFT - 8.0, at + 4.0), &number(tick));
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let says = "output tokens per second of a user (1 / mean TPOT)";
    words(out, MIDDLE, (middle, BOTTOM + 40.0), says);
    words(out, UPRIGHT, (22.0, 175.0), "output tokens per second in all");
}

fn words(out: &mut String, how: &str, at: (f64, f64), words: &str) {
    text(out, how, at, escape::html(words, TEXT_CHARS_MAX));
    out.push('\n');
}
