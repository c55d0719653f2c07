//! The user's own ONNX model in the place of the small networks, run by onnxruntime, whose shared library is loaded at the start.

mod labels;
mod layout;
mod letterbox;
mod library;
mod session;

pub(crate) use session::start;

/// Longest text of the runtime or of a model that is passed on, in characters.
const TEXT_MAX: usize = 500;

/// Text of the runtime or of a model, fit for one line of a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(TEXT_MAX)
        .collect()
}
