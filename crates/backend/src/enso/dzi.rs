//! Deep Zoom arithmetic exactly as openslide-python's `DeepZoomGenerator(tile_size=254, overlap=1)`: level sizes, tile counts and the
//! pixel rectangle of each tile. Pure numbers, no pixels.

/// Edge of a tile without overlap, in pixels.
pub(crate) const TILE: u32 = 254;
/// Pixels added on each interior edge.
pub(crate) const OVERLAP: u32 = 1;

/// A size in pixels or tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
}

/// A rectangle of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    /// First column.
    pub(crate) x: u32,
    /// First row.
    pub(crate) y: u32,
    /// Its size.
    pub(crate) size: Size,
}

/// The sizes of all levels, from 1x1 up to the full image: each level is half the next one, rounded up.
pub(crate) fn levels(full: Size) -> Vec<Size> {
    let mut sizes = vec![full];
    let mut size = full;
    while size.width > 1 || size.height > 1 {
        size = Size {
            width: size.width.div_ceil(2),
            height: size.height.div_ceil(2),
        };
        sizes.push(size);
    }
    sizes.reverse();
    sizes
}

/// Tiles across and down a level.
pub(crate) fn tiles(level: Size) -> Size {
    Size {
        width: level.width.div_ceil(TILE),
        height: level.height.div_ceil(TILE),
    }
}

/// The pixels of one tile, overlap included; `None` when the level has no such tile.
pub(crate) fn tile(level: Size, col: u32, row: u32) -> Option<Rect> {
    let count = tiles(level);
    if col >= count.width || row >= count.height {
        return None;
    }
    let (x, width) = span(level.width, count.width, col);
    let (y, height) = span(level.height, count.height, row);
    Some(Rect {
        x,
        y,
        size: Size { width, height },
    })
}

/// Start and length along one axis: `min(tile, side - tile * index)` plus the overlap towards each neighbour.
fn span(side: u32, count: u32, index: u32) -> (u32, u32) {
    let before = if index > 0 { OVERLAP } else { 0 };
    let after = if index + 1 < count { OVERLAP } else { 0 };
    let start = index * TILE;
    (start - before, TILE.min(side - start) + before + after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        levels: Vec<[u32; 2]>,
        tiles: Vec<[u32; 2]>,
        sizes: Vec<[u32; 5]>,
    }

    /// Produced by `tests/deepzoom_golden.py` with openslide-python 1.4.7.
    #[test]
    fn agrees_with_openslide() {
        let golden: std::collections::BTreeMap<String, Golden> =
            serde_json::from_str(include_str!("../../tests/deepzoom_golden.json")).unwrap();
        assert!(golden.len() >= 8);
        for (name, golden) in golden {
            let (width, height) = name.split_once('x').unwrap();
            let sizes = levels(Size {
                width: width.parse().unwrap(),
                height: height.parse().unwrap(),
            });
            assert_eq!(
                sizes
                    .iter()
                    .map(|size| [size.width, size.height])
                    .collect::<Vec<_>>(),
                golden.levels,
                "{name}"
            );
            let counts: Vec<_> = sizes
                .iter()
                .map(|size| tiles(*size))
                .map(|count| [count.width, count.height])
                .collect();
            assert_eq!(counts, golden.tiles, "{name}");
            for [level, col, row, width, height] in golden.sizes {
                let rect = tile(sizes[level as usize], col, row).unwrap();
                assert_eq!(
                    rect.size,
                    Size { width, height },
                    "{name} level {level} tile {col}_{row}"
                );
            }
        }
    }

    #[test]
    fn tiles_cover_the_level_and_nothing_else() {
        let level = Size {
            width: 1999,
            height: 509,
        };
        let count = tiles(level);
        let last = tile(level, count.width - 1, count.height - 1).unwrap();
        assert_eq!((last.x + last.size.width, last.y + last.size.height), (1999, 509));
        assert_eq!(tile(level, count.width, 0), None);
        assert_eq!(tile(level, 0, count.height), None);
    }
}
