//! `--set KEY=VALUE`: one value of a suite file in the place of the file's own. It works on TOML and must not know what keys mean.

use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, nearest};

/// Stands for every entry of a list, or every key of a table.
const ALL: &str = "*";

/// The text of a suite with these values in it.
///
/// A key is a path of names and numbers with dots between them: `run.budget`, `phase.0.shape.burst.size`. An entry of a list may
/// be called by its `name`, and `*` stands for all: `scenario.*.http.json.model` is set wherever it is there.
pub(super) fn apply(source: &str, sets: &[(String, String)]) -> Result<String, Diagnostic> {
    let mut root: Table = toml::from_str(source).map_err(|e| Diagnostic::usage(e.message().to_owned()))?;
    for (path, text) in sets {
        let steps: Vec<&str> = path.split('.').collect();
        let value = value(text);
        let everywhere = steps.contains(&ALL);
        let mut whole = Value::Table(root);
        let n = put(&mut whole, &steps, &value, everywhere).map_err(|why| wrong(path, &why))?;
        if n == 0 {
            return Err(wrong(path, "the suite has nothing there"));
        }
        root = match whole {
            Value::Table(table) => table,
            _ => Table::new(),
        };
    }
    toml::to_string(&root).map_err(|e| Diagnostic::usage(format!("--set makes no valid suite: {e}")))
}

fn wrong(path: &str, why: &str) -> Diagnostic {
    Diagnostic::usage(format!("--set {path}: {why}"))
}

/// What reads as TOML is TOML, everything else is text.
fn value(text: &str) -> Value {
    let read = toml::from_str::<Table>(&format!("v = {text}")).ok();
    read.and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Sets the value below `at`; how often. `only_there`: nothing new is made.
fn put(at: &mut Value, steps: &[&str], value: &Value, only_there: bool) -> Result<usize, String> {
    let Some((step, rest)) = steps.split_first() else {
        *at = value.clone();
        return Ok(1);
    };
    match at {
        Value::Table(table) if *step == ALL => {
            let mut n = 0;
            for inner in table.iter_mut().map(|(_, inner)| inner) {
                n += put(inner, rest, value, only_there)?;
            }
            Ok(n)
        }
        Value::Table(table) => match table.get_mut(*step) {
            Some(inner) => put(inner, rest, value, only_there),
            None if only_there => Ok(0),
            None => {
                let mut inner = Value::Table(Table::new());
                let n = put(&mut inner, rest, value, only_there)?;
                table.insert((*step).to_owned(), inner);
                Ok(n)
            }
        },
        Value::Array(list) if *step == ALL => {
            let mut n = 0;
            for inner in list {
                n += put(inner, rest, value, only_there)?;
            }
            Ok(n)
        }
        Value::Array(list) => {
            let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
            let names: Vec<String> = list.iter().filter_map(name).collect();
            let at = step
                .parse()
                .ok()
                .filter(|i| *i < list.len())
                .or_else(|| list.iter().position(|entry| name(entry).as_deref() == Some(step)));
            match at {
                Some(i) => put(&mut list[i], rest, value, only_there),
                None if only_there => Ok(0),
                None => Err(match nearest(step, names.iter().map(String::as_str)) {
                    Some(near) => format!("there is no entry {step:?}; did you mean {near:?}?"),
                    None => format!("there is no entry {step:?}; the list has {}", list.len()),
                }),
            }
        }
        _ if only_there => Ok(0),
        _ => Err(format!("{step:?} is below a value that has nothing below it")),
    }
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::apply;

    const SUITE: &str = "name = 'a'\n[target]\nurl = 'demo'\n[[scenario]]\nname = 'one'\nhttp.json.model = 'm'\n\
                         [[scenario]]\nname = 'two'\nhttp.path = '/x'\n";

    fn set(path: &str, text: &str) -> Result<Table, String> {
        let sets = [(path.to_owned(), text.to_owned())];
        let source = apply(SUITE, &sets).map_err(|e| e.to_string())?;
        Ok(toml::from_str(&source).unwrap())
    }

    #[test]
    fn values_are_set_where_the_path_leads() {
        let run = set("run.seed", "7").unwrap();
        assert_eq!(run["run"]["seed"].as_integer(), Some(7));
        assert_eq!(set("name", "b c").unwrap()["name"].as_str(), Some("b c"));
        let all = set("scenario.*.http.json.model", "tiny").unwrap();
        assert_eq!(all["scenario"][0]["http"]["json"]["model"].as_str(), Some("tiny"));
        assert!(
            all["scenario"][1]["http"].get("json").is_none(),
            "only where it was"
        );
        let named = set("scenario.two.http.path", "/y").unwrap();
        assert_eq!(named["scenario"][1]["http"]["path"].as_str(), Some("/y"));
    }

    #[test]
    fn what_leads_nowhere_is_an_error() {
        assert!(
            set("scenario.twoo.http.path", "/y")
                .unwrap_err()
                .contains("did you mean \"two\"")
        );
        assert!(set("name.first", "x").is_err());
        assert!(
            set("scenario.*.http.nothing", "x")
                .unwrap_err()
                .contains("nothing there")
        );
    }
}
