//! From the bytes of a JPEG or PNG to the network's input. It knows neither models nor requests.

use std::io::Cursor;

use image::imageops::{FilterType, resize, thumbnail};
use image::{ImageFormat, ImageReader, Limits, RgbImage};

/// Side of the network's input.
pub(crate) const SIDE: usize = 128;
/// Longest side that is decoded.
pub(crate) const SIDE_MAX: u32 = 8192;
/// Most pixels of one picture.
const PIXELS_MAX: u32 = 32 * 1024 * 1024;
/// Most memory that one picture may take while it is decoded.
const DECODED_MAX: u64 = 256 * 1024 * 1024;

/// What the head of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// `JPEG` or `PNG`.
    pub(crate) format: &'static str,
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
}

/// Reads the head only: the pixels may still be damaged.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let reader = reader(bytes)?;
    let format = match reader.format()? {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        _ => return None,
    };
    let (width, height) = reader.into_dimensions().ok()?;
    let fits = |side: u32| (1..=SIDE_MAX).contains(&side);
    (fits(width) && fits(height) && width * height <= PIXELS_MAX).then_some(Head {
        format,
        width,
        height,
    })
}

/// Decodes all of it.
pub(crate) fn decode(bytes: &[u8]) -> Option<RgbImage> {
    head(bytes)?;
    Some(reader(bytes)?.decode().ok()?.to_rgb8())
}

fn reader(bytes: &[u8]) -> Option<ImageReader<Cursor<&[u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_MAX);
    reader.limits(limits);
    Some(reader)
}

/// A picture fitted into the network's square.
#[derive(Debug)]
pub(crate) struct Fitted {
    /// Three planes of `SIDE` by `SIDE`, around zero.
    pub(crate) planes: Vec<f32>,
    /// Columns and rows that the picture covers, from the top left; its edge is repeated beyond.
    pub(crate) covered: [usize; 2],
    /// Pixels of the picture per pixel of the square.
    pub(crate) scale: [f32; 2],
}

/// Scales the longer side to the square's, keeps the proportions and normalises.
pub(crate) fn fit(picture: &RgbImage) -> Fitted {
    let (width, height) = picture.dimensions();
    let longer = width.max(height) as f32;
    let side = SIDE as u32;
    let fitted = |length: u32| ((length as f32 * SIDE as f32 / longer).round() as u32).clamp(1, side);
    let (columns, rows) = (fitted(width), fitted(height));
    let small = shrunk(picture, columns, rows);
    let mut planes = vec![0.0; 3 * SIDE * SIDE];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let pixel = small.get_pixel((x as u32).min(columns - 1), (y as u32).min(rows - 1));
            for (channel, value) in pixel.0.iter().enumerate() {
                planes[(channel * SIDE + y) * SIDE + x] = f32::from(*value) / 127.5 - 1.0;
            }
        }
    }
    Fitted {
        planes,
        covered: [columns as usize, rows as usize],
        scale: [width as f32 / columns as f32, height as f32 / rows as f32],
    }
}

/// Scaled to so many columns and rows, in the proportions of the picture.
pub(crate) fn shrunk(picture: &RgbImage, columns: u32, rows: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    if width.max(height) >= 2 * columns.max(rows) {
        thumbnail(picture, columns, rows)
    } else {
        resize(picture, columns, rows, FilterType::Triangle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn encoded(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_pixel(width, height, Rgb([255, 0, 128]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn both_formats_are_read_and_others_refused() {
        let png = encoded(ImageFormat::Png, 30, 20);
        let jpeg = encoded(ImageFormat::Jpeg, 31, 21);
        assert_eq!(
            head(&png),
            Some(Head {
                format: "PNG",
                width: 30,
                height: 20
            })
        );
        assert_eq!(
            head(&jpeg),
            Some(Head {
                format: "JPEG",
                width: 31,
                height: 21
            })
        );
        assert_eq!(decode(&png).unwrap().dimensions(), (30, 20));
        for bytes in [&b"GIF89a\x01\0\x01\0\0\0\0"[..], b"", b"not an image"] {
            assert!(head(bytes).is_none() && decode(bytes).is_none());
        }
        assert!(head(&png[..png.len() / 2]).is_some(), "its head is whole");
        assert!(decode(&png[..png.len() / 2]).is_none(), "its pixels are not");
    }

    #[test]
    fn proportions_are_kept_and_the_edge_repeated() {
        let fitted = fit(&RgbImage::from_pixel(1920, 1080, Rgb([255, 0, 0])));
        assert_eq!(fitted.covered, [128, 72]);
        assert!((fitted.scale[0] - 15.0).abs() < 1e-6 && (fitted.scale[1] - 15.0).abs() < 1e-6);
        assert!(
            fitted.planes[..SIDE * SIDE]
                .iter()
                .all(|red| (red - 1.0).abs() < 0.02)
        );
        assert!(
            fitted.planes[SIDE * SIDE..]
                .iter()
                .all(|other| (other + 1.0).abs() < 0.02)
        );
        assert_eq!(fit(&RgbImage::new(1, 4000)).covered, [1, 128]);
    }
}
