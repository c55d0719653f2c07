//! `cargo xtask ground-truth`: checks every preset of xtask/ground-truth.toml as observed and fixed, blind, and holds the reports
//! against the truth that is known there. It must not tell the checked program anything but a URL, what any user of the target has
//! (a key, an upstream), and for a single knob which experiment to run.
//!
//! What was found is kept in docs/ground-truth.json by preset and knob, so that one of them can be tried again alone.

mod blind;
mod book;
mod judge;
mod page;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use blind::{Served, Subject};
use book::{Book, Defect, Preset};
use judge::Findings;

/// Where the truth is written down, and where the table goes.
const BOOK: &str = "xtask/ground-truth.toml";
const PAGE: &str = "docs/ground-truth.md";
/// What the table is made of: the last results of each part.
const RESULTS: &str = "docs/ground-truth.json";

/// What is asked for.
struct Asked {
    seeds: u64,
    /// Names of presets and knobs; none is all.
    presets: Vec<String>,
    page: bool,
}

/// One line of the table: a defect, and what each seed made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The defect.
    pub id: String,
    /// The preset that carries it.
    pub preset: String,
    /// What is true.
    pub truth: String,
    /// By seed, the title of the finding that proves it, or why there is none.
    pub found: Vec<Result<String, String>>,
}

/// What a target without a defect was accused of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    /// Which target.
    pub target: String,
    /// The seed of the run.
    pub seed: u64,
    /// Verdict and title.
    pub says: String,
}

/// What the runs of one preset or one knob gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Name of the preset or of the knob's defect.
    pub name: String,
    /// Version and commit of the program that was tried.
    pub program: String,
    /// Seeds.
    pub seeds: u64,
    /// Defects.
    pub rows: Vec<Row>,
    /// The target without a defect.
    pub clean: String,
    /// False alarms on it.
    pub alarms: Vec<Alarm>,
    /// Seconds for all runs.
    pub seconds: f64,
}

/// Runs the battery and prints the table; whether all was found, and nothing else.
pub(crate) fn run(words: &[&str]) -> Result<bool> {
    let asked = asked(words)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent directory")?;
    let book = Book::read(&root.join(BOOK))?;
    let program = program(root)?;
    let is_asked = |name: &str| asked.presets.is_empty() || asked.presets.iter().any(|asked| asked == name);
    let presets: Vec<&Preset> = book
        .presets
        .iter()
        .filter(|preset| is_asked(&preset.name))
        .collect();
    let knobs: Vec<&Defect> = book
        .defects
        .iter()
        .filter(|defect| !defect.set.is_empty() && is_asked(&defect.id))
        .collect();
    let known = presets.len() + knobs.len();
    ensure!(
        asked.presets.is_empty() || asked.presets.len() == known,
        "{BOOK} knows not all of {}",
        asked.presets.join(", ")
    );
    let version = version(&program, root)?;
    let mut parts = Vec::new();
    for preset in presets {
        parts.push(timed(|| {
            observed_and_fixed(&book, preset, &program, &version, &asked)
        })?);
    }
    for defect in knobs {
        parts.push(timed(|| with_knob(&book, defect, &program, &version, &asked))?);
    }
    let held = parts.iter().all(Part::holds);
    if asked.page {
        parts = kept(&root.join(RESULTS), parts, &book)?;
        fs::write(root.join(PAGE), page::text(&parts)).with_context(|| format!("write {PAGE}"))?;
    }
    println!("\n{}", page::text(&parts));
    Ok(held)
}

impl Part {
    /// Whether all was found, and nothing else.
    fn holds(&self) -> bool {
        self.alarms.is_empty() && self.rows.iter().all(|row| row.found.iter().all(Result::is_ok))
    }
}

/// The new results in the place of those of the same name, with the others as they were; all in the order of the book.
fn kept(file: &Path, new: Vec<Part>, book: &Book) -> Result<Vec<Part>> {
    let mut all: Vec<Part> = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("read {RESULTS}"))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("read {RESULTS}")),
    };
    all.retain(|old| new.iter().all(|part| part.name != old.name));
    all.extend(new);
    let order: Vec<&str> = book.parts().collect();
    all.retain(|part| order.contains(&part.name.as_str()));
    all.sort_by_key(|part| order.iter().position(|name| *name == part.name));
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(file, text).with_context(|| format!("write {RESULTS}"))?;
    Ok(all)
}

fn timed(run: impl FnOnce() -> Result<Part>) -> Result<Part> {
    let began = Instant::now();
    let mut part = run()?;
    part.seconds = began.elapsed().as_secs_f64();
    println!("{}: {:.0} s", part.name, part.seconds);
    Ok(part)
}

fn asked(words: &[&str]) -> Result<Asked> {
    let mut asked = Asked {
        seeds: 1,
        presets: Vec::new(),
        page: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seeds" => asked.seeds = words.next().context("--seeds takes a number")?.parse()?,
            "--preset" => {
                let names = words.next().context("--preset takes names, with commas")?;
                asked.presets.extend(names.split(',').map(str::to_owned));
            }
            "--page" => asked.page = true,
            other => bail!("`{other}` is unknown: --seeds N, --preset NAME, --page"),
        }
    }
    ensure!(asked.seeds > 0, "--seeds must be at least 1");
    Ok(asked)
}

/// The program that is tried: the release build, made when needed, or the one that `PRONY_BIN` names.
fn program(root: &Path) -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("PRONY_BIN") {
        return Ok(PathBuf::from(program));
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "prony"])
        .current_dir(root)
        .status()
        .context("cargo build")?;
    ensure!(built.success(), "the release build failed");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    Ok(target.join("release/prony"))
}

