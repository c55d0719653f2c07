//! An image and its reductions, one per Deep Zoom level, and JPEG cut-outs of them. It knows pixels and rectangles, not slides.

use image::RgbImage;
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};

use super::dzi::{self, Rect, Size};

/// All levels, from 1x1 (index 0) to the full image.
#[derive(Debug)]
pub(crate) struct Pyramid {
    levels: Vec<RgbImage>,
}

impl Pyramid {
    /// Reduces `full` by two, averaging 2x2 pixels, until one pixel is left.
    pub(crate) fn new(full: RgbImage) -> Self {
        let count = dzi::levels(Size {
            width: full.width(),
            height: full.height(),
        })
        .len();
        let mut levels = vec![full];
        for index in 1..count {
            let half = halve(&levels[index - 1]);
            levels.push(half);
        }
        levels.reverse();
        Self { levels }
    }

    /// The full image.
    pub(crate) fn full(&self) -> &RgbImage {
        &self.levels[self.levels.len() - 1]
    }

    /// Size of the full image.
    pub(crate) fn size(&self) -> Size {
        Size {
            width: self.full().width(),
            height: self.full().height(),
        }
    }

    /// Number of Deep Zoom levels.
    pub(crate) fn level_count(&self) -> usize {
        self.levels.len()
    }

    /// Size of a level.
    pub(crate) fn level_size(&self, level: usize) -> Option<Size> {
        self.levels.get(level).map(|image| Size {
            width: image.width(),
            height: image.height(),
        })
    }

    /// The pixels of `rect` of a level as JPEG.
    pub(crate) fn jpeg(&self, level: usize, rect: Rect, quality: u8) -> Result<Vec<u8>, EncodingError> {
        let image = &self.levels[level];
        let stride = image.width() as usize * 3;
        let mut pixels = Vec::with_capacity(rect.size.width as usize * rect.size.height as usize * 3);
        for y in rect.y..rect.y + rect.size.height {
            let start = y as usize * stride + rect.x as usize * 3;
            pixels.extend_from_slice(&image.as_raw()[start..start + rect.size.width as usize * 3]);
        }
        encode_jpeg(&pixels, rect.size, quality)
    }

    /// The whole image reduced to fit within `side` x `side`, never enlarged, as JPEG.
    pub(crate) fn thumbnail(&self, side: u32, quality: u8) -> Result<Vec<u8>, EncodingError> {
        let full = self.size();
        let scale = (f64::from(side) / f64::from(full.width.max(full.height))).min(1.0);
        let target = Size {
            width: scaled(full.width, scale),
            height: scaled(full.height, scale),
        };
        let source = self
            .levels
            .iter()
            .find(|level| level.width() >= target.width && level.height() >= target.height)
            .unwrap_or_else(|| self.full());
        let image = image::imageops::resize(
            source,
            target.width,
            target.height,
            image::imageops::FilterType::Triangle,
        );
        encode_jpeg(image.as_raw(), target, quality)
    }
}

fn scaled(side: u32, scale: f64) -> u32 {
    ((f64::from(side) * scale).round() as u32).max(1)
}

/// With chroma at half resolution, as Pillow writes by default.
fn encode_jpeg(pixels: &[u8], size: Size, quality: u8) -> Result<Vec<u8>, EncodingError> {
    let narrow = |length: u32| {
        let invalid = |_| EncodingError::BadImageData {
            length: pixels.len(),
            required: usize::MAX,
        };
        u16::try_from(length).map_err(invalid)
    };
    let mut out = Vec::with_capacity(pixels.len() / 8);
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.encode(pixels, narrow(size.width)?, narrow(size.height)?, ColorType::Rgb)?;
    Ok(out)
}

/// Averages 2x2 pixels; the last column and row of an odd side are repeated.
fn halve(image: &RgbImage) -> RgbImage {
    let (width, height) = (image.width().div_ceil(2), image.height().div_ceil(2));
    let (last_x, last_y) = (image.width() as usize - 1, image.height() as usize - 1);
    let stride = image.width() as usize * 3;
    let source = image.as_raw();
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height as usize {
        let top = &source[(2 * y) * stride..][..stride];
        let bottom = &source[(2 * y + 1).min(last_y) * stride..][..stride];
        for x in 0..width as usize {
            let (left, right) = (2 * x * 3, (2 * x + 1).min(last_x) * 3);
            for channel in 0..3 {
                let sum = u16::from(top[left + channel])
                    + u16::from(top[right + channel])
                    + u16::from(bottom[left + channel])
                    + u16::from(bottom[right + channel]);
                out.push(((sum + 2) / 4) as u8);
            }
        }
    }
    RgbImage::from_raw(width, height, out).unwrap_or_else(|| RgbImage::new(width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> Pyramid {
        Pyramid::new(RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x % 256) as u8, (y % 256) as u8, 90])
        }))
    }

    #[test]
    fn levels_have_the_sizes_of_the_arithmetic() {
        let pyramid = gradient(601, 310);
        let wanted = dzi::levels(Size {
            width: 601,
            height: 310,
        });
        let held: Vec<_> = (0..pyramid.level_count())
            .filter_map(|level| pyramid.level_size(level))
            .collect();
        assert_eq!(held, wanted);
    }

    #[test]
    fn a_tile_shows_its_own_pixels() {
        let pyramid = gradient(601, 310);
        let level = pyramid.level_count() - 1;
        let rect = dzi::tile(pyramid.size(), 1, 1).unwrap();
        let tile = image::load_from_memory(&pyramid.jpeg(level, rect, 85).unwrap())
            .unwrap()
            .to_rgb8();
        assert_eq!((tile.width(), tile.height()), (rect.size.width, rect.size.height));
        let (shown, held) = (
            tile.get_pixel(100, 20),
            pyramid.full().get_pixel(rect.x + 100, rect.y + 20),
        );
        for channel in 0..3 {
            assert!(shown[channel].abs_diff(held[channel]) < 24, "{shown:?} {held:?}");
        }
    }

    #[test]
    fn thumbnails_fit_and_never_grow() {
        let pyramid = gradient(600, 300);
        for (side, width, height) in [(512, 512, 256), (9000, 600, 300), (1, 1, 1)] {
            let image = image::load_from_memory(&pyramid.thumbnail(side, 90).unwrap()).unwrap();
            assert_eq!((image.width(), image.height()), (width, height), "{side}");
        }
    }

    #[test]
    fn halving_averages() {
        let image = RgbImage::from_raw(2, 2, vec![0, 0, 0, 100, 0, 0, 0, 40, 0, 100, 0, 7]).unwrap();
        assert_eq!(halve(&image).get_pixel(0, 0).0, [50, 10, 2]);
    }
}
