//! Rows of a table of claims. It fills in what was written, in base units, and concludes nothing.

use std::collections::{HashMap, HashSet};

use prony_experiments::imported::{Claim, MEASURES, Measure, Over, Statistic};

use super::columns::{CLAIMS, Holds, Placed, placed};
use super::quantity::{Dimension, Unit, count, number, quantity};
use super::{SourceTable, shown};
use crate::diagnostic::{Diagnostic, nearest};
use crate::text::clean;

/// Most claims: each is held against every other.
const CLAIMS_MAX: usize = 5_000;
/// Characters of a name.
const ID_CHARS: usize = 60;
/// Characters of a claim's words.
const SAYS_CHARS: usize = 300;
/// Other explanations that are kept of a claim.
const ALTERNATIVES_MAX: usize = 5;

/// Reads every row.
pub(super) fn read(source: &SourceTable<'_>) -> Result<Vec<Claim>, Diagnostic> {
    let columns = placed(source, CLAIMS)?;
    if !columns.iter().any(|c| c.column.name == "metric") {
        return Err(Diagnostic::usage(format!(
            "{}: a table of claims needs the column `metric`",
            source.file
        ))
        .next(format!("it says what each claim is about: {}", measures())));
    }
    if source.table.len() > CLAIMS_MAX {
        return Err(Diagnostic::usage(format!(
            "{} has {} claims; at most {CLAIMS_MAX} are read",
            source.file,
            source.table.len()
        )));
    }
    let claims = (0..source.table.len())
        .map(|row| {
            Row {
                source,
                index: row,
                columns: &columns,
            }
            .claim()
        })
        .collect::<Result<Vec<_>, _>>()?;
    check_names(source, &claims)?;
    Ok(claims)
}

/// Names are unique, and those that are referred to exist.
fn check_names(source: &SourceTable<'_>, claims: &[Claim]) -> Result<(), Diagnostic> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (row, claim) in claims.iter().enumerate() {
        if let Some(first) = seen.insert(&claim.id, row) {
            return Err(source.error(
                row,
                &format!(
                    "the name {} is that of line {} as well",
                    shown(&claim.id),
                    source.table.line(first)
                ),
            ));
        }
    }
    let names: HashSet<&str> = seen.into_keys().collect();
    for (row, claim) in claims.iter().enumerate() {
        let Some(against) = claim.against.as_deref().filter(|a| !names.contains(a)) else {
            continue;
        };
        let diagnostic = source.error(row, &format!("there is no claim with the id {}", shown(against)));
        return Err(match nearest(against, names.iter().copied()) {
            Some(name) => diagnostic.next(format!("did you mean {}?", shown(name))),
            None => diagnostic.next("give the id of another row"),
        });
    }
    Ok(())
}

fn measures() -> String {
    let names: Vec<&str> = MEASURES.iter().map(|def| def.name).collect();
    names.join(", ")
}

struct Row<'a> {
    source: &'a SourceTable<'a>,
    index: usize,
    columns: &'a [Placed],
}

