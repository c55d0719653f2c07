//! Generated slides: images that look like haematoxylin-and-eosin sections from afar (background, tumour, stroma, necrosis, nuclei) and
//! separate into stains like them. Seeded; no patient ever had this tissue.

use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::stain::{PUBLISHED, normalised};

/// What a generated slide is made of; shares of its area and densities, each 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// Width to height.
    pub(crate) width: f64,
    /// Height relative to the nominal side.
    pub(crate) height: f64,
    /// Share of stroma.
    pub(crate) stroma: f32,
    /// Share of necrosis.
    pub(crate) necrosis: f32,
    /// Density of lymphocytes.
    pub(crate) lymphocytes: f32,
    /// Density of dividing cells.
    pub(crate) mitoses: f32,
}

/// Pixels per block of the coarse maps.
const BLOCK: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    Background,
    Stroma,
    Tumour,
    Necrosis,
}

/// Paints a slide of `width` x `height` pixels.
pub(crate) fn paint(recipe: &Recipe, width: usize, height: usize, seed: u64) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let noise = Noise::new(&mut rng);
    let map = regions(recipe, &noise, width, height, &mut rng);
    let mut haematoxylin = vec![0.0_f32; width * height];
    let mut eosin = vec![0.0_f32; width * height];
    lay_ground(&map, &noise, width, (&mut haematoxylin, &mut eosin));
    stamp_nuclei(recipe, &map, width, height, &mut haematoxylin, &mut rng);
    develop(width, height, &haematoxylin, &eosin)
}

struct Regions {
    columns: usize,
    kinds: Vec<Region>,
}

impl Regions {
    fn at(&self, x: usize, y: usize) -> Region {
        self.kinds[(y / BLOCK) * self.columns + x / BLOCK]
    }
}

fn regions(recipe: &Recipe, noise: &Noise, width: usize, height: usize, rng: &mut ChaCha8Rng) -> Regions {
    let (columns, rows) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
    let (shift_x, shift_y) = (rng.random_range(0.0..200.0_f32), rng.random_range(0.0..200.0_f32));
    let mut kinds = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            let (x, y) = (column as f32 / 70.0, row as f32 / 70.0);
            let (from_centre_x, from_centre_y) = (
                column as f32 / columns as f32 - 0.5,
                row as f32 / rows as f32 - 0.5,
            );
            let reach = 1.25 - 2.6 * (from_centre_x * from_centre_x + from_centre_y * from_centre_y);
            let kind = if reach * (0.55 + 0.5 * noise.at(x * 0.8 + 91.0, y * 0.8 + 17.0)) < 0.48 {
                Region::Background
            } else {
                // Two octaves of value noise, stretched so that shares come out roughly as asked.
                let wave = 0.7 * noise.at(x + shift_x, y + shift_y)
                    + 0.3 * noise.at(3.1 * x + shift_y, 3.1 * y + shift_x);
                let level = ((wave - 0.5) * 1.7 + 0.5).clamp(0.0, 1.0);
                if level < recipe.stroma {
                    Region::Stroma
                } else if level > 1.0 - recipe.necrosis {
                    Region::Necrosis
                } else {
                    Region::Tumour
                }
            };
            kinds.push(kind);
        }
    }
    Regions { columns, kinds }
}

fn lay_ground(map: &Regions, noise: &Noise, width: usize, (haematoxylin, eosin): (&mut [f32], &mut [f32])) {
    for (index, (h, e)) in haematoxylin.iter_mut().zip(eosin.iter_mut()).enumerate() {
        let (x, y) = (index % width, index / width);
        let (fx, fy) = (x as f32, y as f32);
        (*h, *e) = match map.at(x, y) {
            Region::Background => (0.0, 0.01),
            Region::Stroma => (
                0.05,
                0.22 + 0.34 * noise.at((fx + 0.6 * fy) / 60.0, (fy - 0.6 * fx) / 5.0),
            ),
            Region::Tumour => (0.10, 0.16 + 0.12 * noise.at(fx / 7.0, fy / 7.0)),
            Region::Necrosis => (0.03, 0.38 + 0.16 * noise.at(fx / 11.0, fy / 11.0)),
        };
    }
}

/// A nucleus: half axes and tilt in pixels and radians, and its amount of haematoxylin.
struct Nucleus {
    long: f32,
    short: f32,
    tilt: f32,
    amount: f32,
}

