//! Pictures that are made: noise in blocks of colour, as PNG. No two are alike, so that no cache of pictures helps.

use image::{ExtendedColorType, ImageEncoder};
use prony_model::ImageSpec;
use rand::Rng;

use crate::PromptError;
use crate::choose::{Stream, rng};

/// Most pixels of a picture, and most pictures of a prompt.
const PIXELS_MAX: u64 = 16 << 20;
const COUNT_MAX: u32 = 64;
/// Side of a block of one colour: a picture then compresses as photographs do, roughly.
const BLOCK: u32 = 4;

/// Whether they can be made.
pub(crate) fn check(spec: ImageSpec, joined: bool) -> Result<(), PromptError> {
    if joined {
        return Err(PromptError::new(
            "images",
            "this endpoint takes text only",
            "use `api = \"chat\"` or `\"responses\"`",
        ));
    }
    if spec.count == 0 || spec.count > COUNT_MAX {
        return Err(PromptError::new(
            "images.count",
            "so many pictures are not made",
            "write 1 to 64",
        ));
    }
    let pixels = u64::from(spec.width) * u64::from(spec.height);
    if pixels == 0 || pixels > PIXELS_MAX {
        return Err(PromptError::new(
            "images.width",
            "a picture has 1 to 16 million pixels",
            "write width and height in pixels, such as 512 and 512",
        ));
    }
    Ok(())
}

/// The pictures of prompt `k`, as PNG files.
pub(crate) fn make(spec: ImageSpec, seed: u64, k: u64) -> Vec<Vec<u8>> {
    let one = |number: u64| {
        let mut rng = rng(seed, Stream::Picture, number);
        let columns = spec.width.div_ceil(BLOCK);
        let colours: Vec<[u8; 3]> = (0..columns * spec.height.div_ceil(BLOCK))
            .map(|_| rng.random())
            .collect();
        let mut pixels = Vec::with_capacity(spec.width as usize * spec.height as usize * 3);
        for y in 0..spec.height {
            for x in 0..spec.width {
                pixels.extend(colours[(y / BLOCK * columns + x / BLOCK) as usize]);
            }
        }
        let mut file = Vec::new();
        image::codecs::png::PngEncoder::new(&mut file)
            .write_image(&pixels, spec.width, spec.height, ExtendedColorType::Rgb8)
            .expect("writing to memory the pixels of a picture cannot fail");
        file
    };
    (0..u64::from(spec.count))
        .map(|n| one(k * u64::from(spec.count) + n))
        .collect()
}

#[cfg(test)]
mod tests {
    use prony_model::ImageSpec;

    use super::{check, make};

    #[test]
    fn pictures_are_real_and_all_different() {
        let spec = ImageSpec {
            count: 2,
            width: 30,
            height: 17,
        };
        assert!(check(spec, false).is_ok() && check(spec, true).is_err());
        let made = [make(spec, 1, 0), make(spec, 1, 1)].concat();
        for (i, file) in made.iter().enumerate() {
            let read = image::load_from_memory(file).unwrap();
            assert_eq!((read.width(), read.height()), (30, 17));
            assert!(made[..i].iter().all(|other| other != file));
        }
        assert_eq!(make(spec, 1, 0), made[..2]);
        assert!(check(ImageSpec { count: 0, ..spec }, false).is_err());
        assert!(check(ImageSpec { width: 0, ..spec }, false).is_err());
    }
}
