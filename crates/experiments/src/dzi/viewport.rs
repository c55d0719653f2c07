//! What a viewer asks of a pyramid while somebody looks at a slide: the whole, then closer and closer, aside at each magnification, and
//! back. It knows no time: who asks when is the load shape's affair.

use std::collections::BTreeSet;

use super::{Descriptor, Tile, mix};

/// The viewer's window in pixels.
const WINDOW: (u32, u32) = (1024, 768);
/// Views at one magnification before the next.
const LOOKS: u32 = 3;
/// Most views of one visit: a small pyramid is soon seen whole.
const VIEWS_MAX: u32 = 400;

/// A part of a level, in pixels of that level.
#[derive(Clone, Copy, Debug)]
struct View {
    level: u32,
    centre: (u32, u32),
}

impl Descriptor {
    /// Up to `count` distinct tiles in the order in which a viewer of 1024 x 768 pixels asks for them, which keeps what it has: the
    /// whole image first, then towards a point that the seed chooses, with looks aside on the way, down to the last level, and again
    /// from the whole towards another point. Fewer where a visit meets no more.
    pub fn viewport_trace(&self, count: usize, seed: u64) -> Vec<Tile> {
        let mut asked = BTreeSet::new();
        let mut tiles = Vec::new();
        for view in self.visit(seed) {
            if tiles.len() >= count {
                break;
            }
            tiles.extend(self.visible(view).into_iter().filter(|tile| asked.insert(*tile)));
        }
        tiles.truncate(count);
        tiles
    }

    /// The views of a visit, in order.
    fn visit(&self, seed: u64) -> Vec<View> {
        let home = self.home();
        let last = self.level_count() - 1;
        let mut drawn = seed;
        let mut draw = |below: u32| {
            drawn = mix(drawn);
            (drawn % u64::from(below.max(1))) as u32
        };
        let mut views = Vec::new();
        while (views.len() as u32) < VIEWS_MAX {
            // The point of interest, as a share of the whole image in thousandths.
            let point = (draw(1000), draw(1000));
            for level in home..=last {
                let Some((width, height)) = self.level_size(level) else {
                    continue;
                };
                let at = |share: u32, side: u32| (u64::from(share) * u64::from(side) / 1000) as u32;
                let mut centre = (at(point.0, width), at(point.1, height));
                views.push(View { level, centre });
                if level == home {
                    continue;
                }
                for _ in 1..LOOKS {
                    let step = (WINDOW.0 / 2, WINDOW.1 / 2);
                    centre = match draw(4) {
                        0 => (centre.0.saturating_sub(step.0), centre.1),
                        1 => ((centre.0 + step.0).min(width - 1), centre.1),
                        2 => (centre.0, centre.1.saturating_sub(step.1)),
                        _ => (centre.0, (centre.1 + step.1).min(height - 1)),
                    };
                    views.push(View { level, centre });
                }
            }
        }
        views.truncate(VIEWS_MAX as usize);
        views
    }

    /// The largest level that the window shows whole.
    fn home(&self) -> u32 {
        (0..self.level_count())
            .rev()
            .find(|level| {
                self.level_size(*level)
                    .is_some_and(|(width, height)| width <= WINDOW.0 && height <= WINDOW.1)
            })
            .unwrap_or(0)
    }

    /// The tiles that a view shows, nearest to its centre first.
    fn visible(&self, view: View) -> Vec<Tile> {
        let (Some((width, height)), Some((cols, rows))) =
            (self.level_size(view.level), self.grid(view.level))
        else {
            return Vec::new();
        };
        let shown = |centre: u32, window: u32, side: u32, count: u32| {
            let start = centre.saturating_sub(window / 2).min(side.saturating_sub(window));
            let end = start.saturating_add(window).min(side);
            let first = start / self.tile_size;
            first..=(end - 1).div_euclid(self.tile_size).min(count - 1)
        };
        let columns = shown(view.centre.0, WINDOW.0, width, cols);
        let middle =
            |index: u32| i64::from(index) * i64::from(self.tile_size) + i64::from(self.tile_size) / 2;
        let mut tiles: Vec<Tile> = shown(view.centre.1, WINDOW.1, height, rows)
            .flat_map(|row| {
                columns.clone().map(move |col| Tile {
                    level: view.level,
                    col,
                    row,
                })
            })
            .collect();
        tiles.sort_by_key(|tile| {
            let aside = middle(tile.col) - i64::from(view.centre.0);
            let below = middle(tile.row) - i64::from(view.centre.1);
            (aside * aside + below * below, *tile)
        });
        tiles
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::Descriptor;

    fn pyramid(width: u32, height: u32) -> Descriptor {
        Descriptor {
            width,
            height,
            tile_size: 254,
            overlap: 1,
            format: "jpeg".into(),
        }
    }

    #[test]
    fn a_visit_begins_with_the_whole_and_goes_closer() {
        let slide = pyramid(20_000, 15_000);
        let trace = slide.viewport_trace(200, 7);
        assert_eq!(trace.len(), 200);
        // 20,000 pixels are 625 at the fifth level from the last, which is the first that fits into 1024 x 768.
        let home = slide.level_count() - 6;
        assert_eq!(slide.level_size(home), Some((625, 469)));
        assert!(
            trace[..6].iter().all(|tile| tile.level == home),
            "{:?}",
            &trace[..6]
        );
        let firsts: Vec<u32> = trace.iter().fold(Vec::new(), |mut levels, tile| {
            if !levels.contains(&tile.level) {
                levels.push(tile.level);
            }
            levels
        });
        assert_eq!(firsts, (home..slide.level_count()).collect::<Vec<_>>());
        assert_ne!(
            trace,
            slide.viewport_trace(200, 8),
            "another seed looks elsewhere"
        );
    }

    #[test]
    fn a_view_shows_its_window_and_no_more() {
        let slide = pyramid(20_000, 15_000);
        // 1024 x 768 pixels touch at most 6 x 5 tiles of 254.
        let most = slide
            .visit(3)
            .into_iter()
            .map(|view| slide.visible(view).len())
            .max();
        assert!(most.is_some_and(|most| (12..=30).contains(&most)), "{most:?}");
    }

    proptest! {
        #[test]
        fn a_trace_asks_for_tiles_that_exist_once_each(w in 1_u32..100_000, h in 1_u32..100_000, count in 1_usize..300, seed: u64) {
            let p = pyramid(w, h);
            let trace = p.viewport_trace(count, seed);
            prop_assert!(!trace.is_empty() && trace.len() <= count);
            prop_assert!(trace.iter().all(|t| p.tile_dimensions(*t).is_some()));
            prop_assert_eq!(trace.iter().collect::<BTreeSet<_>>().len(), trace.len());
            prop_assert_eq!(&trace, &p.viewport_trace(count, seed));
        }
    }
}