impl Row<'_> {
    /// A cell that is there and not blank.
    fn cell(&self, name: &str) -> Option<(&Placed, &str)> {
        let placed = self.columns.iter().find(|c| c.column.name == name)?;
        let text = self.source.table.cell(self.index, placed.place).trim();
        (!text.is_empty() && text != "-").then_some((placed, text))
    }

    fn text(&self, name: &str, chars_max: usize) -> String {
        self.cell(name)
            .map(|(_, text)| clean(text, chars_max))
            .unwrap_or_default()
    }

    fn error(&self, name: &str, why: &str) -> Diagnostic {
        self.source.error(self.index, &format!("column `{name}`: {why}"))
    }

    fn count(&self, name: &str) -> Result<Option<u64>, Diagnostic> {
        let Some((_, text)) = self.cell(name) else {
            return Ok(None);
        };
        count(text).map(Some).map_err(|why| self.error(name, &why))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, Diagnostic> {
        let Some((_, text)) = self.cell(name) else {
            return Ok(None);
        };
        number(text).map(Some).map_err(|why| self.error(name, &why))
    }

    /// A time, rate or memory with the unit of its column, or that of the command line.
    fn measured(&self, name: &str) -> Result<Option<f64>, Diagnostic> {
        let Some((placed, text)) = self.cell(name) else {
            return Ok(None);
        };
        let (dimension, fallback) = match placed.column.holds {
            Holds::Memory => (Dimension::Memory, None),
            Holds::Rate => (Dimension::Rate, None),
            _ => (
                Dimension::Time,
                self.source.options.unit.as_deref().and_then(Unit::parse),
            ),
        };
        let value = quantity(text, dimension, placed.unit.or(fallback));
        value.map(Some).map_err(|why| self.error(name, &why))
    }

    /// A number in the unit of the claim.
    fn value(&self, name: &str, measure: Measure) -> Result<Option<f64>, Diagnostic> {
        let Some((placed, text)) = self.cell(name) else {
            return Ok(None);
        };
        let own = self.cell("unit").map(|(_, word)| word);
        let unit = match own {
            Some(word) => {
                let known = Unit::parse(word);
                Some(known.ok_or_else(|| self.error("unit", &format!("{} is no known unit", shown(word))))?)
            }
            None => None,
        };
        let dimension = dimension(measure);
        let of_times = (dimension == Dimension::Time)
            .then(|| self.source.options.unit.as_deref().and_then(Unit::parse))
            .flatten();
        let value = quantity(text, dimension, placed.unit.or(unit).or(of_times));
        value.map(Some).map_err(|why| self.error(name, &why))
    }

    fn measure(&self) -> Result<Measure, Diagnostic> {
        let Some((_, word)) = self.cell("metric") else {
            return Ok(Measure::Opinion);
        };
        Measure::parse(word).ok_or_else(|| {
            let diagnostic = self.error("metric", &format!("{} is no known kind of claim", shown(word)));
            let names = MEASURES
                .iter()
                .flat_map(|d| d.aliases.iter().copied().chain([d.name]));
            match nearest(word, names) {
                Some(name) => diagnostic.next(format!("did you mean `{name}`?")),
                None => diagnostic.next(format!("known: {}", measures())),
            }
        })
    }

    fn statistic(&self) -> Result<Statistic, Diagnostic> {
        let Some((_, word)) = self.cell("statistic") else {
            return Ok(Statistic::Unsaid);
        };
        Statistic::parse(word).ok_or_else(|| {
            self.error("statistic", &format!("{} is no known statistic", shown(word)))
                .next("write mean, median, p95, p99.9, min, max or single")
        })
    }

    fn over(&self) -> Result<Over, Diagnostic> {
        match self
            .cell("over")
            .map(|(_, word)| word.to_ascii_lowercase())
            .as_deref()
        {
            None => Ok(Over::Unsaid),
            Some("all") => Ok(Over::All),
            Some("ok" | "good" | "success" | "successful") => Ok(Over::Ok),
            Some(word) => Err(self.error("over", &format!("{} is neither `all` nor `ok`", shown(word)))),
        }
    }

    fn claim(&self) -> Result<Claim, Diagnostic> {
        let measure = self.measure()?;
        let id = self.text("id", ID_CHARS);
        let alternatives = self.cell("alternatives").map_or("", |(_, text)| text).split(';');
        Ok(Claim {
            id: if id.is_empty() {
                format!("line {}", self.source.table.line(self.index))
            } else {
                id
            },
            says: self.text("claim", SAYS_CHARS),
            test: self.text("test", ID_CHARS),
            endpoint: self.text("endpoint", ID_CHARS),
            measure,
            statistic: self.statistic()?,
            over: self.over()?,
            value: self.value("value", measure)?,
            limit: self.value("limit", measure)?,
            n: self.count("n")?,
            ok: self.count("ok")?,
            failed: self.count("failed")?,
            timeouts: self.count("timeouts")?,
            concurrency: self.number("concurrency")?,
            duration_s: self.measured("duration")?,
            throughput_per_s: self.measured("throughput")?,
            latency_s: self.measured("latency")?,
            service_s: self.measured("service")?,
            no_op_s: self.measured("no_op")?,
            serial_s: self.measured("serial")?,
            resolution_s: self.measured("resolution")?,
            against: Some(self.text("against", ID_CHARS)).filter(|against| !against.is_empty()),
            baseline: self.value("baseline", measure)?,
            baseline_n: self.count("baseline_n")?,
            baseline_ok: self.count("baseline_ok")?,
            before_mib: self.measured("before")?,
            after_mib: self.measured("after")?,
            tolerance: self.value("tolerance", measure)?,
            readings: self.count("readings")?,
            runs: self.count("runs")?,
            alternatives: alternatives
                .map(|text| clean(text.trim(), SAYS_CHARS))
                .filter(|text| !text.is_empty())
                .take(ALTERNATIVES_MAX)
                .collect(),
        })
    }
}

/// What the number of a kind of claim is a number of.
fn dimension(measure: Measure) -> Dimension {
    match measure {
        Measure::Latency | Measure::ServiceTime => Dimension::Time,
        Measure::Throughput => Dimension::Rate,
        Measure::Success => Dimension::Share,
        Measure::Memory => Dimension::Memory,
        Measure::Concurrency
        | Measure::Overlap
        | Measure::SpeedUp
        | Measure::Stability
        | Measure::Cause
        | Measure::Comparison
        | Measure::Opinion => Dimension::Plain,
    }
}
