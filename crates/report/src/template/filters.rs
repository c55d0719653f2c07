//! What the templates may do with a value. A filter that gives safe text has escaped all that came from outside.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, Value};
use prony_model::{Distribution, Figure, Nanos, Source};
use serde::Deserialize;

use super::Markup;
use crate::build::phase_anchor;
use crate::curves::Curve;
use crate::memory::MemorySeries;
use crate::report::Section;
use crate::streams::StreamLine;
use crate::{chart, number, svg};

/// Longest text of a table cell or a quotation.
const CELL_CHARS_MAX: usize = 240;

/// Longest text of a table cell that holds sentences.
const LONG_CELL_CHARS_MAX: usize = 4 * CELL_CHARS_MAX;

/// Adds every filter. `phases` holds the names of the phases that evidence may link to.
pub(super) fn add(env: &mut Environment<'_>, markup: &'static Markup, phases: BTreeMap<u16, String>) {
    env.add_filter("code", move |text: &str| {
        safe((markup.code)(text, CELL_CHARS_MAX))
    });
    env.add_filter("cell", move |text: &str| {
        safe((markup.text)(text, CELL_CHARS_MAX))
    });
    env.add_filter("long_cell", move |text: &str| {
        safe((markup.text)(text, LONG_CELL_CHARS_MAX))
    });
    env.add_filter("verdict", move |word: &str| safe((markup.verdict)(word)));
    env.add_filter("source", move |v: Value| {
        read::<Source>(v).map(|s| safe(source(&s, markup, &phases)))
    });
    add_numbers(env, markup);
    add_measurements(env, markup);
    add_charts(env);
}

/// Numbers hold digits, signs and our own units only.
fn add_numbers(env: &mut Environment<'_>, markup: &'static Markup) {
    env.add_filter("count", |n: u64| safe(number::count(n)));
    env.add_filter("number", |value: f64| safe(number::number(value)));
    env.add_filter("quantity", move |value: f64, unit: &str| {
        let value = number::with_unit(value, unit);
        safe((markup.text)(&value, CELL_CHARS_MAX))
    });
    env.add_filter("optional_ms", |ms: Option<f64>| {
        safe(ms.map_or_else(|| "-".to_owned(), |ms| number::with_unit(ms, "ms")))
    });
    env.add_filter("percent", |share: f64| safe(number::percent(share)));
    env.add_filter("span", |ns: u64| safe(number::span(Nanos(ns))));
    env.add_filter("time", |ns: u64| safe(Nanos(ns).to_string()));
}

fn add_measurements(env: &mut Environment<'_>, markup: &'static Markup) {
    env.add_filter("system_value", |value: f64, key: &str| {
        safe(number::system_value(key, value))
    });
    env.add_filter("system_change", |value: f64, key: &str| {
        let sign = if value > 0.0 { "+" } else { "" };
        safe(format!("{sign}{}", number::system_value(key, value)))
    });
    env.add_filter("figure", move |v: Value| {
        let mut figure: Figure = read(v)?;
        figure.unit = (markup.text)(&figure.unit, 40);
        Ok::<_, Error>(safe(number::figure(&figure)))
    });
    env.add_filter("stream_value", move |v: Value| {
        read::<StreamLine>(v).map(|line| safe((markup.text)(&number::stream_value(&line), CELL_CHARS_MAX)))
    });
    env.add_filter("quantile", |v: Value, p: f64| {
        read::<Distribution>(v).map(|d| safe(number::quantile(&d, p, true)))
    });
    env.add_filter("bare_quantile", |v: Value, p: f64| {
        read::<Distribution>(v).map(|d| safe(number::quantile(&d, p, false)))
    });
    env.add_filter("largest", |v: Value| {
        read::<Distribution>(v).map(|d| safe(number::largest(&d)))
    });
}

/// Pictures, for markups that can carry SVG.
fn add_charts(env: &mut Environment<'_>) {
    env.add_filter("charts", |v: Value| {
        read::<Section>(v).map(|section| safe(chart::section(&section)))
    });
    env.add_filter("curve_chart", |v: Value| {
        read::<Curve>(v).map(|curve| safe(svg::one(&curve)))
    });
    env.add_filter("memory_chart", |v: Value| {
        read::<MemorySeries>(v).map(|series| safe(chart::memory(&series)))
    });
}

/// Where evidence came from, as a link: ` ([ladder](#phase-3), POST /x)`; empty when it says nothing.
fn source(source: &Source, markup: &Markup, phases: &BTreeMap<u16, String>) -> String {
    let scenario = (markup.text)(&source.scenario, CELL_CHARS_MAX);
    let phase = source.phase.and_then(|index| {
        let name = (markup.text)(phases.get(&index)?, CELL_CHARS_MAX);
        Some((markup.link)(&name, &phase_anchor(index)))
    });
    match (phase, scenario.is_empty()) {
        (Some(phase), true) => format!(" ({phase})"),
        (Some(phase), false) => format!(" ({phase}, {scenario})"),
        (None, true) => String::new(),
        (None, false) => format!(" ({scenario})"),
    }
}

fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Error> {
    T::deserialize(value)
}
