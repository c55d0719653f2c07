//! Colour, when it is wanted.

use prony_model::Verdict;

/// Colours text, or leaves it.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// The verdict's word, padded to the longest.
    pub(super) fn verdict(self, verdict: Verdict) -> String {
        let code = match verdict {
            Verdict::Pass => "32",
            Verdict::Warn => "33",
            Verdict::Inconclusive => "36",
            Verdict::Fail => "1;31",
            Verdict::Invalid => "1;35",
        };
        self.wrap(code, &format!("{verdict:<12}"))
    }

    /// A heading.
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Something of less weight.
    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
