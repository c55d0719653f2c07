//! The truth as it is written down: presets, their defects, and which finding proves each. Knows nothing of runs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Book {
    /// Words of each `prony check` of a preset that names none of its own.
    pub checks: Vec<Vec<String>>,
    /// The presets.
    #[serde(rename = "preset")]
    pub presets: Vec<Preset>,
    /// The defects.
    #[serde(rename = "defect")]
    pub defects: Vec<Defect>,
}

/// A preset, which exists as observed and as `NAME-fixed`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// Its name.
    pub name: String,
    /// How long its platform's times take here.
    #[serde(default = "one")]
    pub time_scale: f64,
    /// Headers that any client of it needs.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Flags that are given the address of another service of the target, by its name on the ready line.
    #[serde(default)]
    pub beside: BTreeMap<String, String>,
    /// Knobs of both variants.
    #[serde(default)]
    pub set: Vec<String>,
    /// Words of each check instead of the usual ones.
    #[serde(default)]
    pub checks: Option<Vec<Vec<String>>>,
    /// Seconds after which a check is ended; what it found by then counts.
    #[serde(default = "limit")]
    pub limit_s: u64,
    /// How often a check is made at most that ends INVALID or INCONCLUSIVE.
    #[serde(default = "attempts")]
    pub attempts: u32,
}

/// Something that is wrong with a preset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    /// Its name in the table.
    pub id: String,
    /// The preset that has it; with `set`, the one that gets it.
    pub preset: String,
    /// What is true.
    pub truth: String,
    /// Findings that prove it, any of which will do.
    pub proof: Vec<Proof>,
    /// Knobs that bring it.
    #[serde(default)]
    pub set: Vec<String>,
    /// With `set`: the words of each check.
    #[serde(default)]
    pub checks: Vec<Vec<String>>,
}

/// What a finding must be in order to prove a defect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    /// Its id.
    pub finding: String,
    /// Its experiment.
    pub experiment: String,
    /// One of these verdicts.
    pub verdicts: Vec<String>,
    /// A part of the endpoint's name.
    #[serde(default)]
    pub endpoint: String,
    /// Words that stand in its title or text, all of them.
    #[serde(default)]
    pub says: Vec<String>,
    /// Figures in it, by label, with the bounds that they must keep to.
    #[serde(default)]
    pub figures: Vec<Figure>,
}

/// Bounds of a figure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// Its label.
    pub label: String,
    /// At least.
    pub least: f64,
    /// At most.
    pub most: f64,
}

fn one() -> f64 {
    1.0
}

fn limit() -> u64 {
    600
}

fn attempts() -> u32 {
    3
}

impl Book {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let book: Self = toml::from_str(text)?;
        for defect in &book.defects {
            ensure!(!defect.proof.is_empty(), "{}: nothing proves it", defect.id);
            ensure!(
                defect.set.is_empty() == defect.checks.is_empty(),
                "{}: set and checks belong together",
                defect.id
            );
        }
        Ok(book)
    }

    /// Names of all parts that can be tried: presets, then knobs.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        let presets = self.presets.iter().map(|preset| preset.name.as_str());
        let knobs = self.defects.iter().filter(|defect| !defect.set.is_empty());
        presets.chain(knobs.map(|defect| defect.id.as_str()))
    }

    /// The defects that a preset is made with.
    pub(crate) fn of(&self, preset: &str) -> impl Iterator<Item = &Defect> {
        self.defects
            .iter()
            .filter(move |defect| defect.preset == preset && defect.set.is_empty())
    }
}

impl Preset {
    /// One that is not in the book, as a client finds it.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            time_scale: one(),
            headers: Vec::new(),
            beside: BTreeMap::new(),
            set: Vec::new(),
            checks: None,
            limit_s: limit(),
            attempts: attempts(),
        }
    }

    /// The words of each of its checks.
    pub(crate) fn checks(&self, book: &Book) -> Vec<Vec<String>> {
        self.checks.clone().unwrap_or_else(|| book.checks.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Book;

    #[test]
    fn the_committed_file_names_every_defect_once() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ground-truth.toml");
        let book = Book::read(&path).unwrap();
        let mut ids: Vec<&str> = book.defects.iter().map(|defect| defect.id.as_str()).collect();
        ids.sort_unstable();
        let mut all: Vec<String> = [("E", 7), ("R", 7), ("S", 7), ("V", 3), ("Z", 4), ("M", 3)]
            .iter()
            .flat_map(|(letter, count)| (1..=*count).map(move |k| format!("{letter}{k}")))
            .collect();
        all.sort_unstable();
        assert_eq!(ids, all);
    }

    #[test]
    fn a_defect_without_proof_is_refused() {
        let text = "checks = []\npreset = []\n[[defect]]\nid = 'X'\npreset = 'x'\ntruth = 'x'\nproof = []\n";
        assert!(
            Book::parse(text)
                .unwrap_err()
                .to_string()
                .contains("nothing proves it")
        );
    }
}
