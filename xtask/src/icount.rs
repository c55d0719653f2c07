//! User instructions per request, under callgrind, against committed limits. Wall time says little on a busy machine;
//! the number of instructions hardly moves. Kernel instructions are not counted: no change of ours makes a system call
//! cheaper, only rarer.
//!
//! Only worker threads count: the main thread starts and sums up, once per phase and not per request. What the start of a
//! worker costs cancels: the cost is the difference of two runs over the difference of their requests. How many
//! answers a worker finds at one wake-up must not depend on timing, so the server stands still until all connections
//! have asked, stops the client, answers all of them and lets it go on.

mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use server::LockStep;

/// Connections of the closed loop.
const CONNECTIONS: usize = 64;
/// Requests per connection in the shorter and in the longer run.
const FEW: usize = 100;
const MANY: usize = 300;
/// A path that is cheaper than this part of its limit needs a new limit.
const LEAST: f64 = 0.9;

/// A path through the engine, as the limits file has it.
struct Counted {
    name: String,
    about: String,
    limit: f64,
}

/// Counts every path and prints the table; whether all are within their limits.
pub(crate) fn run() -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent directory")?;
    let limits = limits(&root.join("xtask/icount.toml"))?;
    let program = build(root)?;
    let mut good = true;
    for limit in &limits {
        let counted = per_request(&limit.name, &program)?;
        let verdict = judge(counted, limit.limit);
        println!(
            "{:8} {counted:8.0} of {:.0}  {}",
            limit.name, limit.limit, limit.about
        );
        if let Err(says) = verdict {
            println!("{:8} {says}", "");
            good = false;
        }
    }
    Ok(good)
}

/// Why the figure and the limit do not belong together.
fn judge(counted: f64, limit: f64) -> Result<(), String> {
    if counted > limit {
        return Err(format!(
            "over the limit by {:.1} %: make it cheaper, or say in xtask/icount.toml's commit why it may cost that",
            (counted / limit - 1.0) * 100.0
        ));
    }
    if counted < limit * LEAST {
        return Err(format!(
            "under the limit by {:.1} %: write limit = {:.0} into xtask/icount.toml",
            (1.0 - counted / limit) * 100.0,
            (counted * 1.02).ceil()
        ));
    }
    Ok(())
}

fn limits(path: &Path) -> anyhow::Result<Vec<Counted>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} needs [path.NAME] with about and limit", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Counted>> {
    let table: toml::Table = text.parse()?;
    let paths = table
        .get("path")
        .and_then(toml::Value::as_table)
        .context("no path")?;
    paths
        .iter()
        .map(|(name, path)| {
            let about = path
                .get("about")
                .and_then(toml::Value::as_str)
                .context("no about")?;
            let limit = path
                .get("limit")
                .and_then(toml::Value::as_integer)
                .context("no limit")?;
            Ok(Counted {
                name: name.clone(),
                about: about.to_owned(),
                limit: limit as f64,
            })
        })
        .collect()
}

/// Builds the program with system calls through the C library: valgrind does not follow rustix's own. What does not call
/// the system is shared with the release build.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "prony-engine"])
        .args(["--example", "icount", "--features", "rustix/use-libc"])
        .current_dir(root)
        .status()
        .context("cargo is needed to build what is counted")?;
    ensure!(
        built.success(),
        "the program that is to be counted does not build"
    );
    Ok(target.join("release/examples/icount"))
}

fn per_request(name: &str, program: &Path) -> anyhow::Result<f64> {
    let few = instructions(name, program, FEW)?;
    let many = instructions(name, program, MANY)?;
    let more = many
        .checked_sub(few)
        .context("more requests took fewer instructions")?;
    Ok(more as f64 / ((MANY - FEW) * CONNECTIONS) as f64)
}

/// User instructions of one run of the program with so many requests per connection.
fn instructions(name: &str, program: &Path, rounds: usize) -> anyhow::Result<u64> {
    let server = match name {
        "http" => Some(LockStep::bind()?),
        "null" => None,
        _ => bail!("xtask/icount.toml names a path that is not known: {name}"),
    };
    let folder = Scratch::new()?;
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}/thread", folder.0.display()))
        .arg(program)
        .args([
            server.as_ref().map_or("null:".to_owned(), LockStep::url),
            CONNECTIONS.to_string(),
            (rounds * CONNECTIONS).to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("valgrind is needed: apt-get install valgrind")?;
    let answered = server.map_or(Ok(()), |server| server.serve(child.id(), CONNECTIONS, rounds));
    if answered.is_err() {
        // It may wait for an answer that will not come.
        server::kill(child.id())?;
    }
    let done = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    answered.with_context(|| format!("the client broke off:\n{said}"))?;
    ensure!(done.status.success(), "the client failed:\n{said}");
    let mut workers = Vec::new();
    for file in std::fs::read_dir(&folder.0)? {
        let path = file?.path();
        let profile = std::fs::read_to_string(&path)?;
        // Thread 1 is the main thread; the file without a number belongs to none.
        if thread(&profile).is_some_and(|thread| thread > 1) {
            workers.push(total(&profile).with_context(|| format!("no total in {}", path.display()))?);
        }
    }
    ensure!(!workers.is_empty(), "callgrind saw no worker thread:\n{said}");
    Ok(workers.iter().sum())
}

/// The thread that a profile is of.
fn thread(profile: &str) -> Option<u32> {
    profile
        .lines()
        .find_map(|line| line.strip_prefix("thread: "))?
        .parse()
        .ok()
}

/// The instructions in a profile.
fn total(profile: &str) -> Option<u64> {
    profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?
        .parse()
        .ok()
}

/// A folder of our own that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("prony-icount-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in a folder for temporary files hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, parse, thread, total};

    #[test]
    fn both_sides_of_a_limit_are_kept() {
        assert!(judge(4000.0, 4000.0).is_ok() && judge(3600.0, 4000.0).is_ok());
        assert!(judge(4001.0, 4000.0).unwrap_err().contains("over"));
        assert!(judge(3500.0, 4000.0).unwrap_err().contains("limit = 3570"));
    }

    #[test]
    fn the_count_is_found() {
        let profile = "version: 1\npid: 7\nthread: 2\npart: 1\nevents: Ir\nsummary: 9\nfn=(1) x\n0 5\ntotals: 1234567\n";
        assert_eq!((thread(profile), total(profile)), (Some(2), Some(1_234_567)));
        assert_eq!((thread("pid: 7\n"), total("events: Ir\n")), (None, None));
    }

    #[test]
    fn limits_are_read() {
        let limits = parse("[path.http]\nabout = 'x'\nlimit = 5\n").unwrap();
        assert_eq!((limits[0].name.as_str(), limits[0].limit), ("http", 5.0));
        assert!(parse("[path.http]\nlimit = 5\n").is_err());
    }
}
