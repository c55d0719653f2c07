//! The slides on offer: generated ones, or the images of a folder. All pixel work that can be done once is done here, before the
//! server is ready.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ImageReader, RgbImage};
use jpeg_encoder::EncodingError;

use super::features::{Patch, patches};
use super::heatmap;
use super::mil::Reading;
use super::pyramid::Pyramid;
use super::stain::Separation;
use super::tissue::{Recipe, paint};
use crate::error::BackendError;

/// Most images taken from a folder.
const SLIDES_MAX: usize = 64;
/// Most pixels of one image.
const PIXELS_MAX: u64 = 100_000_000;
/// Longest id taken from a file name, in characters.
const ID_MAX: usize = 128;

/// One slide and everything computed from it.
#[derive(Debug)]
pub(crate) struct Slide {
    /// What clients call it.
    pub(crate) id: String,
    /// `1` responder, `0` not, when known.
    pub(crate) label: Option<&'static str>,
    /// Where its pixels came from.
    pub(crate) vendor: &'static str,
    /// Its pixels.
    pub(crate) pyramid: Pyramid,
    /// Its patches of tissue; at least one.
    pub(crate) patches: Vec<Patch>,
    /// What the model reads from them.
    pub(crate) reading: Reading,
    thumbnail: OnceLock<Vec<u8>>,
    heatmap: OnceLock<Vec<u8>>,
}

/// All slides, in a fixed order.
#[derive(Debug)]
pub(crate) struct Cohort {
    slides: Vec<Slide>,
}

/// The generated slides: id, label as in the observed data set, and what they are made of.
const GENERATED: [(&str, Option<&str>, Recipe); 6] = [
    ("slide_000", None, recipe(1.0, 0.75, 0.35, 0.04, 0.60, 0.3)),
    (
        "TCGA-04-1360-01A-01-TS1",
        Some("1"),
        recipe(0.91, 0.69, 0.50, 0.02, 0.95, 0.1),
    ),
    (
        "TCGA-09-2056-01B-01-TS1",
        Some("1"),
        recipe(0.87, 0.82, 0.42, 0.06, 0.80, 0.2),
    ),
    (
        "TCGA-13-1489-01A-01-TS1",
        Some("0"),
        recipe(0.76, 0.97, 0.12, 0.22, 0.10, 0.9),
    ),
    (
        "TCGA-29-1691-01A-01-BS1",
        Some("0"),
        recipe(1.12, 0.61, 0.22, 0.12, 0.05, 0.7),
    ),
    (
        "TCGA-61-1730-01A-01-BS1",
        Some("0"),
        recipe(0.66, 0.99, 0.28, 0.30, 0.20, 0.5),
    ),
];

const fn recipe(
    width: f64,
    height: f64,
    stroma: f32,
    necrosis: f32,
    lymphocytes: f32,
    mitoses: f32,
) -> Recipe {
    Recipe {
        width,
        height,
        stroma,
        necrosis,
        lymphocytes,
        mitoses,
    }
}

impl Slide {
    fn new(
        id: String,
        label: Option<&'static str>,
        vendor: &'static str,
        image: RgbImage,
        separation: &Separation,
    ) -> Self {
        let patches = patches(&image, separation);
        let reading = Reading::new(&patches);
        Self {
            id,
            label,
            vendor,
            pyramid: Pyramid::new(image),
            patches,
            reading,
            thumbnail: OnceLock::new(),
            heatmap: OnceLock::new(),
        }
    }

    /// The thumbnail of the default size.
    pub(crate) fn thumbnail(&self, side: u32) -> Result<Vec<u8>, EncodingError> {
        kept(&self.thumbnail, || self.pyramid.thumbnail(side, 90))
    }

    /// The attention drawing.
    pub(crate) fn heatmap(&self) -> image::ImageResult<Vec<u8>> {
        kept(&self.heatmap, || {
            heatmap::png(self.pyramid.size(), &self.patches, &self.reading)
        })
    }
}

impl Cohort {
    /// Paints the six generated slides, `side` pixels wide or so.
    pub(crate) fn generated(side: usize, seed: u64) -> Self {
        let separation = Separation::new();
        let slides = in_parallel(GENERATED.len(), |index| {
            let (id, label, recipe) = &GENERATED[index];
            let width = (recipe.width * side as f64).round().max(1.0) as usize;
            let height = (recipe.height * side as f64).round().max(1.0) as usize;
            let seed = seed
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(index as u64);
            Slide::new(
                (*id).to_owned(),
                *label,
                "generated",
                paint(recipe, width, height, seed),
                &separation,
            )
        });
        Self { slides }
    }

