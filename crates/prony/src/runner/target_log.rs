//! What a process that Prony started prints: bounded, escaped, without secrets, kept in a file beside the report. It understands
//! none of it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use prony_model::Secret;

/// Name of the file, in the folder of the report.
pub(crate) const FILE: &str = "target.log";
/// Bytes of the file; what is printed beyond them is counted.
const BYTES_MAX: usize = 4 << 20;
/// Longest line; what is longer goes on in the next.
const LINE_MAX: u64 = 4096;
/// Last lines that are remembered for messages.
const LAST_LINES: usize = 20;

/// The output of one target, over all of its starts.
pub(super) struct Log {
    began: Instant,
    secrets: Vec<Secret>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was printed before there was a file.
    early: String,
    file: Option<File>,
    bytes: usize,
    left_out: u64,
    last: VecDeque<String>,
    announced: Option<String>,
}

impl Log {
    /// An empty one, in which these values are never written.
    pub(super) fn new(secrets: Vec<Secret>) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            secrets,
            state: Mutex::default(),
        })
    }

    /// Reads a stream to its end on a thread of its own, so that the process never waits for its reader.
    pub(super) fn follow(
        self: &Arc<Self>,
        stream: impl Read + Send + 'static,
        name: &'static str,
    ) -> JoinHandle<()> {
        let log = Arc::clone(self);
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                match stream.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                    Ok(n) if n > 0 => log.add(name, &String::from_utf8_lossy(&line)),
                    _ => return,
                }
            }
        })
    }

    /// One line, by what it came from: `out`, `err`, or `---` for what Prony did.
    pub(super) fn add(&self, name: &str, text: &str) {
        let mut text = text.trim_end_matches(['\n', '\r']).to_owned();
        for secret in self.secrets.iter().map(Secret::reveal).filter(|s| !s.is_empty()) {
            text = text.replace(secret, "***");
        }
        let text = escaped(&text);
        let line = format!("{:>9.3} s  {name}  {text}\n", self.began.elapsed().as_secs_f64());
        let mut state = self.lock();
        if name != "---" {
            if text.starts_with("ready ") && state.announced.is_none() {
                state.announced = Some(text.clone());
            }
            state.last.push_back(text);
            if state.last.len() > LAST_LINES {
                state.last.pop_front();
            }
        }
        if state.bytes + line.len() > BYTES_MAX {
            state.left_out += 1;
            return;
        }
        state.bytes += line.len();
        match &mut state.file {
            // A full disk loses the log, not the run.
            Some(file) => drop(file.write_all(line.as_bytes())),
            None => state.early.push_str(&line),
        }
    }

    /// Writes all of it, and what comes, into that file.
    pub(super) fn keep_in(&self, file: &Path) -> io::Result<()> {
        let mut file = File::create(file)?;
        let mut state = self.lock();
        file.write_all(std::mem::take(&mut state.early).as_bytes())?;
        state.file = Some(file);
        Ok(())
    }

    /// The last lines that the process printed, one under the other; empty when it printed none.
    pub(super) fn last_lines(&self) -> String {
        self.lock().last.iter().fold(String::new(), |mut text, line| {
            let _ = write!(text, "\n    {line}");
            text
        })
    }

    /// The first line that began with `ready ` since this was asked last.
    pub(super) fn take_announced(&self) -> Option<String> {
        self.lock().announced.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut state.file
            && state.left_out > 0
        {
            // As above.
            let _ = writeln!(file, "... and {} lines more, which are not kept", state.left_out);
        }
    }
}

/// The text with everything that a terminal would act upon written as an escape.
fn escaped(text: &str) -> String {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            if acts(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use prony_model::Secret;

    use super::{BYTES_MAX, FILE, LAST_LINES, Log};

    fn folder(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("prony-log-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn hostile_output_is_escaped_and_secrets_are_not_written() {
        let log = Log::new(vec![Secret::new("hunter2"), Secret::new("")]);
        let text: &[u8] = b"a\x1b[31mred\x07 \xff key=hunter2\r\nready for nothing\n";
        log.follow(Cursor::new(text), "out").join().unwrap();
        let dir = folder("hostile");
        log.keep_in(&dir.join(FILE)).unwrap();
        log.add("err", "later \u{202e}");
        assert!(log.last_lines().contains("key=***"));
        assert_eq!(log.take_announced().unwrap(), "ready for nothing");
        assert!(log.take_announced().is_none());
        drop(log);
        let written = fs::read_to_string(dir.join(FILE)).unwrap();
        assert!(
            written.contains("a\\u{1b}[31mred\\u{7} \u{fffd} key=***\n")
                && written.contains("err  later \\u{202e}"),
            "{written}"
        );
        assert!(!written.contains('\u{1b}') && !written.contains("hunter2"));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn endless_output_is_bounded_and_what_is_left_out_is_counted() {
        let log = Log::new(Vec::new());
        let dir = folder("endless");
        let line = "x".repeat(100_000);
        for _ in 0..30 {
            log.follow(Cursor::new(line.clone().into_bytes()), "err")
                .join()
                .unwrap();
        }
        log.keep_in(&dir.join(FILE)).unwrap();
        for _ in 0..30 {
            log.follow(Cursor::new(line.clone().into_bytes()), "err")
                .join()
                .unwrap();
        }
        assert_eq!(
            log.last_lines().lines().filter(|l| l.contains('x')).count(),
            LAST_LINES
        );
        drop(log);
        let written = fs::read_to_string(dir.join(FILE)).unwrap();
        assert!(written.len() <= BYTES_MAX + 100, "{}", written.len());
        assert!(
            written.ends_with("lines more, which are not kept\n"),
            "the end is told"
        );
        fs::remove_dir_all(dir).unwrap();
    }
}
