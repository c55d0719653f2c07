//! Prompts from files that others made: ShareGPT, OpenAI's JSON lines, plain lines. The text goes into requests and
//! nowhere else.

use std::path::Path;

use prony_model::{DatasetFormat, DatasetSpec};
use serde_json::Value;

use crate::PromptError;
use crate::make::{Message, Role};
use crate::salt::clean;
use crate::wanted::BYTES_MAX;

const KEY: &str = "prompt.dataset.file";
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Each ends with a message of the user.
    pub(crate) conversations: Vec<Vec<Message>>,
    /// What was left out, in words.
    pub(crate) notes: Vec<String>,
}

/// The text of a file, bounded.
pub(crate) fn text_of(path: &Path, key: &str) -> Result<String, PromptError> {
    let failed = |why: String| {
        PromptError::new(
            key,
            format!("{} cannot be used: {why}", path.display()),
            "the path starts from the suite's folder",
        )
    };
    let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(format!("it has {size} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))
}

/// The first `most` conversations with so many turns of the user.
pub(crate) fn read(spec: &DatasetSpec, path: &Path, turns: usize, most: usize) -> Result<Found, PromptError> {
    let text = text_of(path, KEY)?;
    parse(spec.format, &text, turns, most)
        .map_err(|(why, next)| PromptError::new(KEY, format!("{}: {why}", path.display()), next))
}

type Parsed<T> = Result<T, (String, &'static str)>;

fn parse(format: DatasetFormat, text: &str, turns: usize, most: usize) -> Parsed<Found> {
    let all: Box<dyn Iterator<Item = Parsed<Vec<Message>>> + '_> = match format {
        DatasetFormat::Sharegpt => Box::new(sharegpt(text)?.into_iter()),
        DatasetFormat::OpenaiJsonl => Box::new(filled(text).map(|(at, line)| json_line(at, line))),
        DatasetFormat::Lines => {
            Box::new(filled(text).map(|(_, line)| Ok(vec![Message::new(Role::User, clean(line))])))
        }
    };
    let mut found = Found::default();
    let (mut short, mut bytes) = (0, 0);
    for messages in all {
        if found.conversations.len() == most || bytes > BYTES_MAX {
            break;
        }
        match upto(messages?, turns) {
            Some(messages) => {
                bytes += messages.iter().map(|m| m.text.len()).sum::<usize>();
                found.conversations.push(messages);
            }
            None => short += 1,
        }
    }
    if short > 0 {
        found.notes.push(format!(
            "{short} entries of the data set have fewer than {turns} turns of a user and were left out"
        ));
    }
    if found.conversations.is_empty() {
        return Err((
            format!("nothing in it has {turns} turns of a user"),
            "check the format, or ask for fewer turns",
        ));
    }
    Ok(found)
}

fn filled(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| !line.trim().is_empty())
}

/// The messages up to the `turns`-th of the user (with one turn: as a line of messages stands, up to the last of the user),
/// which must be there and not empty.
fn upto(mut messages: Vec<Message>, turns: usize) -> Option<Vec<Message>> {
    messages.retain(|message| !message.text.trim().is_empty());
    let users = messages.iter().enumerate().filter(|(_, m)| m.role == Role::User);
    let last = users.map(|(at, _)| at).nth(turns - 1)?;
    messages.truncate(last + 1);
    // Two turns of one speaker in a row are no conversation that an API takes.
    let alternate = messages
        .windows(2)
        .all(|pair| pair[0].role != pair[1].role && pair[1].role != Role::System);
    (alternate && messages[0].role != Role::Assistant).then_some(messages)
}

fn sharegpt(text: &str) -> Parsed<Vec<Parsed<Vec<Message>>>> {
    const NEXT: &str =
        "ShareGPT is one JSON list of {\"conversations\": [{\"from\": \"human\", \"value\": \"...\"}]}";
    let entries: Vec<Value> = serde_json::from_str(text).map_err(|e| (format!("no JSON list: {e}"), NEXT))?;
    let one = |(at, entry): (usize, Value)| {
        let wrong = |why: &str| (format!("entry {at} {why}"), NEXT);
        let spoken = entry["conversations"]
            .as_array()
            .ok_or_else(|| wrong("has no list `conversations`"))?;
        let message = |said: &Value| {
            let role = match said["from"].as_str() {
                Some("human" | "user") => Role::User,
                Some("system") => Role::System,
                Some(_) => Role::Assistant,
                None => return Err(wrong("has a message without `from`")),
            };
            let text = said["value"]
                .as_str()
                .ok_or_else(|| wrong("has a message without `value`"))?;
            Ok(Message::new(role, clean(text)))
        };
        spoken.iter().map(message).collect()
    };
    Ok(entries.into_iter().enumerate().map(one).collect())
}

/// A line of OpenAI's: chat messages, a batch request, or a plain prompt.
fn json_line(at: usize, line: &str) -> Parsed<Vec<Message>> {
    let wrong = |why: String| {
        (
            format!("line {}: {why}", at + 1),
            "each line is a JSON object with `messages`, `body.messages` or `prompt`",
        )
    };
    let entry: Value = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
    let request = if entry["body"].is_object() {
        &entry["body"]
    } else {
        &entry
    };
    if let Some(prompt) = request["prompt"].as_str() {
        return Ok(vec![Message::new(Role::User, clean(prompt))]);
    }
    let messages = request["messages"]
        .as_array()
        .ok_or_else(|| wrong("it has neither `messages` nor `prompt`".to_owned()))?;
    let mut found: Vec<Message> = Vec::new();
    for message in messages {
        let role = match message["role"].as_str() {
            Some("user") => Role::User,
            Some("system" | "developer") => Role::System,
            Some("assistant") => Role::Assistant,
            _ => return Err(wrong("a message has no role that is known".to_owned())),
        };
        let text = match &message["content"] {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => String::new(),
        };
        found.push(Message::new(role, clean(&text)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use prony_model::DatasetFormat::{self, Lines, OpenaiJsonl, Sharegpt};

    use super::{Found, parse};
    use crate::make::Role;

    fn said(found: &Found) -> Vec<Vec<(Role, &str)>> {
        let conversations = found.conversations.iter();
        conversations
            .map(|c| c.iter().map(|m| (m.role, m.text.as_str())).collect())
            .collect()
    }

    fn read(format: DatasetFormat, text: &str, turns: usize) -> Found {
        parse(format, text, turns, 100).unwrap()
    }

    const SHARED: &str = r#"[
        {"id": "a", "conversations": [{"from": "human", "value": "one"}, {"from": "gpt", "value": "two"},
            {"from": "human", "value": "three"}, {"from": "gpt", "value": "four"}]},
        {"id": "b", "conversations": [{"from": "system", "value": "be"}, {"from": "human", "value": "five"}]},
        {"id": "c", "conversations": [{"from": "gpt", "value": "six"}, {"from": "human", "value": "seven"}]}
    ]"#;

    #[test]
    fn sharegpt() {
        use Role::{Assistant, System, User};
        let one = read(Sharegpt, SHARED, 1);
        assert_eq!(
            said(&one),
            [vec![(User, "one")], vec![(System, "be"), (User, "five")]]
        );
        assert_eq!(one.notes.len(), 1, "the third begins with an answer");
        let two = read(Sharegpt, SHARED, 2);
        assert_eq!(
            said(&two),
            [vec![(User, "one"), (Assistant, "two"), (User, "three")]]
        );
        assert!(two.notes[0].starts_with("2 entries"), "{:?}", two.notes);
        assert_eq!(parse(Sharegpt, SHARED, 1, 1).unwrap().conversations.len(), 1);
    }

    #[test]
    fn json_lines() {
        use Role::{System, User};
        let text = r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}
            {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
             "body": {"messages": []}}"#
            .lines()
            .next()
            .unwrap()
            .to_owned()
            + "\n{\"custom_id\": \"1\", \"body\": {\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \
               [{\"type\": \"text\", \"text\": \"p\"}, {\"type\": \"image_url\"}]}]}}\n{\"prompt\": \"plain\"}\n";
        assert_eq!(
            said(&read(OpenaiJsonl, &text, 1)),
            [
                vec![(System, "s"), (User, "u")],
                vec![(User, "p")],
                vec![(User, "plain")]
            ]
        );
    }

    #[test]
    fn plain_lines() {
        let found = read(Lines, "first\n\n second \u{e001}\n", 1);
        assert_eq!(
            said(&found),
            [vec![(Role::User, "first")], vec![(Role::User, " second ")]]
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |format, text: &str| parse(format, text, 1, 9).unwrap_err().0;
        assert!(wrong(Sharegpt, "{}").contains("no JSON list"));
        assert!(wrong(Sharegpt, "[{\"items\": []}]").contains("entry 0 has no list `conversations`"));
        assert!(wrong(Sharegpt, "[]").contains("nothing in it"));
        assert!(wrong(OpenaiJsonl, "{\"prompt\": \"a\"}\nx").contains("line 2"));
        assert!(wrong(OpenaiJsonl, "{\"text\": \"a\"}").contains("neither"));
        assert!(wrong(OpenaiJsonl, "{\"messages\": [{\"role\": \"robot\"}]}").contains("role"));
        assert!(wrong(Lines, "\n \n").contains("nothing in it"));
    }
}
