//! From candidates to detections: threshold, suppression of overlaps, outlines, and the way back to the picture's own pixels.

use super::network::{Candidate, Network, Seen};
use super::pixels::{Fitted, SIDE, fit};
use image::RgbImage;

/// What the client asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Least confidence.
    pub(crate) confidence: f32,
    /// Most overlap (intersection over union) of two detections.
    pub(crate) overlap: f32,
    /// Most detections.
    pub(crate) count: usize,
}

/// One thing found, in pixels of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detection {
    /// Left, top, width, height.
    pub(crate) bbox: [f32; 4],
    /// Between 0 and 1.
    pub(crate) confidence: f32,
    /// Index of the class.
    pub(crate) class: usize,
    /// Outline, for models that give one.
    pub(crate) outline: Vec<[f32; 2]>,
}

/// Runs a network on a picture.
pub(crate) fn detect(
    network: &Network,
    picture: &RgbImage,
    limits: Limits,
    outlined: bool,
) -> Vec<Detection> {
    let fitted = fit(picture);
    let seen = network.run(&fitted.planes, fitted.covered);
    suppress(&seen.candidates, limits, |_, _| true)
        .into_iter()
        .map(|kept| {
            let [left, top, right, bottom] = kept.corners;
            let outline = if outlined {
                outline(&seen, &fitted, &kept)
            } else {
                Vec::new()
            };
            Detection {
                bbox: [
                    left * fitted.scale[0],
                    top * fitted.scale[1],
                    (right - left) * fitted.scale[0],
                    (bottom - top) * fitted.scale[1],
                ],
                confidence: kept.confidence,
                class: kept.class,
                outline,
            }
        })
        .collect()
}

/// The most confident first; one that overlaps a better one too much is dropped, if the two are rivals.
pub(crate) fn suppress(
    candidates: &[Candidate],
    limits: Limits,
    are_rivals: impl Fn(&Candidate, &Candidate) -> bool,
) -> Vec<Candidate> {
    let mut order: Vec<Candidate> = candidates
        .iter()
        .copied()
        .filter(|one| one.confidence >= limits.confidence)
        .collect();
    order.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut kept: Vec<Candidate> = Vec::new();
    for one in order {
        if kept.len() == limits.count {
            break;
        }
        if kept.iter().all(|better| {
            !are_rivals(better, &one) || overlap(&better.corners, &one.corners) <= limits.overlap
        }) {
            kept.push(one);
        }
    }
    kept
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |c: &[f32; 4]| (c[2] - c[0]).max(0.0) * (c[3] - c[1]).max(0.0);
    let both = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both).max(1e-6)
}

/// The hull of those cells of the finest grid within the box that stand out at least half as much as the detection.
fn outline(seen: &Seen, fitted: &Fitted, kept: &Candidate) -> Vec<[f32; 2]> {
    let cell = SIDE as f32 / seen.map_side.max(1) as f32;
    let [left, top, right, bottom] = kept.corners;
    let mut points = Vec::new();
    for (index, confidence) in seen.map.iter().enumerate() {
        let x = (index % seen.map_side) as f32 * cell;
        let y = (index / seen.map_side) as f32 * cell;
        let inside = x < right && x + cell > left && y < bottom && y + cell > top;
        if inside && *confidence >= 0.5 * kept.confidence {
            let (x0, x1) = (x.max(left), (x + cell).min(right));
            let (y0, y1) = (y.max(top), (y + cell).min(bottom));
            points.extend([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
        }
    }
    if points.is_empty() {
        points = vec![[left, top], [right, top], [right, bottom], [left, bottom]];
    }
    let hull = hull(points);
    hull.into_iter()
        .map(|[x, y]| [x * fitted.scale[0], y * fitted.scale[1]])
        .collect()
}

/// The convex hull, by Andrew's monotone chain.
fn hull(mut points: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let turns_right = |chain: &[[f32; 2]], next: [f32; 2]| {
        let [a, b] = [chain[chain.len() - 2], chain[chain.len() - 1]];
        (b[0] - a[0]) * (next[1] - a[1]) - (b[1] - a[1]) * (next[0] - a[0]) <= 0.0
    };
    let half = |points: &mut dyn Iterator<Item = [f32; 2]>| {
        let mut chain: Vec<[f32; 2]> = Vec::new();
        for point in points {
            while chain.len() >= 2 && turns_right(&chain, point) {
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop();
        chain
    };
    let mut hull = half(&mut points.iter().copied());
    hull.extend(half(&mut points.iter().rev().copied()));
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(left: f32, confidence: f32) -> Candidate {
        Candidate {
            corners: [left, 0.0, left + 10.0, 10.0],
            confidence,
            class: 0,
        }
    }

    fn kept(limits: (f32, f32, usize)) -> Vec<f32> {
        let all = [
            candidate(0.0, 0.9),
            candidate(2.0, 0.8),
            candidate(20.0, 0.6),
            candidate(40.0, 0.3),
        ];
        let (confidence, overlap, count) = limits;
        suppress(
            &all,
            Limits {
                confidence,
                overlap,
                count,
            },
            |_, _| true,
        )
        .iter()
        .map(|one| one.confidence)
        .collect()
    }

    #[test]
    fn thresholds_are_honoured() {
        assert_eq!(kept((0.5, 0.4, 100)), [0.9, 0.6]);
        assert_eq!(kept((0.5, 0.7, 100)), [0.9, 0.8, 0.6]);
        assert_eq!(kept((0.0, 0.4, 100)), [0.9, 0.6, 0.3]);
        assert_eq!(kept((0.0, 1.0, 2)), [0.9, 0.8]);
        assert!(kept((1.0, 1.0, 100)).is_empty());
    }

    #[test]
    fn a_hull_goes_round() {
        let round = hull(vec![
            [0.0, 0.0],
            [2.0, 2.0],
            [1.0, 1.0],
            [2.0, 0.0],
            [0.0, 2.0],
            [1.0, 0.0],
        ]);
        assert_eq!(round, [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]);
    }
}
