//! Dates of traces as text to a number, and nothing else. No clock.

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (Hinnant, chrono-compatible date algorithms).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn seconds(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<i64> {
    let ((year, month, day), (hour, minute, second)) = (date, time);
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    sound.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// `HH:MM:SS` as three numbers.
fn clock(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(':').map(number);
    let time = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(time)
}

/// Nanoseconds since 1970 of an RFC 3339 date and time; a blank may stand for the `T`, and no zone means UTC.
pub(crate) fn rfc3339(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-').map(number);
    let date = (parts.next()??, parts.next()??, parts.next()??);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let offset_s = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign, ..] => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let offset = number(hours)? * 3600 + number(minutes)? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
    };
    let (time, fraction) = time.trim_end().split_once('.').unwrap_or((time.trim_end(), ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: i128 = format!("{:0<9}", &fraction[..fraction.len().min(9)])
        .parse()
        .ok()?;
    let whole = i128::from(seconds(date, clock(time)?)? - offset_s);
    Some(whole * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_of_traces() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("1970-01-01 00:00:01.5"), Some(1_500_000_000));
        assert_eq!(rfc3339("1970-01-01T02:00:00.000000001+02:00"), Some(1));
        assert_eq!(
            rfc3339("2023-11-16 18:15:46.6805900"),
            Some(1_700_158_546_680_590_000)
        );
        for bad in [
            "",
            "now",
            "1970-01-01",
            "1970-01-01T00:00",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00.xZ",
            "é970-01-01T00:00:00Z",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }
}
