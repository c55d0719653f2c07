//! The Range header (RFC 9110, section 14): one range of bytes; several are answered with the whole, as is allowed.

/// What a Range header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that we read as a range.
    Whole,
    /// From the first byte to the last, both included.
    Part(u64, u64),
    /// What there is not.
    Nothing,
}

/// Reads it, for a content of `length` bytes.
pub(super) fn read(header: Option<&str>, length: u64) -> Asked {
    header
        .and_then(|text| parse(text, length))
        .unwrap_or(Asked::Whole)
}

fn parse(text: &str, length: u64) -> Option<Asked> {
    let (from, to) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if from.is_empty() {
        let last = number(to)?;
        return Some(if last == 0 || length == 0 {
            Asked::Nothing
        } else {
            Asked::Part(length.saturating_sub(last), length - 1)
        });
    }
    let from = number(from)?;
    let to = if to.is_empty() { u64::MAX } else { number(to)? };
    if to < from {
        return None;
    }
    Some(if from < length {
        Asked::Part(from, to.min(length - 1))
    } else {
        Asked::Nothing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (text, asked) in [
            ("bytes=0-9", Asked::Part(0, 9)),
            ("bytes=90-", Asked::Part(90, 99)),
            ("bytes=90-400", Asked::Part(90, 99)),
            ("bytes=-10", Asked::Part(90, 99)),
            ("bytes=-500", Asked::Part(0, 99)),
            ("bytes=-0", Asked::Nothing),
            ("bytes=100-", Asked::Nothing),
            ("bytes=9-1", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=99999999999999999999-", Asked::Nothing),
        ] {
            assert_eq!(read(Some(text), 100), asked, "{text}");
        }
        assert_eq!(read(None, 100), Asked::Whole);
        assert_eq!(read(Some("bytes=0-"), 0), Asked::Nothing);
    }
}
