//! `prony man`: generated from the command tree.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap_mangen::Man;
use prony_model::ExitCode;

use crate::cli::{Cli, ManArgs};
use crate::session::Session;

/// Prints the main page, or writes every page into a folder.
pub(crate) fn run(args: &ManArgs, session: &Session) -> anyhow::Result<ExitCode> {
    match &args.dir {
        None => session.print(&page(Cli::tree())?)?,
        Some(dir) => {
            for (name, text) in pages()? {
                write(dir, &name, &text)?;
            }
            session.note(&format!("wrote the manual pages to {}", dir.display()));
        }
    }
    Ok(ExitCode::Pass)
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// File name and text of every page.
fn pages() -> anyhow::Result<Vec<(String, String)>> {
    let mut tree = Cli::tree();
    tree.build();
    let mut pages = vec![("prony.1".to_owned(), page(tree.clone())?)];
    for command in tree.get_subcommands() {
        let name = format!("prony-{}", command.get_name());
        pages.push((format!("{name}.1"), page(command.clone().name(name))?));
    }
    Ok(pages)
}

fn page(command: clap::Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn one_page_per_command_and_one_for_all() {
        let pages = pages().unwrap();
        assert_eq!(pages.len(), crate::cli::Cli::tree().get_subcommands().count() + 1);
        let (name, load) = &pages[2];
        assert_eq!(name, "prony-load.1");
        assert!(load.contains("closed loop") && load.contains("allow\\-failures"));
        assert!(pages[0].1.contains("130"), "the main page lists the exit codes");
    }
}