    /// Reads every JPEG and PNG of a folder; a file that cannot be read is an error, not a gap.
    pub(crate) fn from_folder(folder: &Path) -> Result<Self, BackendError> {
        let files = image_files(folder)?;
        let separation = Separation::new();
        let slides: Vec<Result<Slide, BackendError>> = in_parallel(files.len(), |index| {
            let path = &files[index];
            let image = read_image(path)?;
            let id = path.file_stem().map_or_else(String::new, |stem| {
                stem.to_string_lossy().chars().take(ID_MAX).collect()
            });
            Ok(Slide::new(id, None, "file", image, &separation))
        });
        let slides = slides.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (index, slide) in slides.iter().enumerate() {
            if slides[..index].iter().any(|other| other.id == slide.id) {
                return Err(refuse(
                    folder,
                    format!("two files would be slide '{}'; rename one", slide.id),
                ));
            }
        }
        Ok(Self { slides })
    }

    /// All slides.
    pub(crate) fn slides(&self) -> &[Slide] {
        &self.slides
    }

    /// The slide of that id.
    pub(crate) fn find(&self, id: &str) -> Option<&Slide> {
        self.slides.iter().find(|slide| slide.id == id)
    }
}

fn kept<E>(cell: &OnceLock<Vec<u8>>, make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    if let Some(bytes) = cell.get() {
        return Ok(bytes.clone());
    }
    let bytes = make()?;
    Ok(cell.get_or_init(|| bytes).clone())
}

fn image_files(folder: &Path) -> Result<Vec<PathBuf>, BackendError> {
    let entries = std::fs::read_dir(folder).map_err(|error| refuse(folder, error.to_string()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| refuse(folder, error.to_string()))?.path();
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        if path.is_file() && matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png")) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(refuse(folder, "no .jpg, .jpeg or .png file in it".to_owned()));
    }
    if files.len() > SLIDES_MAX {
        return Err(refuse(
            folder,
            format!("{} images; at most {SLIDES_MAX} are served", files.len()),
        ));
    }
    Ok(files)
}

fn read_image(path: &Path) -> Result<RgbImage, BackendError> {
    let reader = || ImageReader::open(path)?.with_guessed_format();
    let (width, height) = reader()
        .map_err(|error| refuse(path, error.to_string()))?
        .into_dimensions()
        .map_err(|error| refuse(path, error.to_string()))?;
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(refuse(
            path,
            format!(
                "{width} x {height} pixels; at most {} megapixels are served",
                PIXELS_MAX / 1_000_000
            ),
        ));
    }
    let image = reader()
        .map_err(|error| refuse(path, error.to_string()))?
        .decode();
    Ok(image.map_err(|error| refuse(path, error.to_string()))?.to_rgb8())
}

fn refuse(path: &Path, reason: String) -> BackendError {
    BackendError::Slides {
        folder: path.to_owned(),
        reason,
    }
}

/// Runs `make(0..count)` on as many threads as the machine has processors and returns the results in order.
fn in_parallel<T: Send>(count: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(count);
    let next = AtomicUsize::new(0);
    let mut built: Vec<(usize, T)> = std::thread::scope(|scope| {
        let work = || {
            let mut built = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return built;
                }
                built.push((index, make(index)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(built) => built,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    built.sort_by_key(|(index, _)| *index);
    built.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_slides_differ_in_label_and_score() {
        let cohort = Cohort::generated(1024, 1);
        assert_eq!(cohort.slides().len(), 6);
        let scores: Vec<f64> = cohort.slides().iter().map(|slide| slide.reading.score).collect();
        let positive = scores.iter().filter(|score| **score > 0.5).count();
        assert!((1..=5).contains(&positive), "{scores:?}");
        for (index, score) in scores.iter().enumerate() {
            assert!(
                scores[..index].iter().all(|other| (other - score).abs() > 1e-6),
                "{scores:?}"
            );
        }
    }

    #[test]
    fn a_folder_of_images_becomes_slides() {
        let folder = std::env::temp_dir().join(format!("prony-backend-slides-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(
            Cohort::from_folder(&folder)
                .unwrap_err()
                .to_string()
                .contains("no .jpg")
        );
        RgbImage::from_pixel(300, 240, image::Rgb([150, 90, 150]))
            .save(folder.join("biopsy.png"))
            .unwrap();
        let cohort = Cohort::from_folder(&folder).unwrap();
        assert_eq!(cohort.find("biopsy").map(|slide| slide.patches.len()), Some(1));
        std::fs::write(folder.join("broken.jpg"), b"no picture").unwrap();
        assert!(
            Cohort::from_folder(&folder)
                .unwrap_err()
                .to_string()
                .contains("broken.jpg")
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(Cohort::from_folder(&folder).is_err());
    }
}
