//! What the classes of a model are called. It knows no runtime.

use super::super::file::Labels;
use super::super::variants::CLASSES;
use super::plain;

/// Reads names as the exporters of YOLO write them into the file: `{0: 'person', 1: "driver's seat"}`, counted from 0.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (number, name) = rest.split_once(':')?;
        let number: usize = number.trim().trim_matches(['\'', '"']).parse().ok()?;
        let name = name.trim_start();
        let quote = name.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
        let (name, more) = name[1..].split_once(quote)?;
        if number != names.len() {
            return None;
        }
        names.push(plain(name));
        rest = more.trim_start().trim_start_matches(',').trim_start();
    }
    (!names.is_empty()).then_some(names)
}

/// A name for each class: those that the file has, those of COCO where it has as many classes, or else their numbers.
pub(super) fn complete(named: Option<Vec<String>>, classes: usize) -> Labels {
    match named {
        Some(own) if own.len() == classes => own.into(),
        _ if classes == CLASSES.len() => CLASSES.iter().map(|name| (*name).to_owned()).collect(),
        _ => (0..classes).map(|class| format!("class {class}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_file_are_read() {
        let names = parse("{0: 'person', 1: \"driver's seat\", 2: 'a: b, c'}").unwrap();
        assert_eq!(names, ["person", "driver's seat", "a: b, c"]);
        assert_eq!(parse("{\"0\": \"red\"}").unwrap(), ["red"]);
        for text in [
            "",
            "{}",
            "person",
            "{1: 'not from 0'}",
            "{0: person}",
            "{0: 'open}",
            "{x: 'a'}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_class_has_a_name_and_none_has_a_wrong_one() {
        let own = complete(Some(vec!["red".to_owned(), "blue".to_owned()]), 2);
        assert_eq!(own.to_vec(), ["red", "blue"]);
        assert_eq!(complete(None, 80)[79], "toothbrush");
        assert_eq!(complete(None, 2).to_vec(), ["class 0", "class 1"]);
    }
}
