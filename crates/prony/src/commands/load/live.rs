//! The one line that moves while load is sent. It knows a terminal's width and nothing of statistics.

use std::io::{self, Write};

use prony_model::Progress;

/// Rewrites itself on standard error; draws nothing when that is no terminal.
#[derive(Debug)]
pub(super) struct LiveLine {
    on: bool,
    drawn: bool,
    requests: Option<u64>,
    duration_s: Option<f64>,
}

impl LiveLine {
    /// A line for so many requests or seconds, whichever is known.
    pub(super) fn new(on: bool, (requests, duration_s): (Option<u64>, Option<f64>)) -> Self {
        Self {
            on,
            drawn: false,
            requests,
            duration_s,
        }
    }

    /// Draws the latest second. `elapsed_s` counts from the start of the phase.
    pub(super) fn show(&mut self, progress: &Progress, elapsed_s: f64) {
        if self.on {
            self.drawn = true;
            // A closed standard error is no reason to end a measurement.
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.text(progress, elapsed_s));
        }
    }

    /// Takes the line off the screen.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn text(&self, progress: &Progress, elapsed_s: f64) -> String {
        let time = match self.duration_s {
            Some(total) => format!("{elapsed_s:.0}/{total:.0} s"),
            None => format!("{elapsed_s:.0} s"),
        };
        let done = match self.requests {
            Some(total) => format!("{}/{total} done", progress.done),
            None => format!("{} done", progress.done),
        };
        let failed = if progress.failed > 0 {
            format!(", {} failed", progress.failed)
        } else {
            String::new()
        };
        format!(
            "{time}  {done}{failed}  {:.0}/s  p50 {}  p99 {}  {} in flight",
            progress.per_s, progress.p50, progress.p99, progress.in_flight
        )
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, Progress};

    use super::LiveLine;

    #[test]
    fn says_how_far_it_is() {
        let progress = Progress {
            done: 1500,
            failed: 2,
            in_flight: 64,
            per_s: 812.4,
            p50: Nanos(1_200_000),
            p99: Nanos(3_400_000),
            ..Progress::default()
        };
        let line = LiveLine::new(true, (None, Some(10.0)));
        assert_eq!(
            line.text(&progress, 3.04),
            "3/10 s  1500 done, 2 failed  812/s  p50 1.20ms  p99 3.40ms  64 in flight"
        );
        let line = LiveLine::new(true, (Some(2000), None));
        assert!(
            line.text(&Progress::default(), 0.0)
                .starts_with("0 s  0/2000 done  0/s")
        );
    }
}
