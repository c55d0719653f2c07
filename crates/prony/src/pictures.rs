//! Test pictures made from numbers, and the forms that carry them. It must not know who looks at them.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use prony_model::{ImageFormat, ImageKind, ImageSpec};

/// What separates the parts of a form.
pub(crate) const BOUNDARY: &str = "prony-boundary-5f1d2c7a";

/// Pictures that were drawn already: a suite asks for the same ones again and again.
static DRAWN: Mutex<Vec<(ImageSpec, Vec<u8>)>> = Mutex::new(Vec::new());
/// Most of them that are kept.
const DRAWN_MAX: usize = 64;

/// A picture in its format.
pub(crate) fn encoded(spec: &ImageSpec) -> Vec<u8> {
    let lock = || DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, bytes)) = lock().iter().find(|(known, _)| known == spec) {
        return bytes.clone();
    }
    let bytes = encode(spec);
    let mut drawn = lock();
    if drawn.len() < DRAWN_MAX {
        drawn.push((spec.clone(), bytes.clone()));
    }
    bytes
}

/// Draws a picture and writes it in its format.
fn encode(spec: &ImageSpec) -> Vec<u8> {
    let picture = draw(spec);
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    let written =
        match spec.format {
            ImageFormat::Png => image::codecs::png::PngEncoder::new(&mut bytes).write_image(
                picture.as_raw(),
                width,
                height,
                ExtendedColorType::Rgb8,
            ),
            ImageFormat::Jpeg => image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85)
                .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8),
        };
    written.expect("writing to memory does not fail");
    bytes
}

/// Draws a picture.
pub(crate) fn draw(spec: &ImageSpec) -> RgbImage {
    let (width, height) = (spec.width.max(1), spec.height.max(1));
    let mut random = Random::new(spec.seed, spec.kind as u64);
    let ground = [random.byte() / 2, random.byte() / 2, random.byte() / 2];
    let tilt = [random.byte(), random.byte(), random.byte()];
    let flat = spec.kind == ImageKind::Simple;
    let mut picture = RgbImage::from_fn(width, height, |x, y| {
        let along = if flat {
            0
        } else {
            (x * 128 / width + y * 127 / height) as u8
        };
        Rgb([0, 1, 2].map(|c| ground[c].saturating_add((u16::from(tilt[c]) * u16::from(along) / 255) as u8)))
    });
    let shapes = if flat { 3 } else { 24 };
    for k in 0..shapes {
        shape(&mut picture, &mut random, k % 2 == 1 && !flat);
    }
    if spec.kind == ImageKind::Complex {
        for pixel in picture.pixels_mut() {
            let noise = random.byte();
            for channel in &mut pixel.0 {
                *channel = channel.wrapping_add(noise & 0x7f);
            }
        }
    }
    picture
}

/// One disc or box of a colour of its own.
fn shape(picture: &mut RgbImage, random: &mut Random, is_box: bool) {
    let (width, height) = picture.dimensions();
    let radius = (width.min(height) / 12).max(2) + random.below(width.min(height) / 8 + 1);
    let (x, y) = (random.below(width), random.below(height));
    let colour = Rgb([random.byte() | 0x40, random.byte(), random.byte()]);
    for row in y.saturating_sub(radius)..(y + radius).min(height) {
        for column in x.saturating_sub(radius)..(x + radius).min(width) {
            let (dx, dy) = (column.abs_diff(x), row.abs_diff(y));
            if is_box || dx * dx + dy * dy <= radius * radius {
                picture.put_pixel(column, row, colour);
            }
        }
    }
}

/// One part of a form.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Name of the field.
    pub name: String,
    /// Set for a file.
    pub filename: Option<String>,
    /// Its type, if it has one.
    pub content_type: Option<String>,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The body of a form and its content type.
pub(crate) fn form(parts: &[Part]) -> (Vec<u8>, String) {
    // A quote or line break within a name would end it early.
    let quoted = |text: &str| text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(&part.name)
        );
        if let Some(filename) = &part.filename {
            let _ = write!(head, "; filename=\"{}\"", quoted(filename));
        }
        if let Some(kind) = &part.content_type {
            let _ = write!(head, "\r\nContent-Type: {kind}");
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={BOUNDARY}"))
}

/// A small generator (SplitMix64): pictures need no better one, and must be the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// A number from 0 to below `end`.
    fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end.max(1))) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{ImageFormat, ImageKind, ImageSpec};

    use super::{Part, draw, encoded, form};

    fn spec(kind: ImageKind, format: ImageFormat, seed: u64) -> ImageSpec {
        ImageSpec {
            width: 64,
            height: 48,
            kind,
            format,
            seed,
        }
    }

    #[test]
    fn pictures_are_what_they_say_and_differ_by_seed() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            for kind in [ImageKind::Simple, ImageKind::Medium, ImageKind::Complex] {
                let bytes = encoded(&spec(kind, format, 1));
                let read = image::load_from_memory(&bytes).expect("a picture");
                assert_eq!((read.width(), read.height()), (64, 48));
                assert_eq!(bytes, encoded(&spec(kind, format, 1)), "the same again");
                assert_ne!(bytes, encoded(&spec(kind, format, 2)), "{kind:?}");
            }
        }
    }

    #[test]
    fn the_kinds_hold_more_and_more() {
        let steps = |kind| {
            let picture = draw(&spec(kind, ImageFormat::Png, 3));
            let row: Vec<_> = picture.pixels().collect();
            row.windows(2).filter(|pair| pair[0] != pair[1]).count()
        };
        let [simple, medium, complex] = [ImageKind::Simple, ImageKind::Medium, ImageKind::Complex].map(steps);
        assert!(simple < medium && medium < complex, "{simple} {medium} {complex}");
    }

    #[test]
    fn names_of_a_form_cannot_break_out() {
        let part = Part {
            name: "a\"\r\nx: y".into(),
            filename: Some("f.png".into()),
            content_type: Some("image/png".into()),
            bytes: vec![1, 2],
        };
        let (body, kind) = form(&[part]);
        let text = String::from_utf8_lossy(&body);
        assert!(
            text.contains("name=\"a%22%0D%0Ax: y\"; filename=\"f.png\"\r\nContent-Type: image/png\r\n\r\n")
        );
        assert!(kind.ends_with("prony-boundary-5f1d2c7a"));
    }
}
