//! Identifiers and instants as the platform writes them: UUIDs and ISO 8601 with a `Z`.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A UUID of version 4 from so many random bits, in its canonical form.
pub(crate) fn uuid(mut bits: u128) -> String {
    bits = (bits & !(0xf << 76)) | (0x4 << 76);
    bits = (bits & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The UUID that belongs to a seed.
pub(crate) fn seeded_uuid(seed: u64) -> String {
    uuid(ChaCha8Rng::seed_from_u64(seed).random())
}

/// Reads a UUID as Python's `uuid.UUID` does (prefixes, braces and hyphens anywhere) into the canonical form.
pub(crate) fn parse_uuid(text: &str) -> Option<String> {
    let plain = text.replace("urn:", "").replace("uuid:", "");
    let hex = plain.trim_matches(['{', '}']).replace('-', "");
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let hex = hex.to_ascii_lowercase();
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// Now, as the platform writes it.
pub(crate) fn now() -> String {
    let stamp = jiff::Timestamp::now();
    jiff::Timestamp::from_microsecond(stamp.as_microsecond())
        .unwrap_or(stamp)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_made_and_read() {
        let made = seeded_uuid(1);
        assert_eq!(parse_uuid(&made).as_deref(), Some(made.as_str()));
        assert_eq!((&made[14..15], made.len()), ("4", 36));
        assert!("89ab".contains(&made[19..20]));
        let canonical = "12345678-1234-5678-1234-567812345678";
        for text in [
            "{12345678-1234-5678-1234-567812345678}",
            "12345678123456781234567812345678",
            "urn:uuid:12345678-1234-5678-1234-567812345678",
        ] {
            assert_eq!(parse_uuid(text).as_deref(), Some(canonical), "{text}");
        }
        for text in [
            "",
            "yolo11_nano",
            "12345678-1234-5678-1234-56781234567",
            "g2345678123456781234567812345678",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
        assert!(now().ends_with('Z'));
    }
}
