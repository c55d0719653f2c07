//! The JSON format: the view model as it stands, and the schema that describes it.

use crate::{FormatDef, RenderError, Report, TerminalStyle};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "json",
    file: "report.json",
    description: "everything the report says, for programs; see docs/reference/report.schema.json",
    applies: |_| true,
    render,
};

fn render(report: &Report, _: TerminalStyle) -> Result<String, RenderError> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// JSON Schema of the JSON format.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}
