//! Pictures: painted ones of known content, and the three ways to fit one into a size. It knows neither files nor tools.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use std::fmt::Write as _;

/// How a picture is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Cover the size, cut off what hangs over.
    Crop,
    /// Fit inside, black bars around.
    Pad,
    /// Stretch.
    Rescale,
}

impl Fit {
    /// By its name.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "pad" => Self::Pad,
            "rescale" => Self::Rescale,
            _ => Self::Crop,
        }
    }
}

/// A picture that the key decides: two gradients and soft stripes.
pub(crate) fn paint(key: u64, width: u32, height: u32) -> RgbImage {
    let part = |shift: u32| (key >> shift & 0xff) as u32;
    let (red, green, blue, stripe) = (part(0), part(8), part(16), part(24) / 4 + 8);
    RgbImage::from_fn(width, height, |x, y| {
        let across = x * 255 / width.max(1);
        let down = y * 255 / height.max(1);
        let wave = (x + y) % stripe * 64 / stripe;
        Rgb([
            ((red + across) % 256) as u8,
            ((green + down) % 256) as u8,
            ((blue + wave + (across * down) / 255) % 256) as u8,
        ])
    })
}

/// A picture in a size.
pub(crate) fn fit(picture: &RgbImage, width: u32, height: u32, fit: Fit) -> RgbImage {
    let resized = |width: u32, height: u32| {
        imageops::resize(picture, width.max(1), height.max(1), FilterType::Lanczos3)
    };
    let (from_width, from_height) = picture.dimensions();
    let wider = u64::from(from_width) * u64::from(height) > u64::from(width) * u64::from(from_height);
    let scaled = |size: u32, over: u32, under: u32| {
        (u64::from(size) * u64::from(over) / u64::from(under.max(1))) as u32
    };
    match fit {
        Fit::Rescale => resized(width, height),
        Fit::Crop => {
            let (new_width, new_height) = if wider {
                (scaled(from_width, height, from_height).max(width), height)
            } else {
                (width, scaled(from_height, width, from_width).max(height))
            };
            let covering = resized(new_width, new_height);
            imageops::crop_imm(
                &covering,
                (new_width - width) / 2,
                (new_height - height) / 2,
                width,
                height,
            )
            .to_image()
        }
        Fit::Pad => {
            // As the observed code's library does: what is smaller is not enlarged.
            let (new_width, new_height) = if from_width <= width && from_height <= height {
                (from_width, from_height)
            } else if wider {
                (width, scaled(from_height, width, from_width))
            } else {
                (scaled(from_width, height, from_height), height)
            };
            let inside = resized(new_width, new_height);
            let mut out = RgbImage::new(width, height);
            let (x, y) = ((width - inside.width()) / 2, (height - inside.height()) / 2);
            imageops::overlay(&mut out, &inside, i64::from(x), i64::from(y));
            out
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fit_gives_the_size() {
        let picture = paint(7, 90, 40);
        for way in [Fit::Crop, Fit::Pad, Fit::Rescale] {
            for (width, height) in [(30, 60), (60, 30), (90, 40), (1, 200)] {
                assert_eq!(fit(&picture, width, height, way).dimensions(), (width, height));
            }
        }
    }

    #[test]
    fn padding_is_black_and_cropping_is_not() {
        let picture = RgbImage::from_pixel(80, 40, Rgb([200, 100, 50]));
        let padded = fit(&picture, 40, 80, Fit::Pad);
        assert_eq!(padded.get_pixel(20, 0), &Rgb([0, 0, 0]));
        assert_eq!(padded.get_pixel(20, 40), &Rgb([200, 100, 50]));
        let cropped = fit(&picture, 40, 80, Fit::Crop);
        assert!(cropped.pixels().all(|pixel| pixel == &Rgb([200, 100, 50])));
    }
}
