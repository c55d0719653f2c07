//! What a patch looks like, in numbers: eight readable signs and a 384-value embedding of stain histograms, gradients and local binary
//! patterns. Pure functions of pixels.

use image::RgbImage;

use super::stain::Separation;

/// Edge of a patch in pixels.
pub(crate) const PATCH: u32 = 224;
/// Values of an embedding.
pub(crate) const DIMENSIONS: usize = 384;
/// Number of signs.
pub(crate) const SIGNS: usize = 8;

/// Readable properties of a patch, in the order of [`Sign`].
pub(crate) type Signs = [f32; SIGNS];

/// The index of each sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Share of pixels with nuclear stain.
    Nuclei,
    /// Share of dark nuclear stain, as in lymphocytes.
    Dark,
    /// Share of very dark nuclear stain, as in dividing cells.
    VeryDark,
    /// Mean eosin.
    Eosin,
    /// Share without tissue.
    Pale,
    /// Mean gradient of the nuclear stain.
    Texture,
    /// Coherence of the gradient of eosin: 1 when all fibres run one way.
    Fibres,
    /// Share of eosin without nuclei.
    Acellular,
}

/// One patch of a slide.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    /// Left edge at full resolution.
    pub(crate) x: u32,
    /// Top edge at full resolution.
    pub(crate) y: u32,
    /// Its signs.
    pub(crate) signs: Signs,
    /// Its embedding, of length one.
    pub(crate) embedding: Vec<f32>,
}

/// The patches of a slide that hold tissue, row by row; all of them when none does, and one when the image is smaller than a patch.
pub(crate) fn patches(image: &RgbImage, separation: &Separation) -> Vec<Patch> {
    let side = |length: u32| PATCH.min(length);
    let (width, height) = (side(image.width()), side(image.height()));
    let mut all = Vec::new();
    for row in 0..(image.height() / height) {
        for col in 0..(image.width() / width) {
            all.push(measure(
                image,
                separation,
                col * width,
                row * height,
                width,
                height,
            ));
        }
    }
    let tissue: Vec<Patch> = all
        .iter()
        .filter(|patch| patch.signs[Sign::Pale as usize] < 0.6)
        .cloned()
        .collect();
    if tissue.is_empty() { all } else { tissue }
}

/// Measures one rectangle.
pub(crate) fn measure(
    image: &RgbImage,
    separation: &Separation,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
) -> Patch {
    let planes = Planes::new(image, separation, x, y, width as usize, height as usize);
    let gradients = planes.gradients();
    Patch {
        x,
        y,
        signs: planes.signs(&gradients),
        embedding: planes.embedding(&gradients),
    }
}

