//! Result files in the formats of other tools, with the numbers as those tools define them, so that what reads their files
//! can read ours. What each file leaves out is told in docs/llm/metrics.md.

mod aiperf;
mod guidellm;
mod vllm;

use serde_json::Value;

use crate::definitions::{Restated, TimeStats};
use crate::{RenderError, Report, StreamTable};

/// The format of another tool's result file.
pub struct PeerFormat {
    /// Name, as in `--format NAME`.
    pub name: &'static str,
    /// The tool.
    pub tool: &'static str,
    /// Name of the definitions its numbers follow.
    pub definitions: &'static str,
    render: fn(&Report, &StreamTable, &Restated) -> Value,
}

impl PeerFormat {
    /// The file of one table; `None` when its answers' records were not read.
    ///
    /// # Errors
    /// When it cannot be written as JSON: a bug.
    pub fn render(&self, report: &Report, table: &StreamTable) -> Result<Option<String>, RenderError> {
        let Some(restated) = table.restated.get(self.definitions) else {
            return Ok(None);
        };
        let value = (self.render)(report, table, restated);
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        Ok(Some(text))
    }
}

/// Every such format. Adding one is one file and one line here.
pub static PEER_FORMATS: &[&PeerFormat] = &[&vllm::FORMAT, &aiperf::FORMAT, &guidellm::FORMAT];

/// The format of that name.
pub fn find(name: &str) -> Option<&'static PeerFormat> {
    PEER_FORMATS.iter().copied().find(|format| format.name == name)
}

/// A statistic, or null where the tool has none.
fn stat(of: Option<&TimeStats>, value: impl Fn(&TimeStats) -> Option<f64>) -> Value {
    of.and_then(value).map_or(Value::Null, Value::from)
}

/// The percentiles under the names that a file gives them.
fn percentiles<'a>(
    of: &TimeStats,
    names: impl IntoIterator<Item = &'a (&'static str, f64)>,
) -> serde_json::Map<String, Value> {
    names
        .into_iter()
        .map(|(name, p)| ((*name).to_owned(), of.at(*p).map_or(Value::Null, Value::from)))
        .collect()
}
