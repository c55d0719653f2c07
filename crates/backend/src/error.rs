//! Why the backend could not start. Every variant is a user error with the next step in its text; what happens after the
//! start is answered over HTTP and never ends the process.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why [`serve`](crate::serve()) returned without serving, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No preset of that name.
    #[error("no preset is called '{name}'{}; presets: {}", suggestion(nearest.as_deref()), valid.join(", "))]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The closest name, when one is close.
        nearest: Option<String>,
        /// All names.
        valid: Vec<&'static str>,
    },
    /// The preset has no such knob.
    #[error("preset '{preset}' has no knob '{name}'{}; knobs: {}", suggestion(nearest.as_deref()), valid.join(", "))]
    UnknownKnob {
        /// The preset.
        preset: &'static str,
        /// What was asked for.
        name: String,
        /// The closest name, when one is close.
        nearest: Option<String>,
        /// All names.
        valid: Vec<&'static str>,
    },
    /// A knob's value cannot be read or is out of bounds.
    #[error("knob '{name}' cannot be '{value}': {reason}")]
    BadKnob {
        /// The knob.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// The port is taken, forbidden, or the address is not ours.
    #[error("cannot listen on {address}: {}", listen_advice(source))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The slide folder cannot be used.
    #[error("slides folder {}: {reason}", folder.display())]
    Slides {
        /// The folder or file.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The words of a command line make no sense.
    #[error(
        "{0}; use: serve PRESET [--port N] [--admin-port N] [--seed N] [--time-scale RATIO] [--set KNOB=VALUE]..."
    )]
    Command(String),
    /// The preset does not speak over standard input and output.
    #[error("preset '{preset}' is served over HTTP only; leave --stdio out, or serve 'media'")]
    NoStdio {
        /// The preset.
        preset: &'static str,
    },
    /// The runtime, a thread or a listener failed.
    #[error("the backend stopped: {0}")]
    Io(#[from] std::io::Error),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean '{name}'?)"))
}

fn listen_advice(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "the port is in use; stop the other process or choose another with --port (0 takes any free one)"
                .to_owned()
        }
        std::io::ErrorKind::PermissionDenied => {
            "not permitted; ports under 1024 need privileges, choose a higher one with --port".to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; use --host 127.0.0.1".to_owned()
        }
        _ => source.to_string(),
    }
}

/// The name in `valid` closest to `name`, if it is close enough to be a slip of the pen.
pub(crate) fn nearest(name: &str, valid: &[&'static str]) -> Option<String> {
    let wanted = name.to_lowercase().replace('-', "_");
    valid
        .iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.replace('-', "_")),
                *candidate,
            )
        })
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_close() {
        let valid = ["serial", "device_ms", "lazy_load"];
        assert_eq!(nearest("lazyload", &valid).as_deref(), Some("lazy_load"));
        assert_eq!(nearest("device-ms", &valid).as_deref(), Some("device_ms"));
        assert_eq!(nearest("zzz", &valid), None);
    }
}
