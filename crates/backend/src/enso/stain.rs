//! Stain separation by colour deconvolution (A. C. Ruifrok and D. A. Johnston, "Quantification of histochemical staining by color
//! deconvolution", Anal. Quant. Cytol. Histol. 23, 2001): optical densities add linearly, so three stain vectors and their inverse turn
//! a pixel into three stain amounts.

/// Optical density of haematoxylin, eosin and DAB in red, green and blue, as published; rows are stains.
pub(crate) const PUBLISHED: [[f64; 3]; 3] = [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]];

/// Turns pixels into amounts of haematoxylin, eosin and a residual.
#[derive(Debug)]
pub(crate) struct Separation {
    density: [f32; 256],
    inverse: [[f32; 3]; 3],
}

impl Separation {
    /// With the published vectors, normalised to length one.
    pub(crate) fn new() -> Self {
        let inverse = invert(normalised(PUBLISHED)).unwrap_or([[0.0; 3]; 3]);
        let mut density = [0.0; 256];
        for (level, density) in density.iter_mut().enumerate() {
            *density = -((level.max(1) as f32) / 255.0).log10();
        }
        Self {
            density,
            inverse: inverse.map(|row| row.map(|value| value as f32)),
        }
    }

    /// Amounts of haematoxylin, eosin and the residual in one pixel.
    pub(crate) fn amounts(&self, pixel: [u8; 3]) -> [f32; 3] {
        let density = pixel.map(|level| self.density[usize::from(level)]);
        let mut amounts = [0.0; 3];
        for (stain, amount) in amounts.iter_mut().enumerate() {
            *amount = density[0] * self.inverse[0][stain]
                + density[1] * self.inverse[1][stain]
                + density[2] * self.inverse[2][stain];
        }
        amounts
    }

    /// Sum of the optical densities of a pixel: near zero where there is no tissue.
    pub(crate) fn darkness(&self, pixel: [u8; 3]) -> f32 {
        pixel.iter().map(|level| self.density[usize::from(*level)]).sum()
    }
}

/// Rows scaled to length one.
pub(crate) fn normalised(rows: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    rows.map(|row| {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.map(|value| value / length)
    })
}

/// The inverse of a 3x3 matrix by cofactors; `None` when it is singular.
pub(crate) fn invert(m: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let cofactor = |row: usize, col: usize| {
        let (r1, r2, c1, c2) = ((row + 1) % 3, (row + 2) % 3, (col + 1) % 3, (col + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|col| m[0][col] * cofactor(0, col)).sum();
    if determinant.abs() < 1e-12 {
        return None;
    }
    let mut inverse = [[0.0; 3]; 3];
    for (row, line) in inverse.iter_mut().enumerate() {
        for (col, value) in line.iter_mut().enumerate() {
            *value = cofactor(col, row) / determinant;
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_times_matrix_is_identity() {
        for m in [PUBLISHED, normalised(PUBLISHED)] {
            let inverse = invert(m).unwrap();
            for (row, line) in m.iter().enumerate() {
                for col in 0..3 {
                    let value: f64 = line
                        .iter()
                        .zip(&inverse)
                        .map(|(factor, line)| factor * line[col])
                        .sum();
                    assert!((value - f64::from(u8::from(row == col))).abs() < 1e-12);
                }
            }
        }
        assert!(invert([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 0.0]]).is_none());
    }

    /// `numpy.linalg.inv([[.65,.70,.29],[.07,.99,.11],[.27,.57,.78]])`, the matrix that scikit-image calls `hed_from_rgb`.
    #[test]
    fn inverse_agrees_with_numpy() {
        let golden = [
            [1.877_982_74, -1.007_678_69, -0.556_115_82],
            [-0.065_908_06, 1.134_730_37, -0.135_521_8],
            [-0.601_907_36, -0.480_414_19, 1.573_588_07],
        ];
        let inverse = invert(PUBLISHED).unwrap();
        for (found, wanted) in inverse.iter().flatten().zip(golden.iter().flatten()) {
            assert!((found - wanted).abs() < 1e-7, "{found} {wanted}");
        }
    }

    #[test]
    fn a_mixture_comes_apart_again() {
        let separation = Separation::new();
        let rows = normalised(PUBLISHED);
        for (h, e) in [(0.0, 0.0), (0.6, 0.0), (0.0, 0.5), (0.5, 0.3)] {
            let pixel =
                [0, 1, 2].map(|c| (255.0 * 10f64.powf(-(h * rows[0][c] + e * rows[1][c]))).round() as u8);
            let [found_h, found_e, residual] = separation.amounts(pixel);
            assert!(
                (f64::from(found_h) - h).abs() < 0.02
                    && (f64::from(found_e) - e).abs() < 0.02
                    && residual.abs() < 0.02,
                "{h} {e}"
            );
        }
        assert!(separation.darkness([255, 255, 255]) < 1e-6);
    }
}
