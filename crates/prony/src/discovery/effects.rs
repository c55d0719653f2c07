//! What the name of an operation or a tool says of side effects that nobody asked for. It must not know any particular target.

use prony_model::name_words;

/// Words that say so wherever they stand and whatever the method, for a target may take any method there.
const ALWAYS: &[&str] = &[
    "abort",
    "cancel",
    "clear",
    "delete",
    "destroy",
    "drop",
    "erase",
    "evict",
    "flush",
    "flushall",
    "flushdb",
    "freeze",
    "kick",
    "kill",
    "logout",
    "pause",
    "purge",
    "reboot",
    "reload",
    "remove",
    "reset",
    "restart",
    "revoke",
    "shutdown",
    "signout",
    "startprofile",
    "stop",
    "terminate",
    "truncate",
    "uninstall",
    "unload",
    "wipe",
];
/// Words that say so of what is not only read, wherever they stand.
const CHANGES: &[&str] = &[
    "admin", "load", "login", "payment", "publish", "register", "signup", "token", "train",
];
/// Further ones, unless the last segment begins with a word for inference: `/profile/score` only reads the profile.
const UNLESS_INFERRED: &[&str] = &[
    "configure",
    "deploy",
    "disable",
    "enable",
    "insert",
    "install",
    "notify",
    "password",
    "refund",
    "rollback",
    "signin",
    "unregister",
    "unsubscribe",
    "update",
    "upgrade",
    "upsert",
    "webhook",
];
/// Verbs that are nouns as well: they count where a segment begins with them.
const LEADING: &[&str] = &[
    "close",
    "config",
    "grant",
    "invite",
    "pay",
    "profile",
    "release",
    "rename",
    "resume",
    "save",
    "send",
    "set",
    "sleep",
    "subscribe",
    "wake",
    "write",
];
/// Verbs that begin the names of tools that change something.
const OF_TOOLS: &[&str] = &[
    "append", "assign", "buy", "commit", "merge", "move", "post", "push", "reply",
];
/// Verbs that count for a GET where more words follow: `/wake_up`, and not `/load`.
const OF_GET: &[&str] = &[
    "configure",
    "disable",
    "enable",
    "load",
    "release",
    "resume",
    "set",
    "start",
    "update",
    "wake",
    "write",
];
/// Last words of a segment that only tells something: `/release-notes`, `/load_average`.
const TELLS: &[&str] = &[
    "average", "data", "date", "history", "info", "list", "log", "logs", "metrics", "notes", "page", "size",
    "state", "stats", "status", "summary", "time", "times",
];
/// Words for inference, search and other computing.
const INFERS: &[&str] = &[
    "analyse",
    "analyze",
    "answer",
    "classify",
    "complete",
    "completion",
    "completions",
    "detect",
    "embed",
    "embedding",
    "embeddings",
    "encode",
    "estimate",
    "evaluate",
    "extract",
    "forecast",
    "generate",
    "infer",
    "inference",
    "parse",
    "predict",
    "prediction",
    "predictions",
    "query",
    "rank",
    "recommend",
    "recommendations",
    "rerank",
    "score",
    "search",
    "segment",
    "similarity",
    "summarise",
    "summarize",
    "transcribe",
    "translate",
];
/// Words in the names of tools that only compute or bring something.
const COMPUTES: &[&str] = &[
    "ask",
    "calculate",
    "chat",
    "check",
    "compare",
    "compute",
    "content",
    "convert",
    "count",
    "current",
    "describe",
    "download",
    "draw",
    "echo",
    "explain",
    "export",
    "fetch",
    "find",
    "format",
    "get",
    "greet",
    "hello",
    "help",
    "info",
    "list",
    "lookup",
    "measure",
    "multiply",
    "ping",
    "prepare",
    "preview",
    "random",
    "read",
    "render",
    "resize",
    "retrieve",
    "roll",
    "show",
    "solve",
    "speak",
    "status",
    "subtract",
    "sum",
    "synthesise",
    "synthesize",
    "thumbnail",
    "transform",
    "validate",
    "verify",
    "view",
    "weather",
];
/// Words in the names of tools that make something that stays.
const MAKES: &[&str] = &[
    "add", "create", "insert", "make", "new", "open", "register", "remember", "save", "store", "submit",
    "upload",
];

/// Whether an operation at this path, which its document calls `id`, has effects.
pub(super) fn of_operation(method: &str, path: &str, id: &str) -> bool {
    let segments = path
        .split('/')
        .map(|segment| name_words(&outside_braces(segment)));
    let segments: Vec<Vec<String>> = segments.filter(|words| !words.is_empty()).collect();
    if always(&name_words(id)) || segments.iter().any(|words| always(words)) {
        return true;
    }
    if method == "GET" {
        !infers(&segments) && segments.iter().any(|words| gets(words))
    } else {
        changes(&segments)
    }
}

