//! Amounts of memory and long times as people write them. Computes nothing.

use crate::wording::digits;

/// `214 KiB`, `8.00 GiB`.
pub(crate) fn size(bytes: f64) -> String {
    let (value, unit) = scaled(bytes);
    format!("{} {unit}", digits(value))
}

/// Two ends of an interval in the unit of its upper end: `198 to 231 KiB`.
pub(crate) fn sizes((low, high): (f64, f64)) -> String {
    let (upper, unit) = scaled(high);
    let divisor = if upper.abs() > 0.0 { high / upper } else { 1.0 };
    format!("{} to {} {unit}", digits(low / divisor), digits(upper))
}

fn scaled(bytes: f64) -> (f64, &'static str) {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value.abs() < 1024.0 {
            return (value, unit);
        }
        value /= 1024.0;
    }
    (value, "TiB")
}

/// `40 s`, `12 min`, `1.60 h`, `3.20 days`, `more than 10 years`.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{} s", digits(s)),
        s if s < 7_200.0 => format!("{} min", digits(s / 60.0)),
        s if s < 2.0 * 86_400.0 => format!("{} h", digits(s / 3_600.0)),
        s if s < 3_652.5 * 86_400.0 => format!("{} days", digits(s / 86_400.0)),
        _ => "more than 10 years".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{size, sizes, time};

    #[test]
    fn amounts_have_the_unit_that_fits() {
        assert_eq!(size(512.0), "512 B");
        assert_eq!(size(214.0 * 1024.0), "214 KiB");
        assert_eq!(size(8.0 * 1024.0 * 1024.0 * 1024.0), "8.00 GiB");
        assert_eq!(sizes((198.0 * 1024.0, 231.0 * 1024.0)), "198 to 231 KiB");
        assert_eq!(sizes((-10.0, 0.0)), "-10.0 to 0.0000 B");
        assert_eq!(time(5_760.0), "96.0 min");
        assert_eq!(time(f64::INFINITY), "more than 10 years");
        assert_eq!(time(3.0 * 86_400.0), "3.00 days");
    }
}
