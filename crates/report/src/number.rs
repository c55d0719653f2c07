//! Numbers for people: three significant digits, with unit, interval and n. Never more digits than were measured.

use prony_model::{Distribution, Figure, Nanos};

use crate::streams::StreamLine;

/// A number: whole ones with thin separators, others with three significant digits.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "not a number".to_owned();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return grouped(value as i64);
    }
    let size = value.abs();
    if size >= 999.5 {
        grouped(value.round() as i64)
    } else if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.9995 {
        format!("{value:.2}")
    } else if size >= 0.000_1 {
        // Three digits after the leading zeros.
        let decimals = (3 - size.log10().floor() as i32 - 1).max(3) as usize;
        let text = format!("{value:.decimals$}");
        text.trim_end_matches('0').to_owned()
    } else {
        format!("{value:.2e}")
    }
}

/// A whole number with commas between thousands.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count with commas between thousands.
pub(crate) fn count(value: u64) -> String {
    grouped(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A share of 1 in per cent, with two digits of its distance from the nearer of 0 % and 100 %: what is not quite all is never
/// rounded to it, nor what is little to nothing.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let distance = value.abs().min((100.0 - value.abs()).abs());
    // A sum of shares is beside a whole number by an error of rounding.
    let is_whole = value == 0.0 || (value.abs() > 0.5 && (value - value.round()).abs() < 1e-12);
    if is_whole || distance >= 9.95 {
        format!("{value:.0} %")
    } else if distance >= 0.995 {
        format!("{value:.1} %")
    } else if value.abs() < 1e-4 {
        format!("{value:.1e} %")
    } else {
        let decimals = (1 - distance.log10().floor() as i32) as usize;
        let text = format!("{value:.decimals$}");
        format!("{} %", text.trim_end_matches('0'))
    }
}

/// A value with its unit.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" | "ratio" => number(value),
        "share" => percent(value),
        "B" => bytes(value),
        unit if unit.starts_with("1/") => format!("{}{}", number(value), &unit[1..]),
        _ => format!("{} {unit}", number(value)),
    }
}

/// A figure in one line: `31.2 ms [30.1, 32.4], n = 200`.
pub(crate) fn figure(figure: &Figure) -> String {
    let value = with_unit(figure.value, &figure.unit);
    let interval = interval(figure.ci, &figure.unit);
    let n = if figure.n > 0 {
        format!(", n = {}", count(figure.n))
    } else {
        String::new()
    };
    format!("{value}{interval}{n}")
}

/// A figure of a stream in a table cell: `50.1 ms [49.9, 50.2]`, or a dash when it has no value.
pub(crate) fn stream_value(line: &StreamLine) -> String {
    let Some(value) = line.value else {
        return "-".to_owned();
    };
    format!(
        "{}{}",
        with_unit(value, &line.unit),
        interval(line.ci, &line.unit)
    )
}

/// An interval in brackets after its value; empty without one. Its ends bear no unit, except where each chooses its own.
fn interval(ci: Option<(f64, f64)>, unit: &str) -> String {
    let Some((lo, hi)) = ci else {
        return String::new();
    };
    let end = match unit {
        "share" => percent,
        "B" => bytes,
        _ => number,
    };
    format!(" [{}, {}]", end(lo), end(hi))
}

/// A quantile in a table cell: `31.2ms [30.1ms, 32.4ms]`, `needs >= 299`, or a dash when nothing was observed.
pub(crate) fn quantile(distribution: &Distribution, p: f64, interval: bool) -> String {
    if distribution.n == 0 {
        return "-".to_owned();
    }
    match distribution.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9) {
        None => "-".to_owned(),
        Some(q) if q.needs_n > 0 => format!("needs >= {}", count(q.needs_n)),
        Some(q) if interval => format!("{} [{}, {}]", q.value, q.lo, q.hi),
        Some(q) => q.value.to_string(),
    }
}

/// The largest of a distribution, or a dash when nothing was observed.
pub(crate) fn largest(distribution: &Distribution) -> String {
    if distribution.n == 0 {
        "-".to_owned()
    } else {
        distribution.max.to_string()
    }
}

/// A value of a system snapshot by its key, whose last part names the unit.
pub(crate) fn system_value(key: &str, value: f64) -> String {
    if key.ends_with("_bytes") {
        bytes(value)
    } else if key.ends_with("_share") {
        percent(value)
    } else if key.ends_with("_s") {
        format!("{} s", number(value))
    } else {
        number(value)
    }
}

