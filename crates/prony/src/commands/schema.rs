//! `prony schema`: JSON Schemas, generated from the types that read and write the files.

use prony_experiments::EXPERIMENTS;
use prony_model::{Event, ExitCode, Suite};
use schemars::schema_for;
use serde_json::{Map, Value};

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

fn schema(kind: SchemaKind) -> Value {
    match kind {
        SchemaKind::Suite => suite(),
        SchemaKind::Report => prony_report::json_schema(),
        SchemaKind::Events => schema_for!(Event).to_value(),
        SchemaKind::Load => schema_for!(LoadDocument).to_value(),
        SchemaKind::Judge => schema_for!(JudgeDocument).to_value(),
    }
}

/// That of a suite, with the parameters of every experiment.
fn suite() -> Value {
    let mut suite = schema_for!(Suite).to_value();
    let mut experiments = Map::new();
    let mut definitions = Map::new();
    for def in EXPERIMENTS {
        let mut own = (def.schema)().to_value();
        if let Some(own) = own.as_object_mut() {
            own.remove("$schema");
            own.insert("description".to_owned(), def.question.into());
            if let Some(Value::Object(more)) = own.remove("$defs") {
                definitions.extend(more);
            }
        }
        experiments.insert(def.name.to_owned(), own);
    }
    let table = &mut suite["properties"]["experiment"];
    table["properties"] = Value::Object(experiments);
    table["additionalProperties"] = false.into();
    if let Some(known) = suite["$defs"].as_object_mut() {
        for (name, definition) in definitions {
            known.entry(name).or_insert(definition);
        }
    }
    suite
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use clap::ValueEnum;

    use prony_experiments::EXPERIMENTS;

    use super::{suite, text};
    use crate::cli::SchemaKind;

    #[test]
    fn the_schema_of_a_suite_knows_the_parameters_of_experiments() {
        let schema = suite();
        let mut meanings = BTreeMap::new();
        for def in EXPERIMENTS {
            let table: toml::Table = toml::from_str(def.example).unwrap();
            let known = &schema["properties"]["experiment"]["properties"][def.name]["properties"];
            for key in table["experiment"][def.name].as_table().unwrap().keys() {
                assert!(known.get(key).is_some(), "{}: {key}", def.name);
            }
            let own = (def.schema)().to_value();
            for (name, definition) in own["$defs"].as_object().into_iter().flatten() {
                let first = meanings.entry(name.clone()).or_insert_with(|| definition.clone());
                assert_eq!(first, definition, "{name} means two things");
                assert_eq!(&schema["$defs"][name], definition, "{name} means two things");
            }
        }
    }

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
