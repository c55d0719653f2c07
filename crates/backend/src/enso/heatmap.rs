//! Attention drawn over the slide as a 512 x 512 PNG.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::dzi::Size;
use super::features::{PATCH, Patch};
use super::mil::Reading;

/// Edge of the drawing in pixels.
pub(crate) const SIDE: usize = 512;

/// Draws; the same slide always gives the same bytes.
pub(crate) fn png(size: Size, patches: &[Patch], reading: &Reading) -> image::ImageResult<Vec<u8>> {
    let field = blurred(&field(size, patches, reading));
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 4);
    for value in field {
        pixels.extend_from_slice(&colour(value));
    }
    let mut out = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Up);
    encoder.write_image(&pixels, SIDE as u32, SIDE as u32, ExtendedColorType::Rgba8)?;
    Ok(out)
}

/// Attention brought to 0..1, each patch filling its square.
fn field(size: Size, patches: &[Patch], reading: &Reading) -> Vec<f32> {
    let highest = reading.attention.iter().copied().fold(f32::MIN, f32::max);
    let lowest = reading.attention.iter().copied().fold(f32::MAX, f32::min);
    let range = (highest - lowest).max(f32::MIN_POSITIVE);
    let mut field = vec![0.0_f32; SIDE * SIDE];
    let span = |start: u32, side: u32| {
        let scale = SIDE as f64 / f64::from(side);
        let end = f64::from(start + PATCH.min(side)) * scale;
        (f64::from(start) * scale) as usize..(end.ceil() as usize).min(SIDE)
    };
    for (patch, weight) in patches.iter().zip(&reading.attention) {
        for row in span(patch.y, size.height) {
            for col in span(patch.x, size.width) {
                field[row * SIDE + col] = (weight - lowest) / range;
            }
        }
    }
    field
}

/// Two passes of a running mean along rows and columns.
fn blurred(field: &[f32]) -> Vec<f32> {
    const REACH: usize = 12;
    let pass = |source: &[f32], step: usize, line: usize| {
        let mut out = vec![0.0_f32; source.len()];
        for start in (0..SIDE).map(|index| index * line) {
            for at in 0..SIDE {
                let (from, to) = (at.saturating_sub(REACH), (at + REACH).min(SIDE - 1));
                let sum: f32 = (from..=to).map(|near| source[start + near * step]).sum();
                out[start + at * step] = sum / (to - from + 1) as f32;
            }
        }
        out
    };
    pass(&pass(field, 1, SIDE), SIDE, 1)
}

/// Blue over green and yellow to red, transparent where there is nothing.
fn colour(value: f32) -> [u8; 4] {
    let ramp = |centre: f32| ((1.5 - (4.0 * value - centre).abs()).clamp(0.0, 1.0) * 255.0) as u8;
    [ramp(3.0), ramp(2.0), ramp(1.0), (value.min(1.0) * 200.0) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_png_of_the_right_size_and_repeats() {
        let patch = |x, nuclei| Patch {
            x,
            y: 0,
            signs: [nuclei; super::super::features::SIGNS],
            embedding: Vec::new(),
        };
        let patches = [patch(0, 0.1), patch(224, 0.5)];
        let draw = || {
            png(
                Size {
                    width: 448,
                    height: 224,
                },
                &patches,
                &Reading::new(&patches),
            )
            .unwrap()
        };
        let image = image::load_from_memory(&draw()).unwrap();
        assert_eq!((image.width(), image.height()), (512, 512));
        assert_eq!(draw(), draw());
    }
}
