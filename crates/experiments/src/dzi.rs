//! Deep Zoom: the descriptor and the exact arithmetic of its pyramid.
//!
//! Level 0 is one pixel; the last level is the whole image; each level has half the sides of the next, rounded up
//! (the Deep Zoom file format of Silverlight and OpenSeadragon). Pure; it knows no HTTP.

mod viewport;

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Longest descriptor that is read, in bytes.
const DESCRIPTOR_BYTES_MAX: usize = 64 << 10;

/// What a Deep Zoom descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Width of the whole image in pixels, at least 1.
    pub width: u32,
    /// Height of the whole image in pixels, at least 1.
    pub height: u32,
    /// Side of a tile without overlap in pixels, at least 1.
    pub tile_size: u32,
    /// Pixels that a tile shares with each neighbour.
    pub overlap: u32,
    /// File name extension of the tiles: `jpeg`, `jpg`, `png`.
    pub format: String,
}

/// Why a text is no Deep Zoom descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DziError {
    /// Not XML, or longer than any descriptor.
    #[error("it is not XML of at most 64 KiB")]
    NotXml,
    /// XML of another kind.
    #[error("it has no `Image` element with a `Size` inside")]
    NoImage,
    /// An attribute is missing or no number in its range.
    #[error("its attribute `{0}` is missing or out of range")]
    Attribute(&'static str),
}

/// The address of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Level, from 0 (one pixel) up.
    pub level: u32,
    /// Column from the left, from 0.
    pub col: u32,
    /// Row from the top, from 0.
    pub row: u32,
}

impl Tile {
    /// The template with `{level}`, `{col}` and `{row}` filled in.
    pub fn path(self, template: &str) -> String {
        template
            .replace("{level}", &self.level.to_string())
            .replace("{col}", &self.col.to_string())
            .replace("{row}", &self.row.to_string())
    }
}

impl Descriptor {
    /// Reads a descriptor in XML.
    pub fn parse(xml: &str) -> Result<Self, DziError> {
        if xml.len() > DESCRIPTOR_BYTES_MAX {
            return Err(DziError::NotXml);
        }
        let mut reader = Reader::from_str(xml.trim_start_matches('\u{feff}'));
        let mut image: Option<(u32, u32, String)> = None;
        loop {
            match reader.read_event().map_err(|_| DziError::NotXml)? {
                Event::Start(tag) | Event::Empty(tag) => match (tag.local_name().as_ref(), &image) {
                    ("Image", None) => {
                        let format = attribute(&tag, "Format").ok_or(DziError::Attribute("Format"))?;
                        if format.is_empty() || !format.chars().all(|c| c.is_ascii_alphanumeric()) {
                            return Err(DziError::Attribute("Format"));
                        }
                        image = Some((number(&tag, "TileSize", 1)?, number(&tag, "Overlap", 0)?, format));
                    }
                    (_, None) => return Err(DziError::NoImage),
                    ("Size", Some((tile_size, overlap, format))) => {
                        return Ok(Self {
                            width: number(&tag, "Width", 1)?,
                            height: number(&tag, "Height", 1)?,
                            tile_size: *tile_size,
                            overlap: *overlap,
                            format: format.clone(),
                        });
                    }
                    _ => {}
                },
                Event::Eof => return Err(DziError::NoImage),
                _ => {}
            }
        }
    }

    /// How many levels there are: `ceil(log2(max(width, height))) + 1`.
    pub fn level_count(&self) -> u32 {
        let longest = self.width.max(self.height);
        u32::BITS - (longest - 1).leading_zeros() + 1
    }

    /// Width and height of a level in pixels: `ceil(side / 2^(last - level))`; `None` past the last level.
    pub fn level_size(&self, level: u32) -> Option<(u32, u32)> {
        let halvings = self.level_count().checked_sub(level + 1)?;
        let side = |full: u32| u64::from(full).div_ceil(1 << halvings) as u32;
        Some((side(self.width), side(self.height)))
    }

    /// Columns and rows of a level; `None` past the last level.
    pub fn grid(&self, level: u32) -> Option<(u32, u32)> {
        let (width, height) = self.level_size(level)?;
        Some((width.div_ceil(self.tile_size), height.div_ceil(self.tile_size)))
    }

    /// Tiles of all levels.
    pub fn tile_count(&self) -> u64 {
        (0..self.level_count())
            .filter_map(|level| self.grid(level))
            .map(|(cols, rows)| u64::from(cols) * u64::from(rows))
            .sum()
    }

    /// Width and height of a tile's image in pixels, overlap included; `None` for a tile that does not exist.
    pub fn tile_dimensions(&self, tile: Tile) -> Option<(u32, u32)> {
        let (width, height) = self.level_size(tile.level)?;
        Some((self.extent(tile.col, width)?, self.extent(tile.row, height)?))
    }

