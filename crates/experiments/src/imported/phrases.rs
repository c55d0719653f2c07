//! How numbers stand in the sentences of these rules.

use crate::wording::digits;

/// A time in seconds, in words: `6.7 ms`, `34.1 s`, `2 h`.
pub(super) fn time(seconds: f64) -> String {
    let (factor, unit) = match seconds.abs() {
        s if s >= 3600.0 => (1.0 / 3600.0, "h"),
        s if s >= 1.0 => (1.0, "s"),
        s if s >= 1e-3 => (1e3, "ms"),
        s if s >= 1e-6 => (1e6, "µs"),
        s if s >= 1e-9 => (1e9, "ns"),
        _ => (1.0, "s"),
    };
    format!("{} {unit}", number(seconds * factor))
}

/// A share in per cent, in words: `86.7 %`.
pub(super) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    let rest = 100.0 - value;
    if rest > 1e-9 && rest < 1.0 {
        // What is not all must not be rounded up to it.
        let decimals = (1.0 - rest.log10().floor()).max(1.0) as usize;
        return format!("{value:.decimals$} %");
    }
    format!("{} %", number(value))
}

/// A number with three digits, without zeros that say nothing: `20`, `0.967`, `1.5`.
pub(super) fn number(value: f64) -> String {
    // 0.028 * 1000 is a hair over 28 in binary.
    if (value - value.round()).abs() <= 1e-9 * value.abs() && value.abs() < 1e15 {
        return format!("{:.0}", value.round());
    }
    let text = if value.abs() < 1e-3 {
        format!("{value:.1e}")
    } else {
        digits(value)
    };
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The p-value of a test: `p = 0.671`.
pub(super) fn p_value(p: f64) -> String {
    if p < 1e-4 {
        "p < 0.0001".to_owned()
    } else {
        format!("p = {}", number(p))
    }
}

/// Memory in MiB, in the unit that fits.
pub(super) fn memory(mib: f64) -> String {
    let (factor, unit) = match mib.abs() {
        m if m >= 1024.0 => (1.0 / 1024.0, "GiB"),
        m if m >= 0.1 || m == 0.0 => (1.0, "MiB"),
        m if m >= 1.0 / 1024.0 => (1024.0, "KiB"),
        _ => (1024.0 * 1024.0, "bytes"),
    };
    format!("{} {unit}", number(mib * factor))
}

/// A time that must not be rounded up: three digits, cut off.
pub(super) fn below(seconds: f64) -> String {
    if !seconds.is_normal() || seconds < 0.0 {
        return time(seconds);
    }
    let unit = 10_f64.powi(seconds.log10().floor() as i32 - 2);
    time((seconds / unit + 1e-9).floor() * unit)
}

/// `request` or `requests`, with its number.
pub(super) fn requests(n: u64) -> String {
    if n == 1 {
        "1 request".to_owned()
    } else {
        format!("{n} requests")
    }
}

#[cfg(test)]
mod tests {
    use super::{below, memory, number, p_value, percent, requests, time};

    #[test]
    fn words() {
        for (seconds, text) in [
            (0.0067, "6.7 ms"),
            (0.028, "28 ms"),
            (60.0, "60 s"),
            (1.5, "1.5 s"),
            (7200.0, "2 h"),
            (0.0, "0 s"),
            (0.000_021_4, "21.4 µs"),
            (3e-8, "30 ns"),
        ] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(percent(26.0 / 30.0), "86.7 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.001), "0.1 %");
        assert_eq!(percent(0.99995), "99.9950 %");
        assert_eq!(percent(0.9951), "99.51 %");
        assert_eq!(number(20.0), "20");
        assert_eq!(number(0.000_012_3), "1.2e-5");
        assert_eq!(p_value(0.671_2), "p = 0.671");
        assert_eq!(p_value(1e-9), "p < 0.0001");
        assert_eq!(memory(71.0), "71 MiB");
        assert_eq!(memory(2048.0), "2 GiB");
        assert_eq!(memory(0.05), "51.2 KiB");
        assert_eq!(memory(0.000_5), "524 bytes");
        assert_eq!(memory(0.0), "0 MiB");
        assert_eq!(requests(1), "1 request");
    }

    #[test]
    fn a_bound_is_cut_and_not_rounded() {
        assert_eq!(below(60.0 / 32.0), "1.87 s");
        assert_eq!(below(0.5), "500 ms");
        assert_eq!(below(0.0), "0 s");
    }
}