/// Squared Euclidean distance, as a flat FAISS index gives it.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Cosine of the angle between two vectors; 0 when one of them is zero.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let lengths = norm(a) * norm(b);
    if lengths > 0.0 {
        (dot / lengths).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

struct Planes {
    width: usize,
    height: usize,
    haematoxylin: Vec<f32>,
    eosin: Vec<f32>,
    pale: usize,
}

struct Gradients {
    histogram: [f32; 64],
    patterns: [f32; 128],
    mean: f32,
    coherence: f32,
}

impl Planes {
    fn new(image: &RgbImage, separation: &Separation, x: u32, y: u32, width: usize, height: usize) -> Self {
        let stride = image.width() as usize * 3;
        let (mut haematoxylin, mut eosin, mut pale) = (
            Vec::with_capacity(width * height),
            Vec::with_capacity(width * height),
            0,
        );
        for row in 0..height {
            let start = (y as usize + row) * stride + x as usize * 3;
            for pixel in image.as_raw()[start..start + width * 3].chunks_exact(3) {
                let pixel = [pixel[0], pixel[1], pixel[2]];
                let [h, e, _] = separation.amounts(pixel);
                haematoxylin.push(h);
                eosin.push(e);
                pale += usize::from(separation.darkness(pixel) < 0.12);
            }
        }
        Self {
            width,
            height,
            haematoxylin,
            eosin,
            pale,
        }
    }

    fn signs(&self, gradients: &Gradients) -> Signs {
        let pixels = self.haematoxylin.len() as f32;
        let share = |holds: &dyn Fn(f32, f32) -> bool| {
            self.haematoxylin
                .iter()
                .zip(&self.eosin)
                .filter(|(h, e)| holds(**h, **e))
                .count() as f32
                / pixels
        };
        let mut signs = [0.0; SIGNS];
        signs[Sign::Nuclei as usize] = share(&|h, _| h > 0.25);
        signs[Sign::Dark as usize] = share(&|h, _| (0.70..1.05).contains(&h));
        signs[Sign::VeryDark as usize] = share(&|h, _| h >= 1.05);
        signs[Sign::Eosin as usize] = self.eosin.iter().sum::<f32>() / pixels;
        signs[Sign::Pale as usize] = self.pale as f32 / pixels;
        signs[Sign::Texture as usize] = gradients.mean;
        signs[Sign::Fibres as usize] = gradients.coherence;
        signs[Sign::Acellular as usize] = share(&|h, e| h < 0.15 && e > 0.36);
        signs
    }

    /// Gradients and local binary patterns of the nuclear stain, coherence of the structure tensor of eosin.
    fn gradients(&self) -> Gradients {
        let mut out = Gradients {
            histogram: [0.0; 64],
            patterns: [0.0; 128],
            mean: 0.0,
            coherence: 0.0,
        };
        if self.width < 3 || self.height < 3 {
            return out;
        }
        let (mut xx, mut yy, mut xy, mut sum) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
        let w = self.width;
        for row in 1..self.height - 1 {
            for col in 1..w - 1 {
                let at = row * w + col;
                let h = &self.haematoxylin;
                let (gx, gy) = (h[at + 1] - h[at - 1], h[at + w] - h[at - w]);
                let size = (gx * gx + gy * gy).sqrt();
                sum += size;
                out.histogram[octant(gx, gy) * 8 + ((size * 10.0) as usize).min(7)] += 1.0;
                let around = [
                    at - w - 1,
                    at - w,
                    at - w + 1,
                    at + 1,
                    at + w + 1,
                    at + w,
                    at + w - 1,
                    at - 1,
                ];
                let code = around.iter().enumerate().fold(0_usize, |code, (bit, at)| {
                    code | (usize::from(h[*at] > h[row * w + col]) << bit)
                });
                // A pattern and its negative count as one.
                out.patterns[code.min(255 - code)] += 1.0;
                let (ex, ey) = (
                    self.eosin[at + 1] - self.eosin[at - 1],
                    self.eosin[at + w] - self.eosin[at - w],
                );
                xx += ex * ex;
                yy += ey * ey;
                xy += ex * ey;
            }
        }
        out.mean = sum / ((self.height - 2) * (w - 2)) as f32;
        let energy = xx + yy;
        out.coherence = if energy > 0.0 {
            ((xx - yy).powi(2) + 4.0 * xy * xy).sqrt() / energy
        } else {
            0.0
        };
        out
    }

    fn embedding(&self, gradients: &Gradients) -> Vec<f32> {
        let (mut h_histogram, mut e_histogram, mut joint) = ([0.0_f32; 64], [0.0_f32; 64], [0.0_f32; 64]);
        for (h, e) in self.haematoxylin.iter().zip(&self.eosin) {
            let (h_bin, e_bin) = (bin(*h, 1.6, 64), bin(*e, 1.0, 64));
            h_histogram[h_bin] += 1.0;
            e_histogram[e_bin] += 1.0;
            joint[(h_bin / 8) * 8 + e_bin / 8] += 1.0;
        }
        let mut embedding = Vec::with_capacity(DIMENSIONS);
        for block in [
            &h_histogram[..],
            &e_histogram,
            &joint,
            &gradients.histogram,
            &gradients.patterns,
        ] {
            // Square roots of shares: Euclidean distance then is the Hellinger distance of the histograms.
            let total: f32 = block.iter().sum::<f32>().max(1.0);
            embedding.extend(block.iter().map(|count| (count / total).sqrt()));
        }
        let length = norm(&embedding).max(f32::MIN_POSITIVE);
        for value in &mut embedding {
            *value /= length;
        }
        embedding
    }
}

fn bin(value: f32, max: f32, bins: usize) -> usize {
    ((value.max(0.0) / max * bins as f32) as usize).min(bins - 1)
}

/// Which eighth of the circle a gradient points to, without trigonometry.
fn octant(x: f32, y: f32) -> usize {
    usize::from(x < 0.0) * 4 + usize::from(y < 0.0) * 2 + usize::from(x.abs() < y.abs())
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(pixel: [u8; 3]) -> Patch {
        measure(
            &RgbImage::from_pixel(224, 224, image::Rgb(pixel)),
            &Separation::new(),
            0,
            0,
            224,
            224,
        )
    }

    #[test]
    fn embeddings_have_length_one_and_384_values() {
        for pixel in [[255, 255, 255], [0, 0, 0], [120, 60, 130]] {
            let patch = flat(pixel);
            assert_eq!(patch.embedding.len(), DIMENSIONS);
            assert!((norm(&patch.embedding) - 1.0).abs() < 1e-5);
            assert!(patch.signs.iter().all(|sign| sign.is_finite()));
        }
        assert!(distance(&flat([255; 3]).embedding, &flat([120, 60, 130]).embedding) > 0.5);
    }

    #[test]
    fn signs_tell_paper_from_nuclei() {
        let (white, blue) = (flat([250, 250, 250]), flat([70, 60, 130]));
        assert!(white.signs[Sign::Pale as usize] > 0.99 && blue.signs[Sign::Pale as usize] < 0.01);
        assert!(blue.signs[Sign::Nuclei as usize] > 0.99);
    }

    #[test]
    fn stripes_are_coherent() {
        let stripes = RgbImage::from_fn(64, 64, |x, _| {
            image::Rgb(if x % 8 < 4 {
                [230, 120, 170]
            } else {
                [240, 200, 220]
            })
        });
        let patch = measure(&stripes, &Separation::new(), 0, 0, 64, 64);
        assert!(patch.signs[Sign::Fibres as usize] > 0.95);
    }

    #[test]
    fn tiny_images_are_one_patch() {
        let separation = Separation::new();
        assert_eq!(patches(&RgbImage::new(1, 1), &separation).len(), 1);
        assert_eq!(
            patches(
                &RgbImage::from_pixel(450, 230, image::Rgb([150, 90, 150])),
                &separation
            )
            .len(),
            2
        );
    }
}