/// A segment without the names of its parameters.
fn outside_braces(segment: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in segment.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Whether a tool of this name has effects; `reads` where it says that it changes nothing.
pub(super) fn of_tool(name: &str, reads: bool) -> bool {
    let words = name_words(name);
    let begins = words
        .first()
        .is_some_and(|first| OF_TOOLS.contains(&first.as_str()));
    always(&words) || (!reads && (begins || changes(&[words])))
}

/// Whether the name of a tool says that it only infers, searches, computes or brings something.
pub(super) fn only_computes(name: &str) -> bool {
    let words = name_words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    // What is added to nothing that is named is added up.
    words == ["add"] || ((has(INFERS) || has(COMPUTES)) && !has(MAKES))
}

/// Whether the last segment of a path says so.
pub(super) fn path_only_computes(path: &str) -> bool {
    let mut segments = path.split('/').map(outside_braces);
    segments
        .rfind(|segment| !name_words(segment).is_empty())
        .is_some_and(|last| only_computes(&last))
}

fn always(words: &[String]) -> bool {
    // `shut_down` is a word too.
    let pairs = words.windows(2).map(<[String]>::concat);
    let mut all = words.iter().cloned().chain(pairs);
    all.any(|word| ALWAYS.contains(&word.as_str()))
}

fn changes(segments: &[Vec<String>]) -> bool {
    let any = |list: &[&str]| {
        let mut words = segments.iter().flat_map(|words| {
            let pairs = words.windows(2).map(<[String]>::concat);
            words.iter().cloned().chain(pairs)
        });
        words.any(|word| list.contains(&word.as_str()))
    };
    let mut firsts = segments.iter().filter_map(|words| words.first());
    any(CHANGES)
        || (!infers(segments)
            && (any(UNLESS_INFERRED) || firsts.any(|word| LEADING.contains(&word.as_str()))))
}

/// Whether the last segment begins with a word for inference.
fn infers(segments: &[Vec<String>]) -> bool {
    let first = segments.last().and_then(|words| words.first());
    first.is_some_and(|word| INFERS.contains(&word.as_str()))
}

fn gets(words: &[String]) -> bool {
    match words {
        [only] => only == "sleep",
        [first, .., last] => OF_GET.contains(&first.as_str()) && !TELLS.contains(&last.as_str()),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{of_operation, of_tool, only_computes, path_only_computes};

    #[test]
    fn operations_with_effects_are_known_by_their_names() {
        for (method, path) in [
            ("POST", "/deleteDocument"),
            ("GET", "/items/{id}/delete"),
            ("GET", "/shutdown"),
            ("GET", "/shut-down"),
            ("GET", "/logout"),
            ("GET", "/flush_cache"),
            ("GET", "/clear_hicache_storage_backend"),
            ("GET", "/start_profile"),
            ("GET", "/freeze_gc"),
            ("GET", "/wake_up"),
            ("GET", "/sleep"),
            ("GET", "/update_weight_version"),
            ("POST", "/pause_generation"),
            ("POST", "/resume_memory_occupation"),
            ("POST", "/update_weights_from_disk"),
            ("POST", "/sleep"),
            ("POST", "/cache/flushall"),
            ("POST", "/api/sendEmail"),
            ("POST", "/update_search_index"),
            ("POST", "/models/load"),
            ("POST", "/models/{name}:unload"),
        ] {
            assert!(of_operation(method, path, ""), "{method} {path}");
        }
        assert!(of_operation("POST", "/documents/{id}", "deleteDocument"));
    }

    #[test]
    fn words_that_are_nouns_as_well_lose_no_sound_endpoint() {
        for (method, path) in [
            ("GET", "/updates"),
            ("GET", "/update-history"),
            ("GET", "/release-notes"),
            ("GET", "/load"),
            ("GET", "/load_average"),
            ("GET", "/users/{id}/profile"),
            ("GET", "/resume/{id}"),
            ("GET", "/admin/list"),
            ("GET", "/start"),
            ("POST", "/parse_resume"),
            ("POST", "/resume/score"),
            ("POST", "/profile/recommend"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/completions"),
            ("POST", "/generate"),
            ("POST", "/predict"),
            ("POST", "/tokenize"),
            ("POST", "/api/dataset/search"),
        ] {
            assert!(!of_operation(method, path, ""), "{method} {path}");
        }
        assert!(!of_operation(
            "POST",
            "/items/{deleteId}",
            "read_item_items__post"
        ));
    }

    #[test]
    fn tools_with_effects_and_tools_that_compute() {
        for name in [
            "deleteFile",
            "remove_item",
            "send_message",
            "moveFile",
            "write_file",
        ] {
            assert!(of_tool(name, false), "{name}");
        }
        assert!(of_tool("clearCache", true), "whatever it says of itself");
        assert!(!of_tool("get_token_price", true) && !of_tool("searchFiles", false));
        for name in [
            "searchFiles",
            "download_video",
            "prepare_image",
            "generate_text",
            "getWeather",
            "greet",
            "add",
        ] {
            assert!(only_computes(name), "{name}");
        }
        assert!(path_only_computes("/v1/predict") && path_only_computes("/models/{name}/classify"));
        assert!(!path_only_computes("/items") && !path_only_computes("/predict/jobs"));
        for name in [
            "create_entities",
            "create_issue",
            "add_note",
            "addFileContent",
            "remix_video",
        ] {
            assert!(!only_computes(name), "{name}");
        }
    }
}
