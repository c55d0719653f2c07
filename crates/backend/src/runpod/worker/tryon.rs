//! The picture: the garment laid over the part of the person where it belongs, with a grain that the seed decides. It knows no HTTP
//! and no time.

use std::io::Cursor;
use std::path::{Component, Path, PathBuf};

use axum::http::StatusCode;
use image::imageops::{self, FilterType};
use image::{ImageFormat, ImageReader, Limits, RgbImage};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Size of a result: an eighth of the 768 x 1024 px of the model.
const SIZE: (u32, u32) = (96, 128);
const SIDE_MAX: u32 = 8192;
const DECODED_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Order {
    /// Picture of the person, from the top of the volume.
    pub(crate) person: String,
    /// Picture of the garment.
    pub(crate) garment: String,
    /// Where the garment belongs.
    pub(crate) cloth_type: &'static str,
    /// Decides the grain; -1 leaves it to chance.
    pub(crate) seed: i64,
}

/// Why there is no picture.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The status that says so.
    pub(crate) status: StatusCode,
    /// In words.
    pub(crate) why: String,
}

/// Makes the picture, as a PNG.
pub(crate) fn picture(volume: &Path, order: &Order, chance: u64) -> Result<Vec<u8>, Refused> {
    let missing = || Refused {
        status: StatusCode::NOT_FOUND,
        why: "Input image not found on network volume.".to_owned(),
    };
    let person = inside(volume, &order.person).ok_or_else(missing)?;
    let garment = inside(volume, &order.garment).ok_or_else(missing)?;
    let mut person = read(&person, "person_image_path")?;
    let (top, height) = match order.cloth_type {
        "lower" => (68, 52),
        "overall" => (28, 92),
        _ => (28, 44),
    };
    let garment = imageops::resize(
        &read(&garment, "garment_image_path")?,
        48,
        height,
        FilterType::Triangle,
    );
    let seed = u64::try_from(order.seed).unwrap_or(chance);
    let mut grain = ChaCha8Rng::seed_from_u64(seed);
    for (x, y, cloth) in garment.enumerate_pixels() {
        let at = person.get_pixel_mut(x + 24, y + top);
        for (channel, cloth) in at.0.iter_mut().zip(cloth.0) {
            // A quarter of the person shows through.
            let blend = u16::from(*channel) + 3 * u16::from(cloth);
            *channel = (blend / 4).saturating_add(grain.random_range(0..4)).min(255) as u8;
        }
    }
    let mut png = Cursor::new(Vec::new());
    person
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            why: error.to_string(),
        })?;
    Ok(png.into_inner())
}

/// Puts two pictures into an empty volume, so that there is something to try on: `inputs/person.png` and `inputs/garment.png`.
pub(crate) fn samples(volume: &Path) -> std::io::Result<()> {
    let person = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let (right, down) = (x.abs_diff(48), y.abs_diff(16));
        let body = y > 28 && right < 24;
        let head = right * right + down * down < 144;
        image::Rgb(if body || head {
            [224, 172, 140]
        } else {
            [96, 128, 160]
        })
    });
    let garment = RgbImage::from_fn(64, 64, |x, y| {
        image::Rgb(if (x / 8 + y / 8) % 2 == 0 {
            [200, 32, 48]
        } else {
            [240, 240, 232]
        })
    });
    let inputs = volume.join("inputs");
    std::fs::create_dir_all(&inputs)?;
    for (name, picture) in [("person.png", person), ("garment.png", garment)] {
        picture.save(inputs.join(name)).map_err(std::io::Error::other)?;
    }
    Ok(())
}

/// A name for a result.
pub(crate) fn result_name(chance: u128) -> String {
    format!("results/result_{chance:032x}.png")
}

/// Writes a result where nobody sees it.
pub(crate) fn write(volume: &Path, name: &str, png: &[u8]) -> Result<(), Refused> {
    std::fs::create_dir_all(volume.join("results"))
        .and_then(|()| std::fs::write(unseen(volume, name), png))
        .map_err(|error| unwritten(&error))
}

/// Lets a written result be seen, whole.
pub(crate) fn show(volume: &Path, name: &str) -> Result<(), Refused> {
    std::fs::rename(unseen(volume, name), volume.join(name)).map_err(|error| unwritten(&error))
}

/// Names that begin so are no objects.
fn unseen(volume: &Path, name: &str) -> PathBuf {
    volume.join(name.replace('/', "/.~"))
}

fn unwritten(error: &std::io::Error) -> Refused {
    Refused {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        why: error.to_string(),
    }
}

/// The file of that name, if it lies in the volume and is one.
fn inside(volume: &Path, name: &str) -> Option<PathBuf> {
    let plain = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let path = volume.join(name);
    (plain && path.is_file()).then_some(path)
}

fn read(path: &Path, field: &str) -> Result<RgbImage, Refused> {
    let unreadable = || Refused {
        status: StatusCode::BAD_REQUEST,
        why: format!("{field} is no picture that can be read."),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_MAX_BYTES);
    let mut reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|_| unreadable())?;
    reader.limits(limits);
    let picture = reader.decode().map_err(|_| unreadable())?.into_rgb8();
    Ok(imageops::resize(&picture, SIZE.0, SIZE.1, FilterType::Triangle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        samples(folder.path()).unwrap();
        std::fs::write(folder.path().join("text.png"), "no picture").unwrap();
        folder
    }

    fn order(person: &str, cloth_type: &'static str, seed: i64) -> Order {
        Order {
            person: person.to_owned(),
            garment: "inputs/garment.png".to_owned(),
            cloth_type,
            seed,
        }
    }

    #[test]
    fn the_picture_follows_the_order() {
        let volume = volume();
        let make = |cloth_type, seed, chance| {
            picture(
                volume.path(),
                &order("inputs/person.png", cloth_type, seed),
                chance,
            )
            .unwrap()
        };
        assert_eq!(make("upper", 5, 1), make("upper", 5, 2));
        assert_ne!(make("upper", 5, 1), make("upper", 6, 1));
        assert_ne!(make("upper", 5, 1), make("lower", 5, 1));
        assert_ne!(make("upper", -1, 1), make("upper", -1, 2));
    }

    #[test]
    fn only_pictures_of_the_volume_are_read() {
        let volume = volume();
        let refused = |person| {
            picture(volume.path(), &order(person, "upper", 1), 1)
                .unwrap_err()
                .status
                .as_u16()
        };
        assert_eq!(
            ["nope.png", "", "/etc/hosts", "inputs/../text.png", "text.png"].map(refused),
            [404, 404, 404, 404, 400]
        );
    }
}