fn stamp_nuclei(
    recipe: &Recipe,
    map: &Regions,
    width: usize,
    height: usize,
    plane: &mut [f32],
    rng: &mut ChaCha8Rng,
) {
    let tries = width * height / 190;
    for _ in 0..tries {
        let (x, y) = (rng.random_range(0..width), rng.random_range(0..height));
        let chance: f32 = rng.random();
        let nucleus = match map.at(x, y) {
            Region::Tumour if chance < 0.012 * recipe.mitoses => Nucleus {
                long: rng.random_range(5.0..8.0),
                short: rng.random_range(2.5..4.0),
                tilt: rng.random_range(0.0..3.1),
                amount: 1.35,
            },
            Region::Tumour if chance < 0.75 => Nucleus {
                long: rng.random_range(5.5..8.5),
                short: rng.random_range(4.5..6.5),
                tilt: rng.random_range(0.0..3.1),
                amount: rng.random_range(0.38..0.62),
            },
            Region::Stroma if chance < 0.16 => Nucleus {
                long: rng.random_range(7.0..11.0),
                short: 1.8,
                tilt: -1.03 + rng.random_range(-0.2..0.2),
                amount: 0.5,
            },
            Region::Stroma if chance < 0.16 + 0.75 * recipe.lymphocytes => Nucleus {
                long: 4.0,
                short: rng.random_range(3.4..4.0),
                tilt: 0.0,
                amount: rng.random_range(0.85..1.0),
            },
            Region::Necrosis if chance < 0.05 => Nucleus {
                long: 3.0,
                short: 2.0,
                tilt: rng.random_range(0.0..3.1),
                amount: 0.3,
            },
            _ => continue,
        };
        stamp(&nucleus, x, y, width, height, plane);
    }
}

fn stamp(nucleus: &Nucleus, x: usize, y: usize, width: usize, height: usize, plane: &mut [f32]) {
    let reach = nucleus.long.ceil() as usize;
    let (sin, cos) = nucleus.tilt.sin_cos();
    for row in y.saturating_sub(reach)..(y + reach + 1).min(height) {
        for column in x.saturating_sub(reach)..(x + reach + 1).min(width) {
            let (dx, dy) = (column as f32 - x as f32, row as f32 - y as f32);
            let (along, across) = (
                (dx * cos + dy * sin) / nucleus.long,
                (dy * cos - dx * sin) / nucleus.short,
            );
            let inside = 1.0 - (along * along + across * across);
            if inside > 0.0 {
                let amount = nucleus.amount * (0.55 + 0.45 * (3.0 * inside).min(1.0));
                let held = &mut plane[row * width + column];
                *held = held.max(amount);
            }
        }
    }
}

/// From stain amounts to light: densities add, light falls by powers of ten.
fn develop(width: usize, height: usize, haematoxylin: &[f32], eosin: &[f32]) -> RgbImage {
    const STEPS: f32 = 1024.0;
    let light: Vec<u8> = (0..4096)
        .map(|step| (243.0 * 10f32.powf(-(step as f32) / STEPS)).round() as u8)
        .collect();
    let stains = normalised(PUBLISHED).map(|row| row.map(|value| value as f32));
    let mut pixels = Vec::with_capacity(width * height * 3);
    for (h, e) in haematoxylin.iter().zip(eosin) {
        for (of_h, of_e) in stains[0].iter().zip(&stains[1]) {
            let density = h * of_h + e * of_e;
            pixels.push(light[((density * STEPS) as usize).min(4095)]);
        }
    }
    RgbImage::from_raw(width as u32, height as u32, pixels)
        .unwrap_or_else(|| RgbImage::new(width as u32, height as u32))
}

/// Value noise: random values on a lattice, smoothly interpolated, 0 to 1.
struct Noise {
    lattice: Vec<f32>,
}

const LATTICE: usize = 256;

impl Noise {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        Self {
            lattice: (0..LATTICE * LATTICE).map(|_| rng.random()).collect(),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (cell_x, cell_y) = (x.floor(), y.floor());
        let (fx, fy) = (smooth(x - cell_x), smooth(y - cell_y));
        let (left, top) = (wrap(cell_x), wrap(cell_y));
        let (right, bottom) = ((left + 1) % LATTICE, (top + 1) % LATTICE);
        let upper = mix(
            self.lattice[top * LATTICE + left],
            self.lattice[top * LATTICE + right],
            fx,
        );
        let lower = mix(
            self.lattice[bottom * LATTICE + left],
            self.lattice[bottom * LATTICE + right],
            fx,
        );
        mix(upper, lower, fy)
    }
}

fn wrap(cell: f32) -> usize {
    cell.rem_euclid(LATTICE as f32) as usize % LATTICE
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe {
        width: 1.0,
        height: 0.75,
        stroma: 0.4,
        necrosis: 0.1,
        lymphocytes: 0.5,
        mitoses: 0.5,
    };

    #[test]
    fn the_seed_decides_the_picture() {
        let paint = |seed| paint(&RECIPE, 160, 120, seed).into_raw();
        assert_eq!(paint(1), paint(1));
        assert_ne!(paint(1), paint(2));
    }
}
