//! Width and height of an image from its first bytes, and whether its end is there: PNG and JPEG. Bounded reads; hostile bytes give
//! nothing.

use prony_model::Captured;

/// Width and height in pixels of a PNG or JPEG whose first bytes are given in hexadecimal; `None` when they do not
/// tell.
pub(crate) fn image_size(head_hex: &str) -> Option<(u32, u32)> {
    let bytes = from_hex(head_hex)?;
    png(&bytes).or_else(|| jpeg(&bytes))
}

/// Whether the answer is a PNG or JPEG, kept whole, that ends before its image does. One inside another, as a preview in a
/// photograph, may hide it.
pub(crate) fn is_cut_image(answer: &Captured) -> bool {
    let bytes = answer.bytes.as_slice();
    if bytes.len() as u64 != answer.body_bytes {
        return false;
    }
    let has = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        !has(b"IEND")
    } else {
        bytes.starts_with(b"\xff\xd8\xff") && !has(b"\xff\xd9")
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// The IHDR chunk comes first (PNG specification, 5.6).
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    if rest.get(4..8)? != b"IHDR" {
        return None;
    }
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    Some((number(8)?, number(12)?))
}

/// Segments up to the first start of frame (ITU T.81, B.2.2).
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        let (&[0xff, marker], after) = rest.split_first_chunk::<2>()? else {
            return None;
        };
        if marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*after.first_chunk::<2>()?));
        let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            let number = |at: usize| {
                Some(u32::from(u16::from_be_bytes(
                    after.get(at..at + 2)?.try_into().ok()?,
                )))
            };
            return Some((number(5)?, number(3)?));
        }
        rest = after.get(length.max(2)..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::image_size;

    #[test]
    fn sizes_of_both_formats() {
        let png = "89504e470d0a1a0a0000000d49484452000000fe000001000802000000";
        assert_eq!(image_size(png), Some((254, 256)));
        let jpeg = "ffd8ffe000104a46494600010100000100010000ffdb0003ffffffc0001108010000fe03";
        let fixed = jpeg.replace("ffdb0003ffffff", "ffdb000300ff");
        assert_eq!(image_size(&fixed), Some((254, 256)));
        assert_eq!(image_size("474946383961"), None);
        assert_eq!(image_size("ffd8ffe00010"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let hex = bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
            let framed = format!("ffd8{hex}");
            let _ = image_size(&hex);
            prop_assert!(image_size(&framed).is_none_or(|(w, h)| w <= 65_535 && h <= 65_535));
        }
    }
}