/// What the program says of its version, and which commit it was built from where it was built here.
fn version(program: &Path, root: &Path) -> Result<String> {
    let said = |command: &mut Command| -> Result<String> {
        let output = command.output().with_context(|| format!("run {command:?}"))?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let version = said(Command::new(program).arg("--version"))?;
    if std::env::var_os("PRONY_BIN").is_some() {
        return Ok(version);
    }
    let commit = said(
        Command::new("git")
            .args(["describe", "--always", "--dirty", "--exclude=*"])
            .current_dir(root),
    )?;
    Ok(format!("{version}, {commit}"))
}

/// Both variants of a preset, for each seed.
fn observed_and_fixed(
    book: &Book,
    preset: &Preset,
    program: &Path,
    version: &str,
    asked: &Asked,
) -> Result<Part> {
    let defects: Vec<&Defect> = book.of(&preset.name).collect();
    let mut rows: Vec<Row> = defects.iter().map(|defect| row(defect)).collect();
    let mut alarms = Vec::new();
    let clean = format!("{}-fixed", preset.name);
    for seed in 1..=asked.seeds {
        let observed = battery(
            program,
            preset,
            &preset.name,
            &[],
            &preset.checks(book),
            seed,
            &DEFECT,
        )?;
        for (row, defect) in rows.iter_mut().zip(&defects) {
            row.found.push(observed.proof(defect));
            say(&format!("{} {}", preset.name, row.id), row.found.last());
        }
        let findings = battery(program, preset, &clean, &[], &preset.checks(book), seed, &CLEAN)?;
        alarms.extend(accused(&findings, &defects, &clean, seed));
    }
    Ok(Part {
        name: preset.name.clone(),
        program: version.to_owned(),
        seeds: asked.seeds,
        rows,
        clean,
        alarms,
        seconds: 0.0,
    })
}

/// A knob on a target without a defect, and the same checks without the knob.
fn with_knob(book: &Book, defect: &Defect, program: &Path, version: &str, asked: &Asked) -> Result<Part> {
    let known = book
        .presets
        .iter()
        .find(|preset| preset.name == defect.preset.trim_end_matches("-fixed"));
    let plain = Preset::plain(&defect.preset);
    let preset = known.unwrap_or(&plain);
    let mut row = row(defect);
    let mut alarms = Vec::new();
    for seed in 1..=asked.seeds {
        let spoilt = battery(
            program,
            preset,
            &defect.preset,
            &defect.set,
            &defect.checks,
            seed,
            &DEFECT,
        )?;
        row.found.push(spoilt.proof(defect));
        say(&row.id, row.found.last());
        let findings = battery(program, preset, &defect.preset, &[], &defect.checks, seed, &CLEAN)?;
        alarms.extend(accused(&findings, &[defect], &defect.preset, seed));
    }
    Ok(Part {
        name: defect.id.clone(),
        program: version.to_owned(),
        seeds: asked.seeds,
        rows: vec![row],
        clean: format!("{} (checks of {})", defect.preset, defect.id),
        alarms,
        seconds: 0.0,
    })
}

fn row(defect: &Defect) -> Row {
    Row {
        id: defect.id.clone(),
        preset: defect.preset.clone(),
        truth: defect.truth.clone(),
        found: Vec::new(),
    }
}

/// All that a clean target is accused of.
fn accused(clean: &Findings, defects: &[&Defect], target: &str, seed: u64) -> Vec<Alarm> {
    let alarm = |says: String| {
        println!("  FALSE ALARM on {target}, seed {seed}: {says}");
        Alarm {
            target: target.to_owned(),
            seed,
            says,
        }
    };
    clean.accusations(defects).into_iter().map(alarm).collect()
}

/// Verdicts that are no answer, so that the check is made again: the machine was too busy; or, where there is something to
/// find, the data were too few.
const CLEAN: [&str; 1] = ["invalid"];
const DEFECT: [&str; 2] = ["invalid", "inconclusive"];

/// Every check of the battery, one after another, each on a freshly started target.
fn battery(
    program: &Path,
    preset: &Preset,
    name: &str,
    set: &[String],
    checks: &[Vec<String>],
    seed: u64,
    unanswered: &[&str],
) -> Result<Findings> {
    let subject = Subject {
        name,
        set: set.iter().chain(&preset.set).map(String::as_str).collect(),
        time_scale: preset.time_scale,
        seed,
    };
    let mut all = Findings::default();
    for check in checks {
        let began = Instant::now();
        let mut last = None;
        for _ in 0..preset.attempts {
            let served = Served::start(program, &subject)?;
            let limit = Duration::from_secs(preset.limit_s);
            let report = served.check(program, check, preset, seed, limit)?;
            let answered = !unanswered.contains(&report.verdict());
            last = Some(report);
            if answered {
                break;
            }
        }
        let report = last.context("attempts must be at least 1")?;
        println!(
            "  {name} {}, seed {seed}: {} in {:.0} s",
            check.join(" "),
            report.verdict(),
            began.elapsed().as_secs_f64()
        );
        all.add(report);
    }
    Ok(all)
}

fn say(what: &str, found: Option<&Result<String, String>>) {
    match found {
        Some(Ok(title)) => println!("  {what} found: {title}"),
        Some(Err(why)) => println!("  {what} MISSED: {why}"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn words() {
        let all = asked(&["--seeds", "3", "--preset", "enso,M1", "--page"]).unwrap();
        assert_eq!((all.seeds, all.presets.len(), all.page), (3, 2, true));
        assert!(asked(&["--sed"]).is_err() && asked(&["--seeds", "0"]).is_err());
    }
}