    /// From where to where a tile reaches along one axis: its own part, and the overlap on each inner edge as far as
    /// there are pixels.
    fn extent(&self, index: u32, side: u32) -> Option<u32> {
        let (index, side, tile) = (u64::from(index), u64::from(side), u64::from(self.tile_size));
        let overlap = u64::from(self.overlap);
        let start = index * tile;
        if start >= side {
            return None;
        }
        let end = (start + tile + overlap).min(side);
        Some((end - start.saturating_sub(overlap)) as u32)
    }

    /// The tile path template next to a descriptor: `NAME.dzi` has its tiles under
    /// `NAME_files/{level}/{col}_{row}.FORMAT`; a query is kept.
    pub fn tile_path(&self, descriptor_path: &str) -> String {
        let (path, query) = match descriptor_path.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (descriptor_path, String::new()),
        };
        let stem = [".dzi", ".xml"]
            .iter()
            .find_map(|end| path.strip_suffix(end))
            .unwrap_or(path);
        format!("{stem}_files/{{level}}/{{col}}_{{row}}.{}{query}", self.format)
    }

    /// Up to `count` distinct tiles that exist, spread evenly over the levels (when there are more levels than
    /// `count`, over the largest), corners first, then scattered by the seed; all of them, when there are no more.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<Tile> {
        let mut orders: Vec<LevelOrder> = (0..self.level_count())
            .rev()
            .filter_map(|level| LevelOrder::new(level, self.grid(level)?, seed))
            .collect();
        let mut tiles = Vec::new();
        while tiles.len() < count && !orders.is_empty() {
            orders.retain_mut(|order| {
                let next = order.next();
                if tiles.len() < count {
                    tiles.extend(next);
                }
                next.is_some()
            });
        }
        tiles.sort_unstable();
        tiles
    }

    /// Up to `count` tiles that do not exist: just past the last column and row of the levels, the largest first, and
    /// past the last level.
    pub fn outside(&self, count: usize) -> Vec<Tile> {
        let levels = self.level_count();
        let mut tiles = vec![Tile {
            level: levels,
            col: 0,
            row: 0,
        }];
        for level in (0..levels).rev() {
            let Some((cols, rows)) = self.grid(level) else {
                continue;
            };
            tiles.push(Tile {
                level,
                col: cols,
                row: 0,
            });
            tiles.push(Tile {
                level,
                col: 0,
                row: rows,
            });
            tiles.push(Tile {
                level,
                col: cols,
                row: rows,
            });
        }
        tiles.truncate(count);
        tiles
    }
}

/// The tiles of one level, each once: corners, then all others in a scattered order.
struct LevelOrder {
    level: u32,
    cols: u64,
    total: u64,
    first: Vec<u64>,
    taken: BTreeSet<u64>,
    at: u64,
    stride: u64,
    visited: u64,
}

impl LevelOrder {
    fn new(level: u32, (cols, rows): (u32, u32), seed: u64) -> Option<Self> {
        let (cols, rows) = (u64::from(cols), u64::from(rows));
        let total = cols.checked_mul(rows)?;
        let mut first = vec![0, total - 1, cols - 1, total - cols];
        first.reverse();
        let scattered = mix(seed ^ u64::from(level));
        let mut stride = (scattered >> 7) % total + 1;
        while gcd(stride, total) != 1 {
            stride += 1;
        }
        Some(Self {
            level,
            cols,
            total,
            first,
            taken: BTreeSet::new(),
            at: scattered % total,
            stride,
            visited: 0,
        })
    }

