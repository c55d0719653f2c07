//! Records of single requests: what a report made of them might claim, and whether they bear it out.
//!
//! What the rules for claims can say is left to them: the counts and times found here are handed on as claims.

mod in_flight;
mod memory;
mod quantiles;
mod records;

use std::collections::BTreeMap;

use prony_model::Finding;

use super::claim::{Claim, Measure, Over, Statistic};
use super::judge::Judged;
use super::{compare, no_work, success};

/// Most groups and endpoints that are looked at one by one: those with the most requests.
const CELLS_MAX: usize = 40;

/// Requests of somebody else's test, in the order of their start where it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    /// One for each request.
    pub records: Vec<Record>,
    /// The group and endpoint of records, by their index.
    pub cells: Vec<Cell>,
    /// How requests ended in the file's own words, by their index.
    pub words: Vec<String>,
    /// Whether the file says how requests ended; when not, all are taken for good.
    pub says_how: bool,
    /// Step of the clock that the time stamps show; `None` without time stamps.
    pub resolution_s: Option<f64>,
    /// How many are said to have been in flight at once.
    pub concurrency: Option<f64>,
}

/// One request. Times are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When it began.
    pub start_s: Option<f64>,
    /// When it ended.
    pub end_s: Option<f64>,
    /// How long it took, where the file says so.
    pub latency_s: Option<f64>,
    /// How it ended.
    pub ended: Ended,
    /// The same in the file's own words.
    pub word: u16,
    /// Its group and endpoint.
    pub cell: u16,
    /// The memory of the server at that time.
    pub memory_mib: Option<f64>,
    /// Its number in the test.
    pub number: Option<u64>,
}

impl Record {
    /// How long it took: as the file says, else between its stamps.
    fn took_s(&self) -> Option<f64> {
        self.latency_s.or_else(|| Some(self.end_s? - self.start_s?))
    }

