//! What a command knows of the process it runs in: the stop flag, the terminal, the command line.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The process around a command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Set by the first Ctrl-C or SIGTERM; the second ends the process at once.
    pub stop: Arc<AtomicBool>,
    /// Print no progress and no notes.
    pub quiet: bool,
    /// Whether to colour standard output.
    pub color: bool,
    /// The command line as recorded with a run: values of sensitive headers are replaced.
    pub command: String,
}

impl Session {
    /// For this process: installs the signal handlers.
    pub(crate) fn start(quiet: bool, no_color: bool) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            stop,
            quiet,
            color: colors_wanted(no_color) && io::stdout().is_terminal(),
            command: recorded_command(std::env::args().skip(1)),
        })
    }

    /// Whether the person asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a live line may be drawn on standard error.
    pub(crate) fn live(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Prints a result on standard output.
    #[expect(
        clippy::unused_self,
        reason = "output belongs to the session; callers must not need to know how"
    )]
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Tells the person something on standard error, unless they want quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // A closed standard error is no reason to end a measurement.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Whether colours are wanted at all: neither `--no-color` nor a non-empty NO_COLOR.
pub(crate) fn colors_wanted(no_color: bool) -> bool {
    !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Headers whose values are secrets, lower case.
const SENSITIVE: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
];

/// Whether a header's value must not be printed or stored.
pub(crate) fn is_sensitive(header: &str) -> bool {
    SENSITIVE.iter().any(|name| name.eq_ignore_ascii_case(header))
}

/// The command line in one string, quoted for a shell, with secrets replaced.
fn recorded_command(args: impl Iterator<Item = String>) -> String {
    let mut words = vec!["prony".to_owned()];
    let mut after_cookie = false;
    for arg in args {
        let kept = if after_cookie {
            without_value(&arg)
        } else {
            redact(&arg)
        };
        after_cookie = arg == "--cookie";
        words.push(quote(&kept));
    }
    words.join(" ")
}

/// The name of a cookie, without its value.
fn without_value(cookie: &str) -> String {
    let name = cookie.split_once('=').map_or("", |(name, _)| name);
    format!("{name}=***")
}

/// The argument without the values of cookies and sensitive headers and without user info in a URL.
fn redact(arg: &str) -> String {
    let header = arg.trim_start_matches("--header=").trim_start_matches("-H");
    if let Some((name, _)) = header.split_once(':')
        && is_sensitive(name.trim())
    {
        return arg[..arg.len() - header.len() + name.len()].to_owned() + ": ***";
    }
    if let Some(cookie) = arg.strip_prefix("--cookie=") {
        return format!("--cookie={}", without_value(cookie));
    }
    if let Some((scheme, rest)) = arg.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some(at) = authority.rfind('@') {
            return format!("{scheme}://***@{}", &rest[at + 1..]);
        }
    }
    arg.to_owned()
}

/// A word as a shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::recorded_command;

    fn recorded(args: &[&str]) -> String {
        recorded_command(args.iter().map(ToString::to_string))
    }

    #[test]
    fn secrets_are_not_recorded() {
        for args in [
            &["load", "-H", "Authorization: Bearer hunter2"][..],
            &["load", "-HAuthorization: hunter2"],
            &["load", "--header=X-Api-Key:hunter2"],
            &["load", "http://me:hunter2@h/x@y"],
            &["load", "--cookie", "a=hunter2", "--cookie", "b=hunter2=="],
            &["load", "--cookie=a=hunter2"],
            &["load", "--cookie", "hunter2"],
            &["load", "--cookie", "--cookie", "a=hunter2"],
        ] {
            let text = recorded(args);
            assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
        }
    }

    #[test]
    fn the_rest_is_recorded_as_typed() {
        let text = recorded(&["load", "http://h/x?a=1&b=2", "-b", "it's", "-H", "Accept: */*"]);
        assert_eq!(
            text,
            r"prony load 'http://h/x?a=1&b=2' -b 'it'\''s' -H 'Accept: */*'"
        );
    }
}
