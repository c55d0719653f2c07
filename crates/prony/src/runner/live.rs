//! What a person sees while a run goes on: phases as they pass, findings as they are made.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use prony_model::{Event, Finding, Nanos, Verdict};
use prony_report::{TerminalStyle, terminal};

use crate::text::{clean, counted};

/// The live view on standard error, so that standard output stays for results.
pub(crate) struct Live {
    quiet: bool,
    style: TerminalStyle,
    /// Whether a line that is rewritten in place is on the screen.
    line_open: bool,
    rewrites: bool,
    passed: u32,
    phase: String,
}

impl Live {
    /// A view in that style; `quiet` shows nothing.
    pub(crate) fn new(quiet: bool, style: TerminalStyle) -> Self {
        let rewrites = std::io::stderr().is_terminal();
        Self {
            quiet,
            style,
            line_open: false,
            rewrites,
            passed: 0,
            phase: String::new(),
        }
    }

    /// Prints one line of its own.
    pub(crate) fn say(&mut self, line: &str) {
        if self.quiet {
            return;
        }
        self.wipe();
        // A terminal that goes away is no reason to end a run.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::PhaseStarted { phase, .. } => {
                self.phase = format!("{}: {} ({})", phase.experiment, phase.name, phase.shape.label());
                let line = format!("  ... {}", clean(&self.phase, self.style.width.saturating_sub(8)));
                self.rewrite(&line);
            }
            Event::Progressed(progress) => {
                let mut line = format!(
                    "  ... {}  {} done, {:.0}/s",
                    clean(&self.phase, self.style.width.saturating_sub(45)),
                    progress.done,
                    progress.per_s
                );
                if progress.p50 > Nanos::ZERO {
                    let _ = write!(line, ", p50 {}", progress.p50);
                }
                if progress.failed > 0 {
                    let _ = write!(line, ", {} failed", progress.failed);
                }
                self.rewrite(&line);
            }
            Event::FindingMade(finding) => self.finding(finding),
            Event::Noted { text } => self.say(&format!("  note  {}", clean(text, 400))),
            _ => {}
        }
    }

    /// Findings that pass are counted, the others are told at once.
    fn finding(&mut self, finding: &Finding) {
        if finding.verdict == Verdict::Pass {
            self.passed += 1;
            return;
        }
        let line = terminal::finding_line(finding, self.style);
        self.say(&line);
    }

    /// Ends the view.
    pub(crate) fn close(&mut self) {
        if !self.quiet && self.passed > 0 {
            let passed = self.passed;
            let checks = counted(passed as usize, "further check");
            self.say(&format!("  {checks} passed"));
        }
        self.wipe();
    }

    fn rewrite(&mut self, line: &str) {
        if !self.rewrites {
            return;
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\r\x1b[2K{line}");
        let _ = err.flush();
        self.line_open = true;
    }

    fn wipe(&mut self) {
        if self.line_open {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\x1b[2K");
            let _ = err.flush();
            self.line_open = false;
        }
    }
}
