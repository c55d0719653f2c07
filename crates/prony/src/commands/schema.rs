//! `prony schema`: JSON Schemas, generated from the types that read and write the files.

use prony_model::{Event, ExitCode, Suite};
use schemars::{Schema, schema_for};

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

fn schema(kind: SchemaKind) -> Schema {
    match kind {
        SchemaKind::Suite => schema_for!(Suite),
        SchemaKind::Events => schema_for!(Event),
    }
}