/// Bytes in the binary unit that fits.
pub(crate) fn bytes(value: f64) -> String {
    let (size, unit) = binary_unit(value);
    format!("{} {unit}", number(value / size))
}

/// The binary unit that fits so many bytes: its size in bytes, and its name.
pub(crate) fn binary_unit(bytes: f64) -> (f64, &'static str) {
    [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
        .into_iter()
        .map(|(power, name)| (2f64.powi(power), name))
        .find(|(size, _)| bytes.abs() >= *size)
        .unwrap_or((1.0, "B"))
}

/// A span for sentences: `1 min 43 s`, `12.5 s`.
pub(crate) fn span(time: Nanos) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 60.0 {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} s", number((seconds * 10.0).round() / 10.0))
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Distribution, Figure, Nanos, Quantile, Source};

    use super::{bytes, figure, number, percent, quantile, span};

    #[test]
    fn three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (4312.0, "4,312"),
            (-1_234_567.0, "-1,234,567"),
            (1234.5, "1,235"),
            (123.45, "123"),
            (12.345, "12.3"),
            (1.2345, "1.23"),
            (0.12345, "0.123"),
            (0.001_234, "0.00123"),
            (0.5, "0.5"),
            (f64::NAN, "not a number"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn shares_and_bytes() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.0587), "5.9 %");
        assert_eq!(percent(0.0006), "0.06 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.95), "95 %");
        assert_eq!(percent(2.5), "250 %");
        assert_eq!(percent(-0.12), "-12 %");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(74_448_896.0), "71 MiB");
    }

    #[test]
    fn what_is_not_all_is_never_told_as_all_nor_what_is_little_as_nothing() {
        for (share, text) in [
            (0.995, "99.5 %"),
            (0.9333, "93.3 %"),
            (0.9996, "99.96 %"),
            (0.999_999_75, "99.999975 %"),
            (1.0 - 1e-12, "99.9999999999 %"),
            (1.004, "100.4 %"),
            (-0.995, "-99.5 %"),
            (0.003, "0.3 %"),
            (0.000_048, "0.0048 %"),
            (0.000_002, "0.0002 %"),
            (2.5e-9, "2.5e-7 %"),
        ] {
            assert_eq!(percent(share), text, "{share}");
        }
        // Ten tenths are a hair less than one.
        assert_eq!(percent((0..10).map(|_| 0.1).sum()), "100 %");
    }

    #[test]
    fn an_interval_of_bytes_is_in_the_units_of_bytes() {
        let f = Figure {
            label: "growth per request".into(),
            value: 4096.0,
            unit: "B".into(),
            ci: Some((950.0, 4240.0)),
            n: 0,
            source: Source::default(),
        };
        assert_eq!(figure(&f), "4 KiB [950 B, 4.14 KiB]");
    }

    #[test]
    fn figures_carry_interval_and_n() {
        let mut f = Figure {
            label: "p50".into(),
            value: 31.24,
            unit: "ms".into(),
            ci: Some((30.0, 32.41)),
            n: 1200,
            source: Source::default(),
        };
        assert_eq!(figure(&f), "31.2 ms [30, 32.4], n = 1,200");
        f.ci = None;
        f.n = 0;
        f.unit = "share".into();
        f.value = 0.5;
        assert_eq!(figure(&f), "50 %");
    }

    #[test]
    fn a_quantile_without_data_prints_no_number() {
        let q = |needs_n| Quantile {
            p: 0.99,
            value: Nanos(5_000_000),
            lo: Nanos(4_000_000),
            hi: Nanos(6_000_000),
            needs_n,
        };
        let d = |needs_n| Distribution {
            n: 10,
            quantiles: vec![q(needs_n)],
            ..Distribution::default()
        };
        assert_eq!(quantile(&d(0), 0.99, true), "5.00ms [4.00ms, 6.00ms]");
        assert_eq!(quantile(&d(299), 0.99, true), "needs >= 299");
        assert_eq!(quantile(&Distribution::default(), 0.99, true), "-");
    }

    #[test]
    fn spans_in_words() {
        assert_eq!(span(Nanos::from_secs_f64(12.46)), "12.5 s");
        assert_eq!(span(Nanos::from_secs_f64(123.4)), "2 min 3 s");
    }
}
