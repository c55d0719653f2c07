//! From a picture to the input of a model, and from boxes on the input back to the picture. It knows no runtime.

use image::RgbImage;

use super::super::detect::Detection;
use super::super::network::Candidate;
use super::super::pixels::shrunk;

/// Side of the input where the model leaves it open, in pixels: what YOLO and RT-DETR are exported with.
const SIDE_DEFAULT: usize = 640;
/// Longest side of the input that is served, in pixels: more would be gigabytes of activations for each picture.
const SIDE_MAX: i64 = 4096;
/// What surrounds the picture on the input, as the detectors saw it when they were trained.
const GREY: f32 = 114.0 / 255.0;

/// Where a picture lies on the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Columns to its left and rows above it.
    margin: [f32; 2],
    /// Pixels of the picture per pixel of the input.
    scale: [f32; 2],
    /// Width and height of the picture.
    picture: [f32; 2],
}

/// Height and width of the input from the axes that the model declares, -1 for open ones.
pub(super) fn input_px(axes: &[i64]) -> Result<[usize; 2], String> {
    let wanted = "a picture of [1, 3, height, width] is needed";
    let &[batch, channels, height, width] = axes else {
        return Err(format!("its input is declared {axes:?}; {wanted}"));
    };
    if width == 3 && channels != 3 {
        return Err(format!(
            "its input is declared {axes:?}, with the channels last; {wanted}"
        ));
    }
    let fits = |axis: i64, size: i64| axis == size || axis < 0;
    if !fits(batch, 1) || !fits(channels, 3) {
        return Err(format!("its input is declared {axes:?}; {wanted}"));
    }
    let side = |axis: i64| match axis {
        // Open: any size will do.
        i64::MIN..=-1 => Ok(SIDE_DEFAULT),
        1..=SIDE_MAX => Ok(axis as usize),
        _ => Err(format!(
            "its input is declared {axes:?}; a side has 1 to {SIDE_MAX} pixels"
        )),
    };
    Ok([side(height)?, side(width)?])
}

/// Scales the picture into an input of so many rows and columns, keeps its proportions, puts it in the middle and surrounds it with
/// grey: three planes, red first, from 0 to 1.
pub(super) fn letterbox(picture: &RgbImage, [rows, columns]: [usize; 2]) -> (Vec<f32>, Placed) {
    let (width, height) = picture.dimensions();
    let ratio = (columns as f32 / width as f32).min(rows as f32 / height as f32);
    let fitted = |length: u32, most: usize| ((length as f32 * ratio).round() as usize).clamp(1, most);
    let (across, down) = (fitted(width, columns), fitted(height, rows));
    let (left, top) = ((columns - across) / 2, (rows - down) / 2);
    let area = rows * columns;
    let mut planes = vec![GREY; 3 * area];
    for (x, y, pixel) in shrunk(picture, across as u32, down as u32).enumerate_pixels() {
        let at = (top + y as usize) * columns + left + x as usize;
        for (channel, value) in pixel.0.iter().enumerate() {
            planes[channel * area + at] = f32::from(*value) / 255.0;
        }
    }
    let placed = Placed {
        margin: [left as f32, top as f32],
        scale: [width as f32 / across as f32, height as f32 / down as f32],
        picture: [width as f32, height as f32],
    };
    (planes, placed)
}

impl Placed {
    /// A box on the input as one on the picture, cut at its edges.
    pub(super) fn back(&self, found: &Candidate, outlined: bool) -> Detection {
        let on_picture = |value: f32, axis: usize| {
            ((value - self.margin[axis]) * self.scale[axis]).clamp(0.0, self.picture[axis])
        };
        let [left, top, right, bottom] = found.corners;
        let (left, top) = (on_picture(left, 0), on_picture(top, 1));
        let (right, bottom) = (on_picture(right, 0), on_picture(bottom, 1));
        Detection {
            bbox: [left, top, right - left, bottom - top],
            confidence: found.confidence,
            class: found.class,
            outline: if outlined {
                vec![[left, top], [right, top], [right, bottom], [left, bottom]]
            } else {
                Vec::new()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_size_of_the_input_is_the_declared_one_or_the_usual_one() {
        assert_eq!(input_px(&[1, 3, 320, 416]), Ok([320, 416]));
        assert_eq!(input_px(&[-1, -1, -1, -1]), Ok([640, 640]));
        assert_eq!(input_px(&[1, 3, -1, 64]), Ok([640, 64]));
        for (axes, says) in [
            (&[1, 3, 640][..], "[1, 3, height, width]"),
            (&[1, 640, 640, 3], "channels last"),
            (&[1, 1, 28, 28], "[1, 3, height, width]"),
            (&[8, 3, 64, 64], "[1, 3, height, width]"),
            (&[1, 3, 0, 64], "1 to 4096"),
            (&[1, 3, 64, 5000], "1 to 4096"),
        ] {
            let told = input_px(axes).unwrap_err();
            assert!(told.contains(says), "{axes:?}: {told}");
        }
    }

    #[test]
    fn a_wide_picture_lies_in_the_middle_with_grey_above_and_below() {
        let picture = RgbImage::from_pixel(128, 64, Rgb([255, 0, 51]));
        let (planes, placed) = letterbox(&picture, [64, 64]);
        let value = |channel: usize, x: usize, y: usize| planes[(channel * 64 + y) * 64 + x];
        for (y, red, blue) in [(15, GREY, GREY), (16, 1.0, 0.2), (47, 1.0, 0.2), (48, GREY, GREY)] {
            assert!((value(0, 0, y) - red).abs() < 1e-6, "row {y}");
            assert!((value(2, 63, y) - blue).abs() < 1e-6, "row {y}");
        }
        let on_input = Candidate {
            corners: [16.0, 24.0, 24.0, 32.0],
            confidence: 0.5,
            class: 1,
        };
        let found = placed.back(&on_input, true);
        assert_eq!(found.bbox.to_vec(), [32.0, 16.0, 16.0, 16.0]);
        assert_eq!(found.outline[2].to_vec(), [48.0, 32.0]);
        let beyond = Candidate {
            corners: [-9.0, 0.0, 99.0, 64.0],
            ..on_input
        };
        assert_eq!(placed.back(&beyond, false).bbox.to_vec(), [0.0, 0.0, 128.0, 64.0]);
    }

    #[test]
    fn a_tall_and_a_small_picture_fill_the_input() {
        let (planes, placed) = letterbox(&RgbImage::from_pixel(2, 4, Rgb([255; 3])), [8, 16]);
        let white = planes[..8 * 16]
            .iter()
            .filter(|value| (**value - 1.0).abs() < 1e-6)
            .count();
        assert_eq!(white, 4 * 8);
        assert_eq!(placed.margin.to_vec(), [6.0, 0.0]);
        assert_eq!(letterbox(&RgbImage::new(1, 4000), [64, 64]).0.len(), 3 * 64 * 64);
    }
}