    fn next(&mut self) -> Option<Tile> {
        loop {
            let index = match self.first.pop() {
                Some(corner) => corner,
                None if self.visited == self.total => return None,
                None => {
                    self.visited += 1;
                    self.at =
                        ((u128::from(self.at) + u128::from(self.stride)) % u128::from(self.total)) as u64;
                    self.at
                }
            };
            if self.taken.insert(index) {
                let (col, row) = ((index % self.cols) as u32, (index / self.cols) as u32);
                return Some(Tile {
                    level: self.level,
                    col,
                    row,
                });
            }
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok()??;
    Some(found.value.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &'static str, least: u32) -> Result<u32, DziError> {
    attribute(tag, name)
        .and_then(|text| text.trim().parse().ok())
        .filter(|&n| (least..=1 << 30).contains(&n))
        .ok_or(DziError::Attribute(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Descriptor, DziError, Tile};

    const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="1" TileSize="254">
          <Size Width="4000" Height="3000"/>
        </Image>"#;

    fn pyramid(width: u32, height: u32, tile_size: u32, overlap: u32) -> Descriptor {
        Descriptor {
            width,
            height,
            tile_size,
            overlap,
            format: "jpeg".into(),
        }
    }

    #[test]
    fn reads_a_descriptor() {
        let found = Descriptor::parse(XML).unwrap();
        assert_eq!(found, pyramid(4000, 3000, 254, 1));
        assert_eq!(found.tile_path("/a/b.dzi"), "/a/b_files/{level}/{col}_{row}.jpeg");
        assert_eq!(
            found.tile_path("/s/1/dzi?k=v"),
            "/s/1/dzi_files/{level}/{col}_{row}.jpeg?k=v"
        );
    }

    #[test]
    fn refuses_what_is_none() {
        assert_eq!(Descriptor::parse("<html><body/></html>"), Err(DziError::NoImage));
        assert_eq!(Descriptor::parse("{\"a\": 1}"), Err(DziError::NoImage));
        assert_eq!(
            Descriptor::parse("<Image Format='png' Overlap='1'/>"),
            Err(DziError::Attribute("TileSize"))
        );
        assert_eq!(
            Descriptor::parse(&XML.replace("4000", "0")),
            Err(DziError::Attribute("Width"))
        );
        assert_eq!(
            Descriptor::parse(&XML.replace("jpeg", "../x")),
            Err(DziError::Attribute("Format"))
        );
        assert_eq!(Descriptor::parse(&" ".repeat(70_000)), Err(DziError::NotXml));
    }

    #[test]
    fn known_pyramids() {
        let slide = pyramid(4000, 3000, 254, 1);
        assert_eq!(slide.level_count(), 13);
        assert_eq!(slide.level_size(12), Some((4000, 3000)));
        assert_eq!(slide.level_size(0), Some((1, 1)));
        assert_eq!(slide.grid(12), Some((16, 12)));
        assert_eq!(
            slide.tile_dimensions(Tile {
                level: 12,
                col: 0,
                row: 0
            }),
            Some((255, 255))
        );
        assert_eq!(
            slide.tile_dimensions(Tile {
                level: 12,
                col: 1,
                row: 1
            }),
            Some((256, 256))
        );
        assert_eq!(
            slide.tile_dimensions(Tile {
                level: 12,
                col: 15,
                row: 11
            }),
            Some((191, 207))
        );
        assert_eq!(
            slide.tile_dimensions(Tile {
                level: 12,
                col: 16,
                row: 0
            }),
            None
        );
        assert_eq!(pyramid(1, 1, 254, 1).level_count(), 1);
        assert_eq!(pyramid(2, 1, 254, 1).level_count(), 2);
        assert_eq!(pyramid(256, 1, 254, 1).level_count(), 9);
        assert_eq!(pyramid(257, 1, 254, 1).level_count(), 10);
    }

    #[test]
    fn a_small_pyramid_is_sampled_whole() {
        let small = pyramid(600, 300, 254, 1);
        let tiles = small.sample(10_000, 3);
        assert_eq!(tiles.len() as u64, small.tile_count());
        let outside = small.outside(4);
        assert_eq!(outside[0].level, small.level_count());
        assert!(outside.iter().all(|t| small.tile_dimensions(*t).is_none()));
    }

    proptest! {
        #[test]
        fn levels_halve_down_to_one_pixel(w in 1_u32..200_000, h in 1_u32..200_000) {
            let p = pyramid(w, h, 256, 0);
            let last = p.level_count() - 1;
            prop_assert_eq!(p.level_size(last), Some((w, h)));
            prop_assert_eq!(p.level_size(0), Some((1, 1)));
            prop_assert_eq!(p.level_size(last + 1), None);
            for level in 0..last {
                let (small, big) = (p.level_size(level).unwrap(), p.level_size(level + 1).unwrap());
                prop_assert_eq!(small, (big.0.div_ceil(2), big.1.div_ceil(2)));
            }
        }

        #[test]
        fn tiles_cover_each_level_exactly(w in 1_u32..5_000, h in 1_u32..5_000, tile in 16_u32..600, overlap in 0_u32..4) {
            let p = pyramid(w, h, tile, overlap);
            for level in 0..p.level_count() {
                let (width, _) = p.level_size(level).unwrap();
                let (cols, rows) = p.grid(level).unwrap();
                let sum: u32 = (0..cols).map(|col| p.tile_dimensions(Tile { level, col, row: 0 }).unwrap().0).sum();
                let last = width - (cols - 1) * tile;
                let shared = (cols - 1) * overlap + (cols - 1) * overlap - if cols > 1 { overlap.saturating_sub(last) } else { 0 };
                prop_assert_eq!(sum, width + shared);
                prop_assert_eq!(p.tile_dimensions(Tile { level, col: cols, row: 0 }), None);
                prop_assert_eq!(p.tile_dimensions(Tile { level, col: 0, row: rows }), None);
            }
        }

        #[test]
        fn samples_exist_are_distinct_and_reach_every_level(w in 1_u32..100_000, h in 1_u32..100_000, seed: u64) {
            let p = pyramid(w, h, 254, 1);
            let tiles = p.sample(60, seed);
            prop_assert_eq!(tiles.len() as u64, p.tile_count().min(60));
            prop_assert_eq!(tiles.iter().collect::<BTreeSet<_>>().len(), tiles.len());
            prop_assert!(tiles.iter().all(|t| p.tile_dimensions(*t).is_some()));
            let levels: BTreeSet<u32> = tiles.iter().map(|t| t.level).collect();
            prop_assert_eq!(levels.len() as u32, p.level_count());
            prop_assert_eq!(&tiles, &p.sample(60, seed));
        }
    }
}
