//! Ranking patches: by a text query through a small lexicon of what words look like, and by resemblance to other slides' patches.

use super::features::{SIGNS, Signs, cosine, distance};
use super::mil::{Reading, scale};
use super::slides::{Cohort, Slide};

/// What a word looks like: weights on nuclei, dark, very dark, eosin, pale, texture, fibres, acellular.
const LEXICON: &[(&[&str], Signs)] = &[
    (
        &[
            "tumor",
            "tumour",
            "tumoral",
            "cancer",
            "carcinoma",
            "malignant",
            "neoplastic",
        ],
        [1.0, -0.2, 0.2, -0.3, -0.5, 0.6, -0.4, -0.5],
    ),
    (
        &[
            "lymphocyte",
            "lymphocytic",
            "immune",
            "inflammation",
            "inflammatory",
            "til",
            "plasma",
        ],
        [0.2, 1.2, -0.1, 0.0, -0.3, 0.3, 0.2, -0.2],
    ),
    (
        &["infiltrating", "infiltrate", "infiltration"],
        [0.3, 0.7, 0.0, 0.0, -0.2, 0.2, 0.1, -0.1],
    ),
    (
        &["necrosis", "necrotic", "debris", "dead", "apoptosis", "apoptotic"],
        [-0.8, -0.3, -0.1, 0.7, -0.2, -0.6, -0.4, 1.2],
    ),
    (
        &[
            "stroma",
            "stromal",
            "fibrosis",
            "fibrous",
            "collagen",
            "connective",
            "desmoplastic",
        ],
        [-0.6, 0.1, -0.2, 0.5, -0.2, -0.3, 1.3, 0.3],
    ),
    (
        &[
            "mitotic",
            "mitosis",
            "mitose",
            "dividing",
            "division",
            "proliferation",
        ],
        [0.4, -0.1, 1.5, -0.1, -0.3, 0.4, -0.3, -0.3],
    ),
    (
        &[
            "nuclei",
            "nucleus",
            "nuclear",
            "cell",
            "cellular",
            "epithelium",
            "epithelial",
        ],
        [0.9, 0.1, 0.1, -0.2, -0.4, 0.5, -0.2, -0.4],
    ),
    (
        &["background", "fat", "adipose", "lumen", "empty", "glass", "white"],
        [-0.4, -0.2, -0.1, -0.7, 1.5, -0.3, 0.0, -0.5],
    ),
    (
        &["eosin", "pink", "cytoplasm", "muscle"],
        [-0.4, -0.1, 0.0, 1.2, -0.4, -0.2, 0.3, 0.4],
    ),
    (
        &["dark", "blue", "hematoxylin", "haematoxylin", "hyperchromatic"],
        [0.6, 0.8, 0.5, -0.3, -0.4, 0.3, 0.0, -0.4],
    ),
];

/// Words that say nothing about a picture.
const SILENT: &[&str] = &[
    "a", "an", "and", "figure", "find", "in", "of", "or", "region", "show", "the", "to", "with",
];

/// A patch and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    /// Index of the patch.
    pub(crate) patch: usize,
    /// Cosine, -1 to 1, or an attention weight.
    pub(crate) similarity: f32,
}

/// A slide that resembles the one asked about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// Its id.
    pub(crate) slide_id: String,
    /// Squared distance of the closest patches.
    pub(crate) distance: f32,
    /// The patch of that slide that came closest.
    pub(crate) patch_index: usize,
}

/// The patches that fit a text best, best first.
pub(crate) fn by_text(slide: &Slide, query: &str, top_k: usize) -> Vec<Hit> {
    let direction = direction(query);
    let similarity = |index: usize| cosine(&scale(&slide.patches[index].signs), &direction);
    ranked(
        (0..slide.patches.len())
            .map(|patch| Hit {
                patch,
                similarity: similarity(patch),
            })
            .collect(),
        top_k,
    )
}

/// The patches with the most attention, whatever was asked.
pub(crate) fn by_attention(reading: &Reading, top_k: usize) -> Vec<Hit> {
    ranked(
        reading
            .attention
            .iter()
            .enumerate()
            .map(|(patch, weight)| Hit {
                patch,
                similarity: *weight,
            })
            .collect(),
        top_k,
    )
}

/// Other slides by the distance of their closest patch to any of the `top_patches` patches with the most attention, closest first.
pub(crate) fn similar(
    cohort: &Cohort,
    slide: &Slide,
    reading: &Reading,
    top_patches: usize,
    k: usize,
) -> Vec<Case> {
    let queries: Vec<usize> = reading.ranked().into_iter().take(top_patches).collect();
    let mut cases: Vec<Case> = cohort
        .slides()
        .iter()
        .filter(|other| other.id != slide.id && !queries.is_empty())
        .filter_map(|other| {
            let pairs = queries.iter().flat_map(|query| {
                let query = &slide.patches[*query].embedding;
                other
                    .patches
                    .iter()
                    .enumerate()
                    .map(|(index, patch)| (distance(query, &patch.embedding), index))
            });
            let (distance, patch_index) = pairs.min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Case {
                slide_id: other.id.clone(),
                distance,
                patch_index,
            })
        })
        .collect();
    cases.sort_by(|a, b| {
        a.distance
            .total_cmp(&b.distance)
            .then_with(|| a.slide_id.cmp(&b.slide_id))
    });
    cases.truncate(k);
    cases
}

fn ranked(mut hits: Vec<Hit>, top_k: usize) -> Vec<Hit> {
    hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.patch.cmp(&b.patch)));
    hits.truncate(top_k);
    hits
}

/// Where a text points: the sum of its words' looks. An unknown word points somewhere of its own, so that it, too, ranks patches.
fn direction(query: &str) -> Signs {
    let mut sum = [0.0; SIGNS];
    let lower = query.to_lowercase();
    let mut words = 0;
    for word in lower
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let singular = word.strip_suffix('s').unwrap_or(word);
        if SILENT.contains(&word) || SILENT.contains(&singular) {
            continue;
        }
        words += 1;
        let known = LEXICON
            .iter()
            .find(|(names, _)| names.contains(&word) || names.contains(&singular));
        let look = known.map_or_else(|| own_direction(word), |(_, look)| *look);
        for (sum, part) in sum.iter_mut().zip(look) {
            *sum += part;
        }
    }
    if words == 0 { own_direction(&lower) } else { sum }
}

fn own_direction(word: &str) -> Signs {
    // FNV-1a, then the finaliser of SplitMix64 per component.
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut direction = [0.0; SIGNS];
    for (index, component) in direction.iter_mut().enumerate() {
        let mut z = hash.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        *component = (z >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_point_their_own_way() {
        let queries = [
            "tumor cells",
            "necrosis",
            "lymphocytes",
            "stroma",
            "mitotic figures",
            "zebra",
            "!!",
            "<script>alert(1)</script>",
        ];
        for (i, a) in queries.iter().enumerate() {
            assert!(cosine(&direction(a), &direction(a)) > 0.999_99);
            for b in &queries[i + 1..] {
                assert!(
                    cosine(&direction(a), &direction(b)) < 0.98,
                    "{a} and {b} point the same way"
                );
            }
        }
        assert!(cosine(&direction("the lymphocyte"), &direction("Lymphocytes")) > 0.999_99);
    }
}
