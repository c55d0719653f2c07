//! A small convolutional network with fixed weights: four layers and heads on three grids, from a square of pixels to candidate
//! boxes. Nothing was trained, so what it calls a thing means nothing; but every value follows from the pixels.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::pixels::SIDE;

/// Keeps a flat picture from being blown up to noise.
const FLAT: f32 = 0.05;
/// Rows of a head before those of the classes: energy and the four of the box.
const HEAD_ROWS: usize = 5;

/// The weights of one model.
#[derive(Debug)]
pub(crate) struct Network {
    layers: Vec<Layer>,
    heads: Vec<Head>,
    classes: usize,
}

/// Three by three taps, every second pixel, rectified.
#[derive(Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
}

/// One by one taps, on the grid after some layer.
#[derive(Debug)]
struct Head {
    after: usize,
    stride: f32,
    /// Whether it looks at the whole square as one cell.
    whole: bool,
    inputs: usize,
    weights: Vec<f32>,
}

/// One candidate, in pixels of the square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// Left, top, right, bottom.
    pub(crate) corners: [f32; 4],
    /// Between 0 and 1.
    pub(crate) confidence: f32,
    /// Index of the class.
    pub(crate) class: usize,
}

/// What the network says of one picture.
#[derive(Debug)]
pub(crate) struct Seen {
    /// One for each cell of each grid.
    pub(crate) candidates: Vec<Candidate>,
    /// Confidence of each cell of the finest grid, row by row.
    pub(crate) map: Vec<f32>,
    /// Cells along a side of it.
    pub(crate) map_side: usize,
}

#[derive(Debug)]
struct Features {
    channels: usize,
    side: usize,
    values: Vec<f32>,
}

impl Network {
    /// With so many quarters of the smallest width; the same seed gives the same weights everywhere.
    pub(crate) fn new(seed: u64, width: usize, classes: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let channels = [3, 2 * width, 4 * width, 6 * width, 8 * width];
        let layers: Vec<Layer> = channels
            .windows(2)
            .enumerate()
            .map(|(index, pair)| Layer::new(&mut rng, pair[0], pair[1], index == 0))
            .collect();
        let heads = [(2, false), (3, false), (3, true)]
            .into_iter()
            .map(|(after, whole)| {
                let inputs = channels[after + 1];
                let weights = (0..inputs * (HEAD_ROWS + classes))
                    .map(|_| uniform(&mut rng) / (inputs as f32).sqrt())
                    .collect();
                let stride = if whole {
                    SIDE as f32
                } else {
                    (2_usize << after) as f32
                };
                Head {
                    after,
                    stride,
                    whole,
                    inputs,
                    weights,
                }
            })
            .collect();
        Self {
            layers,
            heads,
            classes,
        }
    }

    /// Runs it. `covered` are the columns and rows of the square that show the picture.
    pub(crate) fn run(&self, planes: &[f32], covered: [usize; 2]) -> Seen {
        let mut grids: Vec<Features> = Vec::with_capacity(self.layers.len());
        let mut input = Features {
            channels: 3,
            side: SIDE,
            values: planes.to_vec(),
        };
        for layer in &self.layers {
            let output = layer.run(&input);
            grids.push(std::mem::replace(&mut input, output));
        }
        grids.push(input);
        let mut candidates = Vec::new();
        let (mut map, mut map_side) = (Vec::new(), 0);
        for (index, head) in self.heads.iter().enumerate() {
            let grid = &grids[head.after + 1];
            let pooled;
            let grid = if head.whole {
                pooled = grid.pooled();
                &pooled
            } else {
                grid
            };
            let found = head.run(grid, covered, self.classes);
            if index == 0 {
                map = found.iter().map(|one| one.confidence).collect();
                map_side = grid.side;
            }
            candidates.extend(found);
        }
        candidates.retain(|one| one.confidence > 0.0);
        Seen {
            candidates,
            map,
            map_side,
        }
    }
}

impl Layer {
    fn new(rng: &mut ChaCha8Rng, inputs: usize, outputs: usize, first: bool) -> Self {
        let taps = 9 * inputs;
        let mut weights: Vec<f32> = (0..outputs * taps)
            .map(|_| uniform(rng) * (6.0 / taps as f32).sqrt())
            .collect();
        // Three of four filters of the first layer look at edges only: their taps add up to nothing.
        for (index, filter) in weights.chunks_mut(taps).enumerate() {
            if first && index % 4 != 0 {
                let mean = filter.iter().sum::<f32>() / taps as f32;
                for tap in filter.iter_mut() {
                    *tap -= mean;
                }
            }
        }
        Self {
            inputs,
            outputs,
            weights,
        }
    }

    fn run(&self, input: &Features) -> Features {
        let side = input.side / 2;
        let mut values = vec![0.0_f32; self.outputs * side * side];
        // The nine neighbours of every second pixel, edges repeated, as rows of a matrix.
        let mut rows = vec![0.0_f32; side * 9 * self.inputs];
        for y in 0..side {
            for channel in 0..self.inputs {
                let plane = &input.values[channel * input.side * input.side..][..input.side * input.side];
                for (tap, row) in rows[channel * 9 * side..][..9 * side]
                    .chunks_mut(side)
                    .enumerate()
                {
                    let from_y = (2 * y + tap / 3).saturating_sub(1).min(input.side - 1);
                    let line = &plane[from_y * input.side..][..input.side];
                    for (x, value) in row.iter_mut().enumerate() {
                        *value = line[(2 * x + tap % 3).saturating_sub(1).min(input.side - 1)];
                    }
                }
            }
            for output in 0..self.outputs {
                let sums = &mut values[(output * side + y) * side..][..side];
                let filter = &self.weights[output * 9 * self.inputs..][..9 * self.inputs];
                for (weight, row) in filter.iter().zip(rows.chunks(side)) {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += weight * value;
                    }
                }
            }
        }
        let squares: f32 = values.iter().map(|value| value.max(0.0).powi(2)).sum();
        let level = (squares / values.len() as f32).sqrt().max(FLAT);
        for value in &mut values {
            *value = value.max(0.0) / level;
        }
        Features {
            channels: self.outputs,
            side,
            values,
        }
    }
}

