//! Relative links in Markdown lead somewhere. Links to the web are not followed.

use std::path::{Component, Path, PathBuf};

use super::Breach;

/// Breaches in one Markdown file; `exists` answers for a path from the root.
pub(super) fn check(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let file = target.split(['#', '?']).next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let found = from_root(path, file).is_some_and(|from_root| exists(&from_root));
            if !found {
                breaches.push(Breach::new(
                    path,
                    number,
                    format!("link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    breaches
}

/// What stands in `](...)` on a line, outside inline code.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(move |(at, _)| {
        let in_code = line[..at].matches('`').count() % 2 == 1;
        let rest = &line[at + 2..];
        let end = rest.find([')', ' '])?;
        (!in_code).then_some(&rest[..end])
    })
}

/// The link's target from the root; `None` when it leaves the repository.
fn from_root(path: &str, link: &str) -> Option<PathBuf> {
    let start = if link.starts_with('/') {
        Path::new("")
    } else {
        Path::new(path).parent()?
    };
    let mut resolved = PathBuf::new();
    for part in start
        .components()
        .chain(Path::new(link.trim_start_matches('/')).components())
    {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    fn breaches(text: &str) -> usize {
        let there = ["README.md", "docs/design/README.md", "docs/images/report.svg"];
        check("docs/design/README.md", text, |path| {
            there.iter().any(|t| Path::new(t) == path)
        })
        .len()
    }

    #[test]
    fn links_resolve_from_the_file() {
        assert_eq!(
            breaches(
                "[up](../../README.md#why) ![picture](../images/report.svg) [web](https://example.org/a)"
            ),
            0
        );
        assert_eq!(breaches("[root](/README.md) [here](#below)"), 0);
        assert_eq!(breaches("[gone](../README.md)"), 1);
        assert_eq!(breaches("[one](a.md) and [two](b.md)"), 2);
        assert_eq!(breaches("[out of the repository](../../../README.md)"), 1);
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(breaches("```\n[gone](a.md)\n```\n`x[0](y)`"), 0);
    }
}
