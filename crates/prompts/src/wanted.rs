//! What is asked for, and whether it makes sense. It must not know how it is made.

use prony_model::{ImageSpec, Length, ModelSpec, PromptSpec, SessionSpec};

use crate::{PromptError, choose, picture};

/// Most text that is held, in bytes.
pub(crate) const BYTES_MAX: usize = 256 << 20;

/// What the two kinds of scenario have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) prompt: &'a PromptSpec,
    pub(crate) system: Option<&'a str>,
    pub(crate) output: &'a Length,
    pub(crate) model: &'a ModelSpec,
    pub(crate) prompts: u32,
    pub(crate) session: Option<&'a SessionSpec>,
    pub(crate) images: Option<ImageSpec>,
    /// One text instead of messages.
    pub(crate) joined: bool,
}

/// That the requests need too much memory.
pub(crate) fn too_large(key: &str) -> PromptError {
    PromptError::new(
        key,
        format!("these requests need more than {} MiB of memory", BYTES_MAX >> 20),
        "make fewer or shorter ones: they are made before the start and sent again and again",
    )
}

/// Whether the numbers make sense together.
pub(crate) fn check(wanted: &Wanted<'_>) -> Result<(), PromptError> {
    let wrong = |key: &str, what: &str, next: &str| Err(PromptError::new(key, what, next));
    let prompt = wanted.prompt;
    if wanted.prompts == 0 || wanted.prompts > 1_000_000 {
        return wrong("prompts", "so many prompts cannot be made", "write 1 to 1000000");
    }
    if let ModelSpec::Mix(mix) = wanted.model {
        if mix.of.is_empty() {
            return wrong("model.of", "there is no model", "name at least one");
        }
        if !(mix.zipf >= 0.0 && mix.zipf.is_finite()) {
            return wrong("model.zipf", "an exponent is 0 or more", "1 is common");
        }
    }
    choose::check_length(&prompt.tokens, "prompt.tokens")?;
    let file = prompt.trace.is_some() || prompt.dataset.is_some();
    // A token is two characters at least, nearly always: what cannot fit is refused before it is made.
    let least = u64::from(wanted.prompts) * u64::from(choose::shortest(&prompt.tokens)) * 2;
    if !file && least > BYTES_MAX as u64 {
        return Err(too_large("prompts"));
    }
    if prompt.trace.is_some() && prompt.dataset.is_some() {
        return wrong(
            "prompt.trace",
            "`dataset` and `trace` both say what is asked",
            "keep one of them",
        );
    }
    if let Some(shared) = &prompt.shared {
        if file {
            return wrong(
                "prompt.shared",
                "prompts from a file share what they share",
                "remove `shared`, or the file",
            );
        }
        if shared.tokens == 0 || shared.tokens >= choose::shortest(&prompt.tokens) {
            return wrong(
                "prompt.shared.tokens",
                "the shared beginning must be shorter than the shortest prompt, and not empty",
                "raise `prompt.tokens` (it counts the shared beginning too), or lower this",
            );
        }
        if shared.groups == 0 || shared.groups > 10_000 {
            return wrong(
                "prompt.shared.groups",
                "there must be 1 to 10000 groups",
                "1 shares one beginning",
            );
        }
        if !(shared.zipf >= 0.0 && shared.zipf.is_finite()) {
            return wrong(
                "prompt.shared.zipf",
                "an exponent is 0 or more",
                "0 uses all groups alike",
            );
        }
    }
    if let Some(session) = wanted.session {
        if session.turns < 2 || session.turns > 1_000 {
            return wrong(
                "session.turns",
                "a session has 2 to 1000 turns",
                "for one turn remove `session`",
            );
        }
        if !(session.think_ms >= 0.0 && session.think_ms.is_finite()) {
            return wrong("session.think_ms", "`think_ms` is below 0", "write 0 or more");
        }
        choose::check_length(&session.answer_tokens, "session.answer_tokens")?;
        if prompt.trace.is_some() {
            return wrong(
                "session",
                "a trace has a request for each row, and no sessions",
                "remove `session`: shared blocks make the turns of a conversation",
            );
        }
        if wanted.images.is_some() {
            return wrong(
                "session",
                "sessions have no pictures",
                "remove `images` or `session`",
            );
        }
        if prompt.cache_bust {
            return wrong(
                "prompt.cache_bust",
                "sessions begin with fixed texts",
                "raise `prompts`, so that no conversation is sent twice",
            );
        }
        if wanted.joined {
            return wrong("session", "this endpoint has no turns", "use `api = \"chat\"`");
        }
    }
    match &wanted.images {
        Some(images) => picture::check(*images, wanted.joined),
        None => Ok(()),
    }
}
