//! Where a run is recorded, and how it is shown meanwhile.

use std::path::PathBuf;

use prony_report::TerminalStyle;

use super::host;
use super::live::Live;
use crate::session::Session;

/// Folder that holds the runs for which no other was named.
const RUNS: &str = "prony-runs";

/// The folder, the style of the closing words, and the live view.
pub(crate) struct Place {
    /// Folder of the recording.
    pub dir: PathBuf,
    /// Style of what is printed on standard output.
    pub style: TerminalStyle,
    /// What is shown on standard error.
    pub live: Live,
}

impl Place {
    /// Of the run with that id, in the folder that was asked for.
    pub(crate) fn new(output: Option<PathBuf>, id: &str, session: &Session) -> Self {
        let style = TerminalStyle {
            color: session.color,
            width: host::terminal_width(),
        };
        let live = TerminalStyle {
            color: session.live() && style.color,
            ..style
        };
        Self {
            dir: output.unwrap_or_else(|| PathBuf::from(RUNS).join(id)),
            style,
            live: Live::new(session.quiet, live),
        }
    }
}
