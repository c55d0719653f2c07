//! No tracked file names a place that exists on one machine only: the checkout itself, its parent, a home directory.

use std::path::Path;

use super::Breach;

/// Home directories that belong to nobody in particular in code, but to somebody in a path.
const HOMES: &[&str] = &[concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Breaches in one text file of a checkout at `root`.
pub(super) fn check(path: &str, text: &str, root: &str) -> Vec<Breach> {
    let mut private: Vec<String> = HOMES.iter().map(|&home| home.to_owned()).collect();
    private.push(root.to_owned());
    if let Some(parent) = Path::new(root)
        .parent()
        .filter(|parent| parent.components().count() > 1)
    {
        private.push(format!("{}/", parent.display()));
    }
    let mut breaches = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(found) = private.iter().find(|place| names(line, place)) {
            let says = format!("`{found}` exists on one machine only");
            breaches.push(Breach::new(path, number, says));
        }
    }
    breaches
}

/// Whether the line has the place as the start of an absolute path, and not as the middle of another one.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let inside = line[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c));
        !inside
    })
}

#[cfg(test)]
mod tests {
    use super::{HOMES, check};

    fn breaches(text: &str) -> usize {
        check("a.md", text, "/srv/code/prony").len()
    }

    #[test]
    fn places_of_one_machine_are_found() {
        for home in HOMES {
            assert_eq!(breaches(&format!("see `{home}me/notes`")), 1, "{home}");
        }
        assert_eq!(breaches("run /srv/code/prony/target/release/prony"), 1);
        assert_eq!(breaches("see /srv/code/other/notes"), 1);
    }

    #[test]
    fn other_paths_are_fine() {
        assert_eq!(
            breaches("GET /api/srv/code/x and crates/srv/code/ and /proc/self/stat"),
            0
        );
    }

    #[test]
    fn a_checkout_at_the_top_forbids_only_itself() {
        assert_eq!(
            check("a.md", "cd /src && ls crates/a/src/b.rs /etc/hosts", "/src").len(),
            1
        );
        assert_eq!(check("a.md", "ls crates/a/src/b.rs /etc/hosts", "/src").len(), 0);
    }
}