    /// From when to when.
    fn span_s(&self) -> Option<(f64, f64)> {
        match (self.start_s, self.end_s, self.latency_s) {
            (Some(start), _, Some(took)) => Some((start, start + took)),
            (None, Some(end), Some(took)) => Some((end - took, end)),
            (Some(start), Some(end), None) => Some((start, end)),
            _ => None,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Answered as expected.
    #[default]
    Ok,
    /// With another answer, or an error.
    Failed,
    /// Without an answer in time.
    Timeout,
}

/// What a request belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The run or variant; empty when there is only one.
    pub group: String,
    /// What was asked; empty when unknown.
    pub endpoint: String,
}

impl Cell {
    fn name(&self) -> String {
        match (self.group.is_empty(), self.endpoint.is_empty()) {
            (true, true) => "all requests".to_owned(),
            (false, true) => self.group.clone(),
            (true, false) => self.endpoint.clone(),
            (false, false) => format!("{}: {}", self.group, self.endpoint),
        }
    }
}

/// Judges what the records allow to say: of all, of each group and endpoint, of the number in flight, of two groups.
pub fn judge_requests(requests: &Requests) -> Vec<Judged> {
    let mut judged = vec![records::judge(requests)];
    let cells = largest_cells(requests);
    let claims: Vec<Claim> = cells
        .iter()
        .map(|(index, records)| latency_claim(&requests.cells[*index], records))
        .collect();
    for ((index, records), claim) in cells.iter().zip(&claims) {
        let name = requests.cells[*index].name();
        let mut findings = outcomes(requests, &name, records);
        findings.extend(quantiles::judge(requests, &name, records));
        let of_group: Vec<Claim> = claims.iter().filter(|c| c.test == claim.test).cloned().collect();
        findings.extend((no_work::DEF.judge)(claim, &of_group));
        judged.push(Judged::new(&name, "", findings));
    }
    let groups = by_group(requests);
    for (group, records) in groups.iter().take(CELLS_MAX) {
        let name = of_group("in flight", group);
        judged.push(Judged::new(&name, "", in_flight::judge(requests, &name, records)));
    }
    judged.extend(between(requests, &groups));
    judged.extend(memory::judge(requests));
    judged
}

fn of_group(what: &str, group: &str) -> String {
    if group.is_empty() {
        what.to_owned()
    } else {
        format!("{what}, {group}")
    }
}

/// Records of each group and endpoint, in the order of their first request; the largest only.
fn largest_cells(requests: &Requests) -> Vec<(usize, Vec<&Record>)> {
    let mut cells: Vec<(usize, Vec<&Record>)> = (0..requests.cells.len()).map(|i| (i, Vec::new())).collect();
    for record in &requests.records {
        cells[usize::from(record.cell)].1.push(record);
    }
    if cells.len() > CELLS_MAX {
        cells.sort_by_key(|(_, records)| std::cmp::Reverse(records.len()));
        cells.truncate(CELLS_MAX);
        cells.sort_by_key(|(index, _)| *index);
    }
    cells
}

fn by_group(requests: &Requests) -> Vec<(String, Vec<&Record>)> {
    let mut order: Vec<(String, Vec<&Record>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &requests.records {
        let group = requests.cells[usize::from(record.cell)].group.as_str();
        let place = *places.entry(group).or_insert_with(|| {
            order.push((group.to_owned(), Vec::new()));
            order.len() - 1
        });
        order[place].1.push(record);
    }
    order
}

/// Good ones among how many.
fn tally(records: &[&Record]) -> (u64, u64) {
    let ok = records.iter().filter(|r| r.ended == Ended::Ok).count();
    (ok as u64, records.len() as u64)
}

fn success_claim(name: &str, records: &[&Record]) -> Claim {
    let (ok, n) = tally(records);
    Claim {
        id: name.to_owned(),
        measure: Measure::Success,
        ok: Some(ok),
        n: Some(n),
        ..Claim::default()
    }
}

/// What the counts of a group allow to say of its success; nothing when the file does not tell how requests ended.
fn outcomes(requests: &Requests, name: &str, records: &[&Record]) -> Vec<Finding> {
    if !requests.says_how {
        return Vec::new();
    }
    let claim = success_claim(name, records);
    (success::DEF.judge)(&claim, &[]).into_iter().collect()
}

/// The median of a group's good answers as a claim, to be held against a request that does no work.
fn latency_claim(cell: &Cell, records: &[&Record]) -> Claim {
    let good = records.iter().filter(|r| r.ended == Ended::Ok);
    let mut times: Vec<f64> = good.filter_map(|r| r.took_s()).collect();
    let median = (!times.is_empty()).then(|| prony_stats::median(&mut times));
    Claim {
        id: cell.name(),
        test: cell.group.clone(),
        endpoint: cell.endpoint.clone(),
        measure: Measure::Latency,
        statistic: Statistic::Quantile(0.5),
        over: Over::Ok,
        value: median,
        n: Some(times.len() as u64),
        ..Claim::default()
    }
}

/// Each later group against the first.
fn between(requests: &Requests, groups: &[(String, Vec<&Record>)]) -> Vec<Judged> {
    let Some(((first, baseline), others)) = groups.split_first() else {
        return Vec::new();
    };
    if !requests.says_how {
        return Vec::new();
    }
    let (baseline_ok, baseline_n) = tally(baseline);
    let compared = others.iter().take(CELLS_MAX).map(|(group, records)| {
        let name = format!("{group} against {first}");
        let claim = Claim {
            baseline_ok: Some(baseline_ok),
            baseline_n: Some(baseline_n),
            ..success_claim(&name, records)
        };
        let found =
            compare::Arms::of(&claim, &[]).map(|arms| compare::shares(&claim, &arms, others.len() as u64));
        Judged::new(&name, "", found.into_iter().collect())
    });
    compared.collect()
}

#[cfg(test)]
mod tests;
