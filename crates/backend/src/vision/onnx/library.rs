//! Where onnxruntime's shared library is. It looks at folders and loads nothing. The rule is the one of `prony model`, written again: the
//! backend shares no code with the tool.

use std::fs;
use std::path::{Path, PathBuf};

/// How the library's file name begins, in the wheel and in packages of systems.
const NAME: &str = "libonnxruntime.so";
/// Where a wheel keeps it, from `site-packages`.
const IN_WHEEL: &str = "onnxruntime/capi";
/// How to get it.
const INSTALL: &str = "install it into a virtual environment and activate that: python3 -m venv .venv && . .venv/bin/activate && pip install onnxruntime";

/// The library: `told` (a file, or a folder that holds it) or, without, the one of the active virtual environment. The error says
/// what to do, a line for each step.
pub(super) fn find(told: Option<&Path>, environment: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = told {
        let found = if path.is_dir() {
            in_folder(path).or_else(|| in_environment(path))
        } else {
            path.is_file().then(|| path.to_owned())
        };
        return found.map(absolute).ok_or_else(|| {
            let path = path.display();
            format!(
                "there is no onnxruntime library at {path}\nname the file libonnxruntime.so.VERSION or a folder that holds it, with \
                 --onnxruntime or ORT_DYLIB_PATH\n{INSTALL}"
            )
        });
    }
    if let Some(found) = environment.and_then(in_environment) {
        return Ok(absolute(found));
    }
    let why = match environment {
        Some(folder) => format!("the virtual environment {} does not hold it", folder.display()),
        None => "no virtual environment is active".to_owned(),
    };
    Err(format!(
        "onnxruntime's library was not found: {why}\n{INSTALL}\nor name the library with --onnxruntime PATH or ORT_DYLIB_PATH"
    ))
}

fn absolute(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

/// The library in a folder: the plain name, else the last version by name.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix(NAME);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let entries = fs::read_dir(folder).ok()?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_library)
        .collect();
    found.sort();
    let plain = found.iter().position(|path| path.ends_with(NAME));
    match plain {
        Some(at) => Some(found.swap_remove(at)),
        None => found.pop(),
    }
}

/// The library of the wheel in a virtual environment, in `site-packages`, or in the folder of the package.
fn in_environment(folder: &Path) -> Option<PathBuf> {
    let pythons = fs::read_dir(folder.join("lib")).into_iter().flatten();
    let mut sites: Vec<PathBuf> = pythons
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages").join(IN_WHEEL)))
        .collect();
    sites.sort();
    sites.extend([folder.join(IN_WHEEL), folder.join("capi")]);
    sites.iter().rev().find_map(|site| in_folder(site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_in_the_environment_or_where_it_is_told() {
        let root = tempfile::tempdir().unwrap();
        let site = root.path().join("lib/python3.11/site-packages").join(IN_WHEEL);
        fs::create_dir_all(&site).unwrap();
        for file in ["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
            fs::write(site.join(file), "").unwrap();
        }
        let file = fs::canonicalize(site.join("libonnxruntime.so.1.32.0")).unwrap();
        assert_eq!(find(None, Some(root.path())), Ok(file.clone()));
        for told in [&file, &site, &root.path().to_owned()] {
            assert_eq!(find(Some(told), None), Ok(file.clone()), "{}", told.display());
        }
    }

    #[test]
    fn absent_with_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let nowhere = Path::new("/nowhere/x.so");
        for (told, environment, says) in [
            (None, None, "no virtual environment is active"),
            (None, Some(empty.path()), "does not hold it"),
            (Some(nowhere), None, "/nowhere/x.so"),
        ] {
            let error = find(told, environment).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(
                error.contains("\ninstall it") && error.contains("ORT_DYLIB_PATH"),
                "{error}"
            );
        }
    }
}
