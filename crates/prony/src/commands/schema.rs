//! `prony schema`: JSON Schemas, generated from the types that read and write the files.

use prony_model::{Event, ExitCode, Suite};
use schemars::schema_for;

use super::judge::JudgeDocument;
use super::load::LoadDocument;
use crate::cli::{SchemaArgs, SchemaKind};
use crate::session::Session;

/// Prints one schema.
pub(crate) fn run(args: &SchemaArgs, session: &Session) -> anyhow::Result<ExitCode> {
    session.print(&text(args.kind)?)?;
    Ok(ExitCode::Pass)
}

/// The schema as indented JSON with a final newline, as it is committed under `docs/reference`.
fn text(kind: SchemaKind) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&schema(kind))? + "\n")
}

fn schema(kind: SchemaKind) -> serde_json::Value {
    match kind {
        SchemaKind::Suite => schema_for!(Suite).to_value(),
        SchemaKind::Report => prony_report::json_schema(),
        SchemaKind::Events => schema_for!(Event).to_value(),
        SchemaKind::Load => schema_for!(LoadDocument).to_value(),
        SchemaKind::Judge => schema_for!(JudgeDocument).to_value(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::ValueEnum;

    use super::text;
    use crate::cli::SchemaKind;

    /// The committed copies are those in force. `PRONY_WRITE_SCHEMAS=1` writes them anew.
    #[test]
    fn committed_schemas_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        for kind in SchemaKind::value_variants() {
            let name = kind.to_possible_value().unwrap().get_name().to_owned();
            let path = folder.join(format!("{name}.schema.json"));
            let current = text(*kind).unwrap();
            if std::env::var_os("PRONY_WRITE_SCHEMAS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &current).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == current,
                "{} is out of date; run this test with PRONY_WRITE_SCHEMAS=1",
                path.display()
            );
        }
    }
}
