//! The little XML that S3 speaks: flat lists read, and elements written. It knows no operations.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;

use super::errors::S3Error;

/// Longest document that is read, and most elements in it.
const LENGTH_MAX: usize = 4 * 1024 * 1024;
const CHILDREN_MAX: usize = 20_000;

/// A child of the root, with its own children.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Child {
    /// Its name.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Name and text of its children.
    pub(crate) fields: Vec<(String, String)>,
}

impl Child {
    /// The text of a child of it.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, text)| text.as_str())
    }
}

/// The children of the document's root, which must be called `root`.
pub(crate) fn children(document: &[u8], root: &str) -> Result<Vec<Child>, S3Error> {
    let text = std::str::from_utf8(document).map_err(|_| S3Error::malformed())?;
    if text.len() > LENGTH_MAX {
        return Err(S3Error::malformed());
    }
    let mut reader = Reader::from_str(text);
    let (mut depth, mut out): (usize, Vec<Child>) = (0, Vec::new());
    let write = |out: &mut Vec<Child>, depth: usize, text: &str| {
        let Some(child) = out.last_mut() else { return };
        match depth {
            2 => child.text.push_str(text),
            3 => {
                if let Some((_, held)) = child.fields.last_mut() {
                    held.push_str(text);
                }
            }
            _ => {}
        }
    };
    loop {
        match reader.read_event().map_err(|_| S3Error::malformed())? {
            Event::Start(tag) => {
                depth += 1;
                open(&mut out, depth, tag.local_name().as_ref(), root)?;
            }
            Event::Empty(tag) => open(&mut out, depth + 1, tag.local_name().as_ref(), root)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(part) => write(&mut out, depth, &part.xml10_content()),
            Event::CData(part) => write(&mut out, depth, &part.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|_| S3Error::malformed())?;
                let named = || resolve_predefined_entity(&reference).map(str::to_owned);
                let text = character.map(String::from).or_else(named);
                write(&mut out, depth, &text.ok_or_else(S3Error::malformed)?);
            }
            Event::Eof => {
                return if depth == 0 {
                    Ok(out)
                } else {
                    Err(S3Error::malformed())
                };
            }
            _ => {}
        }
    }
}

fn open(out: &mut Vec<Child>, depth: usize, name: &str, root: &str) -> Result<(), S3Error> {
    match depth {
        1 if name != root => return Err(S3Error::malformed()),
        2 if out.len() >= CHILDREN_MAX => return Err(S3Error::malformed()),
        2 => out.push(Child {
            name: name.to_owned(),
            ..Child::default()
        }),
        3 => {
            if let Some(child) = out.last_mut() {
                child.fields.push((name.to_owned(), String::new()));
            }
        }
        _ => {}
    }
    Ok(())
}

/// A document being written.
#[derive(Debug)]
pub(crate) struct Writer {
    text: String,
    open: Vec<&'static str>,
}

impl Writer {
    /// Begins with the root.
    pub(crate) fn new(root: &'static str) -> Self {
        Self {
            text: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            ),
            open: vec![root],
        }
    }

    /// Begins with a root that has no namespace.
    pub(crate) fn bare(root: &'static str) -> Self {
        Self {
            text: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>"),
            open: vec![root],
        }
    }

    /// An element with text.
    pub(crate) fn leaf(&mut self, name: &str, text: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "<{name}>{}</{name}>", escape(text.as_ref()));
    }

    /// Begins an element.
    pub(crate) fn begin(&mut self, name: &'static str) {
        let _ = write!(self.text, "<{name}>");
        self.open.push(name);
    }

    /// Ends the element begun last.
    pub(crate) fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            let _ = write!(self.text, "</{name}>");
        }
    }

    /// The whole document.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.end();
        }
        self.text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let text = br#"<?xml version="1.0"?><Root xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Part><ETag>&quot;a&#38;b&quot;</ETag><PartNumber>1</PartNumber></Part><Quiet>true</Quiet><Nil/></Root>"#;
        let read = children(text, "Root").unwrap();
        assert_eq!(read[0].field("ETag"), Some("\"a&b\""));
        assert_eq!(read[0].field("PartNumber"), Some("1"));
        assert_eq!((read[1].name.as_str(), read[1].text.as_str()), ("Quiet", "true"));
        assert_eq!(read.len(), 3);
        for text in ["<Other/>", "<Root>", "<Root>&nope;</Root>", "<Root></Rot>"] {
            assert_eq!(
                children(text.as_bytes(), "Root").unwrap_err().code,
                "MalformedXML",
                "{text}"
            );
        }
    }

    #[test]
    fn writes_what_it_can_read() {
        let mut writer = Writer::new("Root");
        writer.begin("Part");
        writer.leaf("Key", "a<b>&\"c\"");
        writer.end();
        let read = children(&writer.finish(), "Root").unwrap();
        assert_eq!(read[0].field("Key"), Some("a<b>&\"c\""));
    }
}
