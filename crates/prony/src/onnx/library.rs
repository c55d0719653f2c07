//! Where onnxruntime's shared library is. It looks at folders and loads nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;

/// How the library's file name begins, in the wheel and in packages of systems.
const NAME: &str = "libonnxruntime.so";
/// Where a wheel keeps it, from `site-packages`.
const IN_WHEEL: &str = "onnxruntime/capi";
/// How to get it.
const INSTALL: &str = "install it into a virtual environment and activate that: python3 -m venv .venv && . .venv/bin/activate && pip install onnxruntime";

/// The library: `told` (a file, or a folder that holds it) or, without, the one of the active virtual environment.
pub(super) fn find(told: Option<&Path>, environment: Option<&Path>) -> Result<PathBuf, Diagnostic> {
    if let Some(path) = told {
        let found = if path.is_dir() {
            in_folder(path).or_else(|| in_environment(path))
        } else {
            path.is_file().then(|| path.to_owned())
        };
        return found.map(absolute).ok_or_else(|| {
            Diagnostic::usage(format!("there is no onnxruntime library at {}", path.display()))
                .next("name the file libonnxruntime.so.VERSION or a folder that holds it, with --onnxruntime or ORT_DYLIB_PATH")
                .next(INSTALL)
        });
    }
    match environment.and_then(in_environment) {
        Some(found) => Ok(absolute(found)),
        None => Err(Diagnostic::usage(match environment {
            Some(folder) => format!(
                "onnxruntime's library was not found: the virtual environment {} does not hold it",
                folder.display()
            ),
            None => "onnxruntime's library was not found: no virtual environment is active".to_owned(),
        })
        .next(INSTALL)
        .next("or name the library with --onnxruntime PATH or ORT_DYLIB_PATH")),
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

/// The library in a folder: the plain name, else the last version by name.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(NAME)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
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
    sites.push(folder.join(IN_WHEEL));
    sites.push(folder.join("capi"));
    sites.iter().rev().find_map(|site| in_folder(site))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{IN_WHEEL, find};

    /// A folder of this test with an environment in it.
    fn environment(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("prony-onnx-{}-{name}", std::process::id()));
        let site = root.join("lib/python3.11/site-packages").join(IN_WHEEL);
        fs::create_dir_all(&site).unwrap();
        for file in ["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
            fs::write(site.join(file), "").unwrap();
        }
        root
    }

    #[test]
    fn found_in_the_environment_or_where_it_is_told() {
        let root = environment("found");
        let site = root.join("lib/python3.11/site-packages");
        let file = fs::canonicalize(site.join(IN_WHEEL).join("libonnxruntime.so.1.32.0")).unwrap();
        assert_eq!(find(None, Some(&root)).unwrap(), file);
        for told in [
            file.clone(),
            root.clone(),
            site.clone(),
            site.join("onnxruntime"),
            site.join(IN_WHEEL),
        ] {
            assert_eq!(find(Some(&told), None).unwrap(), file, "{}", told.display());
        }
        fs::write(site.join(IN_WHEEL).join("libonnxruntime.so"), "").unwrap();
        assert!(find(None, Some(&root)).unwrap().ends_with("libonnxruntime.so"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn absent_with_what_to_do() {
        let error = find(None, None).unwrap_err().render(false);
        assert!(
            error.contains("no virtual environment is active") && error.contains("pip install onnxruntime")
        );
        let error = find(Some(Path::new("/nowhere/x.so")), None)
            .unwrap_err()
            .render(false);
        assert!(
            error.contains("/nowhere/x.so") && error.contains("ORT_DYLIB_PATH"),
            "{error}"
        );
    }
}
