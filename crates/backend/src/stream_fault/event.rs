//! One server-sent event: from its text and back. It knows no faults.

use serde_json::Value;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// Its name, where it has one.
    pub(super) name: Option<String>,
    /// Its data.
    pub(super) data: Data,
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// JSON.
    Json(Value),
    /// Anything else.
    Text(String),
}

impl Event {
    /// The events of a text that was written here: each is an optional name and one line of data.
    pub(super) fn all(text: &str) -> Vec<Self> {
        text.split("\n\n")
            .filter(|block| !block.is_empty())
            .map(Self::read)
            .collect()
    }

    fn read(block: &str) -> Self {
        let line = |field: &str| block.lines().find_map(|line| line.strip_prefix(field));
        let data = line("data: ").unwrap_or_default();
        Self {
            name: line("event: ").map(str::to_owned),
            data: serde_json::from_str(data).map_or_else(|_| Data::Text(data.to_owned()), Data::Json),
        }
    }

    /// The text of its data.
    pub(super) fn data(&self) -> String {
        match &self.data {
            Data::Json(value) => value.to_string(),
            Data::Text(text) => text.clone(),
        }
    }

    /// As it is sent; with two lines, its data is cut after the first comma between two members.
    pub(super) fn write(&self, two_lines: bool) -> String {
        let name = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!("event: {name}\n"));
        let data = self.data();
        let cut = match (&self.data, two_lines) {
            (Data::Json(_), true) => between_members(&data),
            _ => None,
        };
        match cut {
            Some(cut) => format!("{name}data: {}\ndata: {}\n\n", &data[..cut], &data[cut..]),
            None => format!("{name}data: {data}\n\n"),
        }
    }

    /// Whether it is the marker of the end.
    pub(super) fn is_end(&self) -> bool {
        let named = |name| self.name.as_deref() == Some(name);
        named("message_stop")
            || named("response.completed")
            || named("response.incomplete")
            || self.data == Data::Text("[DONE]".to_owned())
    }

    /// The place of its text, in whatever dialect.
    pub(super) fn text(&mut self) -> Option<&mut Value> {
        let Data::Json(value) = &mut self.data else {
            return None;
        };
        let place = [
            "/choices/0/delta/content",
            "/choices/0/text",
            "/delta/text",
            "/delta",
        ]
        .into_iter()
        .find(|place| value.pointer(place).is_some_and(Value::is_string))?;
        value.pointer_mut(place)
    }

    /// The place of its usage.
    pub(super) fn usage(&mut self) -> Option<&mut Value> {
        let Data::Json(value) = &mut self.data else {
            return None;
        };
        let place = ["/usage", "/response/usage"]
            .into_iter()
            .find(|place| value.pointer(place).is_some_and(Value::is_object))?;
        value.pointer_mut(place)
    }
}

/// Behind the first comma that is in no string.
fn between_members(json: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (place, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(place + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let text = "event: ping\ndata: {\"a\":\"x,\\\"y\",\"b\":1}\n\ndata: [DONE]\n\n";
        let events = Event::all(text);
        let again: String = events.iter().map(|event| event.write(false)).collect();
        assert_eq!(again, text);
        assert!(!events[0].is_end() && events[1].is_end());
        assert_eq!(
            events[0].write(true),
            "event: ping\ndata: {\"a\":\"x,\\\"y\",\ndata: \"b\":1}\n\n"
        );
    }
}
