//! Multiple-instance reading of a slide: attention over its patches and one score from what attention pools, with fixed weights. It
//! stands where a trained model would; its weights were chosen by hand and predict nothing.

use super::features::{Patch, SIGNS, Sign, Signs};

/// Typical value and spread of each sign over generated slides, to bring signs to one scale.
const TYPICAL: [(f32, f32); SIGNS] = [
    (0.18, 0.12),
    (0.02, 0.03),
    (0.002, 0.003),
    (0.30, 0.08),
    (0.15, 0.18),
    (0.05, 0.03),
    (0.25, 0.25),
    (0.20, 0.20),
];
/// How much each sign draws attention.
const ATTENTION: Signs = [0.7, 0.5, 0.5, 0.0, -0.8, 0.3, -0.2, -0.3];
/// How much each pooled sign moves the score.
const HEAD: Signs = [-0.6, 1.1, -0.7, 0.2, 0.0, 0.1, 0.3, -0.8];
const BIAS: f32 = 0.0;

/// What the model says about a slide.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Attention per patch; sums to one.
    pub(crate) attention: Vec<f32>,
    /// 0 to 1.
    pub(crate) score: f64,
    /// Signs pooled by attention, in spreads from the typical value.
    pub(crate) pooled: Signs,
}

impl Reading {
    /// Reads the patches.
    pub(crate) fn new(patches: &[Patch]) -> Self {
        let scaled: Vec<Signs> = patches.iter().map(|patch| scale(&patch.signs)).collect();
        let gates: Vec<f32> = scaled
            .iter()
            .map(|signs| 2.0 * (0.35 * dot(signs, &ATTENTION)).tanh())
            .collect();
        let highest = gates.iter().copied().fold(f32::MIN, f32::max);
        let weights: Vec<f32> = gates.iter().map(|gate| (gate - highest).exp()).collect();
        let total: f32 = weights.iter().sum();
        let attention: Vec<f32> = weights.iter().map(|weight| weight / total).collect();
        let mut pooled = [0.0; SIGNS];
        for (signs, weight) in scaled.iter().zip(&attention) {
            for (sum, sign) in pooled.iter_mut().zip(signs) {
                *sum += weight * sign;
            }
        }
        let logit = f64::from(dot(&pooled, &HEAD) + BIAS);
        Self {
            attention,
            score: 1.0 / (1.0 + (-logit).exp()),
            pooled,
        }
    }

    /// Patch indices by falling attention.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.attention.len()).collect();
        order.sort_by(|a, b| self.attention[*b].total_cmp(&self.attention[*a]).then(a.cmp(b)));
        order
    }

    /// One pooled sign.
    pub(crate) fn sign(&self, sign: Sign) -> f32 {
        self.pooled[sign as usize]
    }
}

/// Signs in spreads from their typical value, bounded so that one odd patch cannot drown the rest.
pub(crate) fn scale(signs: &Signs) -> Signs {
    let mut scaled = [0.0; SIGNS];
    for ((scaled, sign), (typical, spread)) in scaled.iter_mut().zip(signs).zip(TYPICAL) {
        *scaled = ((sign - typical) / spread).clamp(-4.0, 4.0);
    }
    scaled
}

fn dot(a: &Signs, b: &Signs) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(nuclei: f32) -> Patch {
        let mut signs = [0.1; SIGNS];
        signs[Sign::Nuclei as usize] = nuclei;
        Patch {
            x: 0,
            y: 0,
            signs,
            embedding: Vec::new(),
        }
    }

    #[test]
    fn attention_is_a_distribution_and_follows_nuclei() {
        let reading = Reading::new(&[patch(0.1), patch(0.5), patch(0.2)]);
        assert!((reading.attention.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(reading.ranked(), [1, 2, 0]);
        assert!((0.0..=1.0).contains(&reading.score));
    }
}
