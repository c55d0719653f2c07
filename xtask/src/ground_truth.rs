//! `cargo xtask ground-truth`: checks every preset as observed and fixed, blind, and holds the reports against the known
//! truth of xtask/ground-truth.toml. It must not tell the checked program anything but a URL.

mod blind;
mod book;
mod judge;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use blind::{Served, Subject};
use book::{Book, Defect, Preset};
use judge::Findings;

/// Where the truth is written down, and where the table goes.
const BOOK: &str = "xtask/ground-truth.toml";
const PAGE: &str = "docs/ground-truth.md";

/// What is asked for.
struct Asked {
    seeds: u64,
    /// Names of presets and knobs; none is all.
    presets: Vec<String>,
    page: bool,
}

/// One line of the table: a defect, and what each seed made of it.
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
pub(crate) struct Alarm {
    /// Which target.
    pub target: String,
    /// The seed of the run.
    pub seed: u64,
    /// Verdict and title.
    pub says: String,
}

/// All that the runs gave.
#[derive(Default)]
pub(crate) struct Table {
    /// Defects.
    pub rows: Vec<Row>,
    /// False alarms.
    pub alarms: Vec<Alarm>,
    /// By name of a target, how many runs without a defect there were.
    pub clean_runs: Vec<(String, usize)>,
    /// By name of a preset, seconds for both of its variants, over all seeds.
    pub times: Vec<(String, f64)>,
}

/// Runs the battery and prints the table; whether all was found, and nothing else.
pub(crate) fn run(words: &[&str]) -> Result<bool> {
    let asked = asked(words)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent directory")?;
    let book = Book::read(&root.join(BOOK))?;
    let program = program(root)?;
    let mut table = Table::default();
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
    for preset in presets {
        let began = Instant::now();
        observed_and_fixed(&book, preset, &program, &asked, &mut table)?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{}: {seconds:.0} s", preset.name);
        table.times.push((preset.name.clone(), seconds));
    }
    for defect in knobs {
        let began = Instant::now();
        with_knob(&book, defect, &program, &asked, &mut table)?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{}: {seconds:.0} s", defect.id);
        table.times.push((defect.id.clone(), seconds));
    }
    let text = page::text(&table, asked.seeds, &asked.presets);
    if asked.page {
        fs::write(root.join(PAGE), &text).with_context(|| format!("write {PAGE}"))?;
    }
    println!("\n{text}");
    let all_found = table.rows.iter().all(|row| row.found.iter().all(Result::is_ok));
    Ok(all_found && table.alarms.is_empty())
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

/// Both variants of a preset, for each seed.
fn observed_and_fixed(
    book: &Book,
    preset: &Preset,
    program: &Path,
    asked: &Asked,
    table: &mut Table,
) -> Result<()> {
    let defects: Vec<&Defect> = book.of(&preset.name).collect();
    let mut rows: Vec<Row> = defects.iter().map(|defect| row(defect)).collect();
    let fixed = format!("{}-fixed", preset.name);
    for seed in 1..=asked.seeds {
        let observed = battery(program, preset, &preset.name, &[], &preset.checks(book), seed)?;
        for (row, defect) in rows.iter_mut().zip(&defects) {
            row.found.push(observed.proof(defect));
            say(&format!("{} {}", preset.name, row.id), row.found.last());
        }
        let clean = battery(program, preset, &fixed, &[], &preset.checks(book), seed)?;
        accused(&clean, &defects, &fixed, seed, table);
    }
    table.rows.append(&mut rows);
    table.clean_runs.push((fixed, asked.seeds as usize));
    Ok(())
}

/// A knob on a target without a defect, and the same checks without the knob.
fn with_knob(book: &Book, defect: &Defect, program: &Path, asked: &Asked, table: &mut Table) -> Result<()> {
    let known = book
        .presets
        .iter()
        .find(|preset| preset.name == defect.preset.trim_end_matches("-fixed"));
    let plain = Preset::plain(&defect.preset);
    let preset = known.unwrap_or(&plain);
    let mut row = row(defect);
    for seed in 1..=asked.seeds {
        let spoilt = battery(program, preset, &defect.preset, &defect.set, &defect.checks, seed)?;
        row.found.push(spoilt.proof(defect));
        say(&row.id, row.found.last());
        let clean = battery(program, preset, &defect.preset, &[], &defect.checks, seed)?;
        accused(&clean, &[defect], &defect.preset, seed, table);
    }
    table.clean_runs.push((
        format!("{} (checks of {})", defect.preset, defect.id),
        asked.seeds as usize,
    ));
    table.rows.push(row);
    Ok(())
}

fn row(defect: &Defect) -> Row {
    Row {
        id: defect.id.clone(),
        preset: defect.preset.clone(),
        truth: defect.truth.clone(),
        found: Vec::new(),
    }
}

/// Notes all that a clean target is accused of.
fn accused(clean: &Findings, defects: &[&Defect], target: &str, seed: u64, table: &mut Table) {
    for says in clean.accusations(defects) {
        println!("  FALSE ALARM on {target}, seed {seed}: {says}");
        table.alarms.push(Alarm {
            target: target.to_owned(),
            seed,
            says,
        });
    }
}

/// Every check of the battery, one after another, each on a freshly started target.
fn battery(
    program: &Path,
    preset: &Preset,
    name: &str,
    set: &[String],
    checks: &[Vec<String>],
    seed: u64,
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
            // Neither is an answer: the machine was too busy, or the data too few.
            let answered = !matches!(report.verdict(), "invalid" | "inconclusive");
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
