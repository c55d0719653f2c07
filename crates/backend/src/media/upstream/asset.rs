//! The contents of a video: bytes that the seed, the video and the variant decide, and their ETag, which is their SHA-256.

use std::io::Cursor;

use axum::body::Bytes;
use image::ImageFormat;
use sha2::{Digest as _, Sha256};

use super::weather::mix;
use crate::media::picture;

/// An MP4 file's first box, which says what it is.
const FTYP: &[u8; 32] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
/// Before the free bytes: the box above and the head of the box that holds the rest.
const HEAD: usize = 40;
/// Bytes hashed at a time.
const PIECE: u64 = 64 * 1024;

/// The contents that a video has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The film.
    Video,
    /// One picture.
    Thumbnail,
    /// Pictures in a row.
    Spritesheet,
}

/// One content.
#[derive(Debug)]
pub(super) struct Asset {
    body: Stuff,
    length: u64,
    etag: String,
    content_type: &'static str,
}

#[derive(Debug)]
enum Stuff {
    /// Made when they are sent.
    Film {
        key: u64,
    },
    Picture(Bytes),
}

impl Variant {
    /// By the name in the query.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "video" => Some(Self::Video),
            "thumbnail" => Some(Self::Thumbnail),
            "spritesheet" => Some(Self::Spritesheet),
            _ => None,
        }
    }
}

impl Asset {
    /// Makes and hashes a content. It computes for a while.
    pub(super) fn new(variant: Variant, id: &str, seed: u64, video_bytes: u64) -> image::ImageResult<Self> {
        let key = id
            .bytes()
            .fold(seed ^ 0x006d_6564_6961, |key, byte| mix(key, u64::from(byte)));
        let (body, length, content_type) = match variant {
            Variant::Video => (Stuff::Film { key }, video_bytes, "video/mp4"),
            Variant::Thumbnail => {
                let bytes = encode(key, (160, 90), ImageFormat::WebP)?;
                let length = bytes.len() as u64;
                (Stuff::Picture(bytes), length, "image/webp")
            }
            Variant::Spritesheet => {
                let bytes = encode(key, (640, 90), ImageFormat::Jpeg)?;
                let length = bytes.len() as u64;
                (Stuff::Picture(bytes), length, "image/jpeg")
            }
        };
        let mut asset = Self {
            body,
            length,
            etag: String::new(),
            content_type,
        };
        let mut digest = Sha256::new();
        let mut at = 0;
        while at < length {
            let piece = asset.slice(at, PIECE.min(length - at));
            digest.update(&piece);
            at += piece.len() as u64;
        }
        asset.etag = format!("\"{}\"", picture::hex(&digest.finalize()));
        Ok(asset)
    }

    /// Its bytes from `from`; the caller stays within its length.
    pub(super) fn slice(&self, from: u64, length: u64) -> Bytes {
        match &self.body {
            Stuff::Picture(bytes) => bytes.slice(from as usize..(from + length) as usize),
            Stuff::Film { key } => film(*key, self.length, from, length),
        }
    }

    /// Its length.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Its strong validator, with the quotes.
    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    /// What it is.
    pub(super) fn content_type(&self) -> &'static str {
        self.content_type
    }
}

/// Part of a film: eight bytes of each number that the key and its place decide, after the head.
fn film(key: u64, whole: u64, from: u64, length: u64) -> Bytes {
    let first = from / 8;
    let last = (from + length).div_ceil(8);
    let mut bytes: Vec<u8> = (first..last).flat_map(|k| mix(key, k).to_le_bytes()).collect();
    bytes.drain(..(from - first * 8) as usize);
    bytes.truncate(length as usize);
    if from < HEAD as u64 {
        let mut head = [0_u8; HEAD];
        head[..32].copy_from_slice(FTYP);
        head[32..36].copy_from_slice(&u32::try_from(whole - 32).unwrap_or(0).to_be_bytes());
        head[36..].copy_from_slice(b"mdat");
        for (byte, known) in bytes.iter_mut().zip(&head[from as usize..]) {
            *byte = *known;
        }
    }
    bytes.into()
}

fn encode(key: u64, (width, height): (u32, u32), format: ImageFormat) -> image::ImageResult<Bytes> {
    let mut out = Cursor::new(Vec::new());
    picture::paint(key, width, height).write_to(&mut out, format)?;
    Ok(out.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_parts_of_the_whole() {
        let asset = Asset::new(Variant::Video, "video_1", 1, 5000).unwrap();
        let whole = asset.slice(0, 5000);
        assert_eq!(&whole[4..12], b"ftypisom");
        assert_eq!(&whole[36..40], b"mdat");
        for (from, length) in [(0, 1), (3, 50), (39, 3), (41, 1000), (4999, 1)] {
            assert_eq!(
                asset.slice(from, length),
                whole.slice(from as usize..(from + length) as usize)
            );
        }
        let tag = picture::hex(&Sha256::digest(&whole));
        assert_eq!(asset.etag(), format!("\"{tag}\""));
        assert_ne!(
            asset.etag(),
            Asset::new(Variant::Video, "video_2", 1, 5000).unwrap().etag()
        );
    }

    #[test]
    fn pictures_can_be_read() {
        for variant in [Variant::Thumbnail, Variant::Spritesheet] {
            let asset = Asset::new(variant, "video_1", 1, 5000).unwrap();
            let picture = image::load_from_memory(&asset.slice(0, asset.length())).unwrap();
            assert_eq!(picture.height(), 90);
        }
    }
}