impl Head {
    fn run(&self, grid: &Features, covered: [usize; 2], classes: usize) -> Vec<Candidate> {
        let cells = grid.side * grid.side;
        let mean_energy = grid.values.iter().sum::<f32>() / cells as f32;
        let mut found = Vec::with_capacity(cells);
        let mut cell = vec![0.0_f32; self.inputs];
        for index in 0..cells {
            for (channel, value) in cell.iter_mut().enumerate() {
                *value = grid.values[channel * cells + index];
            }
            let row = |row: usize| -> f32 {
                let weights = &self.weights[row * self.inputs..][..self.inputs];
                weights
                    .iter()
                    .zip(&cell)
                    .map(|(weight, value)| weight * value)
                    .sum()
            };
            // What stands out from the rest of the picture is a thing; the picture itself always is, by its content.
            let contrast = cell.iter().sum::<f32>() / mean_energy.max(1e-3);
            let logit = if self.whole {
                0.1 + (2.0 * row(0)).exp().ln_1p()
            } else {
                4.0 * (contrast - 1.4) + row(0)
            };
            let (class, _) = (0..classes)
                .map(|class| (class, row(HEAD_ROWS + class)))
                .fold((0, f32::MIN), |best, one| if one.1 > best.1 { one } else { best });
            let (x, y) = ((index % grid.side) as f32, (index / grid.side) as f32);
            let (middle, cell_size) = if self.whole {
                (
                    [covered[0] as f32 / 2.0, covered[1] as f32 / 2.0],
                    [covered[0] as f32 / 4.0, covered[1] as f32 / 4.0],
                )
            } else {
                (
                    [(x + 0.5) * self.stride, (y + 0.5) * self.stride],
                    [self.stride; 2],
                )
            };
            let shown = middle[0] <= covered[0] as f32 && middle[1] <= covered[1] as f32;
            let half = |row: f32, size: f32| size * 1.5 * (0.7 * row.tanh()).exp();
            let shift = |row: f32, size: f32| 0.5 * size * row.tanh();
            let (middle_x, middle_y) = (
                middle[0] + shift(row(1), cell_size[0]),
                middle[1] + shift(row(2), cell_size[1]),
            );
            let (half_x, half_y) = (half(row(3), cell_size[0]), half(row(4), cell_size[1]));
            found.push(Candidate {
                corners: [
                    (middle_x - half_x).clamp(0.0, covered[0] as f32),
                    (middle_y - half_y).clamp(0.0, covered[1] as f32),
                    (middle_x + half_x).clamp(0.0, covered[0] as f32),
                    (middle_y + half_y).clamp(0.0, covered[1] as f32),
                ],
                confidence: if shown { sigmoid(logit) } else { 0.0 },
                class,
            });
        }
        found
    }
}

impl Features {
    /// The mean of each channel, as a grid of one cell.
    fn pooled(&self) -> Self {
        let cells = self.side * self.side;
        let values = self
            .values
            .chunks(cells)
            .map(|plane| plane.iter().sum::<f32>() / cells as f32)
            .collect();
        Self {
            channels: self.channels,
            side: 1,
            values,
        }
    }
}

/// Between 0 and 1, and never either of them.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-8.0 * (logit / 8.0).tanh()).exp())
}

fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    rng.random_range(-1.0..1.0)
}

#[cfg(test)]
mod tests {
    use super::super::pixels::fit;
    use super::*;
    use image::{Rgb, RgbImage};

    fn square(at: u32, colour: [u8; 3]) -> RgbImage {
        let inside = |v: u32| (at..at + 60).contains(&v);
        RgbImage::from_fn(256, 256, |x, y| {
            if inside(x) && inside(y) {
                Rgb(colour)
            } else {
                Rgb([90, 110, 130])
            }
        })
    }

    fn best(seen: &Seen) -> Candidate {
        let small = |one: &&Candidate| one.corners[2] - one.corners[0] < 100.0;
        *seen
            .candidates
            .iter()
            .filter(small)
            .max_by(|a, b| a.confidence.total_cmp(&b.confidence))
            .unwrap()
    }

    #[test]
    fn what_stands_out_is_found_where_it_is() {
        let network = Network::new(7, 4, 80);
        for at in [20, 160] {
            let fitted = fit(&square(at, [250, 40, 40]));
            let found = best(&network.run(&fitted.planes, fitted.covered));
            let middle = f32::midpoint(found.corners[0], found.corners[2]);
            assert!(found.confidence > 0.5, "{found:?}");
            assert!((middle - (at + 30) as f32 / 2.0).abs() < 30.0, "{at}: {found:?}");
        }
    }

    #[test]
    fn the_same_pixels_give_the_same_and_others_do_not() {
        let network = Network::new(7, 4, 80);
        let run = |picture: &RgbImage| {
            let fitted = fit(picture);
            network.run(&fitted.planes, fitted.covered).candidates
        };
        let (red, blue) = (square(50, [250, 0, 0]), square(50, [0, 0, 250]));
        assert_eq!(run(&red), run(&red));
        assert_ne!(run(&red), run(&blue));
        let plain = |value| RgbImage::from_pixel(80, 60, Rgb([value; 3]));
        let (dark, light) = (run(&plain(20)), run(&plain(240)));
        assert_ne!(dark.last(), light.last(), "even plain pictures differ");
    }
}
