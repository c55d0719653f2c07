//! Facts of this machine and this moment that a report must name.

use std::collections::BTreeMap;
use std::fs;

use prony_model::RunSpec;

/// Cores that this process may use.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

/// Kernel, CPU, cores and memory, as far as the system tells, and with which priority the run sends.
pub(crate) fn facts(run: &RunSpec) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let sending = if run.normal_priority || !prony_engine::may_be_real_time() {
        "normal"
    } else {
        "real-time"
    };
    facts.insert("priority of sending".to_owned(), sending.to_owned());
    facts.insert("cores".to_owned(), cores().to_string());
    facts.insert(
        "os".to_owned(),
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    if let Ok(kernel) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        facts.insert("kernel".to_owned(), kernel.trim().to_owned());
    }
    if let Some(model) = field("/proc/cpuinfo", "model name") {
        facts.insert("cpu".to_owned(), model);
    }
    if let Some(kib) =
        field("/proc/meminfo", "MemTotal").and_then(|t| t.strip_suffix(" kB")?.parse::<f64>().ok())
    {
        facts.insert("memory".to_owned(), format!("{:.1} GiB", kib / 1024.0 / 1024.0));
    }
    facts
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|l| l.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Now, RFC 3339 in UTC with seconds.
pub(crate) fn wall_clock() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An identifier that sorts by time; the suffix tells apart runs of the same second.
pub(crate) fn run_id(seed: u64) -> String {
    let now = jiff::Timestamp::now();
    let mixed = (now.as_nanosecond() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ seed
        ^ u64::from(std::process::id());
    format!("{}-{:04x}", now.strftime("%Y%m%dT%H%M%SZ"), (mixed >> 48) as u16)
}

/// Columns of the terminal, within reason; 100 when there is none.
pub(crate) fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|s| usize::from(s.ws_col))
        .filter(|&w| w > 0)
        .map_or(100, |w| w.clamp(60, 140))
}
