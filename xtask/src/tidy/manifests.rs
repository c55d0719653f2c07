//! Rules for manifests: crates import lower floors only, and no workspace dependency lies unused.

use std::collections::{BTreeMap, BTreeSet};

use super::Breach;

/// The floor of each crate of the tool (ARCHITECTURE.md). A crate may import crates of lower floors.
const FLOORS: &[(&str, u8)] = &[
    ("prony-model", 0),
    ("prony-stats", 0),
    ("prony-wire", 1),
    ("prony-experiments", 1),
    ("prony-report", 1),
    ("prony-store", 1),
    ("prony-prompts", 1),
    ("prony-engine", 2),
    ("prony", 3),
    ("prony-calibration", 3),
    // The fuzz targets, in a workspace of their own.
    ("prony-fuzz", 2),
];
/// The reference target stands beside the floors: it imports none of them, and only the binary may carry it.
const BESIDE: &str = "prony-backend";
/// Chores import nothing of ours.
const CHORES: &str = "xtask";
const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Breaches in the manifests, given by path from the root.
pub(super) fn check(manifests: &BTreeMap<&str, &str>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut used = BTreeSet::new();
    let mut offered = Vec::new();
    for (&path, &text) in manifests {
        let manifest: toml::Table = match text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                breaches.push(Breach::new(path, 0, format!("not TOML: {}", error.message())));
                continue;
            }
        };
        if let Some(workspace) = manifest.get("workspace").and_then(toml::Value::as_table) {
            let table = workspace.get("dependencies").and_then(toml::Value::as_table);
            offered.extend(table.into_iter().flatten().map(|(name, _)| (path, name.clone())));
        }
        let Some(package) = manifest
            .get("package")
            .and_then(|p| p.get("name"))
            .and_then(toml::Value::as_str)
        else {
            continue;
        };
        let imports: BTreeSet<&str> = TABLES
            .iter()
            .filter_map(|&table| manifest.get(table)?.as_table())
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
        used.extend(imports.iter().map(|&import| import.to_owned()));
        breaches.extend(
            imports
                .iter()
                .filter_map(|import| forbidden(package, import))
                .map(|s| Breach::new(path, 0, s)),
        );
        if floor(package).is_none() && package != BESIDE && package != CHORES {
            breaches.push(Breach::new(
                path,
                0,
                format!("`{package}` has no floor: give it one in xtask and ARCHITECTURE.md"),
            ));
        }
    }
    for (path, name) in offered {
        if !used.contains(&name) {
            breaches.push(Breach::new(
                path,
                0,
                format!("no member uses the workspace dependency `{name}`"),
            ));
        }
    }
    breaches
}

fn floor(package: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, floor)| *floor)
}

/// Why `package` may not import `import`; `None` when it may.
fn forbidden(package: &str, import: &str) -> Option<String> {
    let ours = floor(import).is_some() || import == BESIDE;
    if !ours {
        return None;
    }
    if package == BESIDE {
        return Some(format!(
            "`{BESIDE}` is the independent oracle and must not import `{import}`"
        ));
    }
    if import == BESIDE {
        return (package != "prony")
            .then(|| format!("`{package}` must not know the reference target `{BESIDE}`"));
    }
    match (floor(package), floor(import)) {
        (Some(own), Some(other)) if other < own => None,
        _ => Some(format!(
            "`{package}` must not import `{import}`: imports point to lower floors only"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    fn says(manifests: &[(&str, &str)]) -> String {
        let manifests = manifests.iter().copied().collect();
        check(&manifests)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn member(name: &str, table: &str, import: &str) -> String {
        let text = format!("[package]\nname = \"{name}\"\n[{table}]\n{import}.workspace = true\n");
        says(&[("crates/x/Cargo.toml", &text)])
    }

    #[test]
    fn imports_point_down() {
        assert_eq!(member("prony-engine", "dependencies", "prony-wire"), "");
        assert_eq!(member("prony", "dependencies", "prony-backend"), "");
        assert!(member("prony-wire", "dependencies", "prony-engine").contains("lower floors"));
        assert!(member("prony-report", "dev-dependencies", "prony-store").contains("lower floors"));
        assert!(member("prony-stats", "build-dependencies", "prony-model").contains("lower floors"));
    }

    #[test]
    fn the_oracle_stays_independent() {
        assert!(member("prony-backend", "dev-dependencies", "prony-model").contains("oracle"));
        assert!(member("prony-experiments", "dev-dependencies", "prony-backend").contains("must not know"));
        assert!(member("xtask", "dependencies", "prony-model").contains("lower floors"));
    }

    #[test]
    fn a_new_crate_needs_a_floor() {
        assert!(member("prony-extra", "dependencies", "serde").contains("has no floor"));
    }

    #[test]
    fn every_workspace_dependency_is_used() {
        let root = "[workspace.dependencies]\nserde = \"1\"\ntoml = \"1\"\n";
        let crate_a = "[package]\nname = \"prony\"\n[dependencies]\nserde.workspace = true\n";
        let found = says(&[("Cargo.toml", root), ("crates/prony/Cargo.toml", crate_a)]);
        assert!(found.contains("`toml`") && !found.contains("`serde`"), "{found}");
    }

    #[test]
    fn broken_toml_is_a_breach() {
        assert!(says(&[("Cargo.toml", "[workspace")]).contains("not TOML"));
    }
}
