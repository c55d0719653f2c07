//! The house rules, checked on every file that git knows or would add. Each rule is a pure function from a file's
//! path and text to breaches, so that its own tests can show that it fails when it should.

mod links;
mod manifests;
mod paths;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// One place that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    /// Path from the repository's root.
    pub(crate) path: String,
    /// Line from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// What is wrong and what would be right.
    pub(crate) says: String,
}

impl Breach {
    fn new(path: &str, line: usize, says: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            says: says.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.says),
            line => write!(f, "{}:{line}: {}", self.path, self.says),
        }
    }
}

/// Checks the whole tree and prints the breaches; whether there were none.
pub(crate) fn run() -> anyhow::Result<bool> {
    let root = root()?;
    let texts = texts(&root)?;
    let mut breaches = Vec::new();
    for (path, text) in &texts {
        if has_extension(path, "rs") {
            breaches.extend(source::check(path, text));
        }
        if has_extension(path, "md") {
            breaches.extend(links::check(path, text, |target| root.join(target).exists()));
        }
        breaches.extend(paths::check(path, text, &root.to_string_lossy()));
    }
    let manifests: BTreeMap<&str, &str> = texts
        .iter()
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    breaches.extend(manifests::check(&manifests));
    breaches.sort();
    for breach in &breaches {
        println!("{breach}");
    }
    let verdict = if breaches.is_empty() { "tidy" } else { "not tidy" };
    println!("{verdict}: {} files, {} breaches", texts.len(), breaches.len());
    Ok(breaches.is_empty())
}

fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent directory")?.to_owned())
}

/// Every text file that git tracks or would track, by its path from the root.
fn texts(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git is needed to list the files")?;
    ensure!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let mut texts = BTreeMap::new();
    for path in String::from_utf8_lossy(&listed.stdout)
        .split('\0')
        .filter(|p| !p.is_empty())
    {
        // A tracked file that was just deleted, and a picture, are both none of our business.
        if let Some(text) = std::fs::read(root.join(path))
            .ok()
            .and_then(|b| String::from_utf8(b).ok())
        {
            texts.insert(path.to_owned(), text);
        }
    }
    Ok(texts)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == extension)
}
