//! The input defects that can be planted, by number. What each does stands where it does it; here is what it is.

use serde_json::{Value, json};

use crate::error::BackendError;
use crate::settings::Settings;

/// One planted defect.
#[derive(Debug, Clone, Copy)]
struct Defect {
    /// Class of bad input, 1 to 12.
    class: u8,
    endpoint: &'static str,
    description: &'static str,
}

/// All of them: the number of a defect is its place, from 1.
#[rustfmt::skip]
const DEFECTS: [Defect; 30] = [
    d(1, "POST /v1/classify", "a missing text ends in a 500"),
    d(1, "POST /v1/rerank", "a query of null is read as an empty one"),
    d(1, "GET /v1/search", "a missing query ends in a 500"),
    d(2, "POST /v1/rerank", "a top_k below 1 or above 20 is accepted"),
    d(2, "POST /v1/summarise", "any word is accepted as style"),
    d(2, "POST /v1/summarise", "a seed of 2^31 or more ends in a 500"),
    d(3, "POST /v1/classify", "an empty list of labels ends in a 500"),
    d(3, "POST /v1/summarise", "an empty text is accepted"),
    d(4, "POST /v1/moderate", "a text longer than 2,000 characters ends in a 500"),
    d(4, "POST /v1/embed", "a text longer than 2,000 characters is cut without a word"),
    d(5, "POST /v1/moderate", "a body that is no JSON ends in a 500 with a stack trace"),
    d(5, "POST /v1/rerank", "nesting deeper than 100 ends in a 500"),
    d(5, "POST /v1/classify", "characters beyond ASCII come back mangled"),
    d(6, "GET /v1/documents/{document_id}", "an unknown id ends in a 500"),
    d(6, "GET /v1/documents/{document_id}/summary", "an unknown id is answered like a known one"),
    d(7, "POST /v1/embed", "GET is answered with 200, though it is not declared"),
    d(7, "POST /v1/summarise", "a content type other than JSON ends in a 500"),
    d(7, "POST /v1/classify", "an Accept that cannot be met ends in a 500"),
    d(8, "GET /v1/account", "no credentials are needed, though the document says so"),
    d(8, "GET /v1/billing", "any bearer token will do"),
    d(9, "GET /v1/preview", "the title is put into the HTML page as it is"),
    d(9, "GET /v1/search", "a quote breaks the SQL statement, and the database's error comes back"),
    d(9, "POST /v1/moderate", "{{...}} in the text is computed"),
    d(9, "GET /v1/assets/{name}", "../ leaves the folder"),
    d(10, "POST /v1/summarise", "a body above the limit ends in a 500"),
    d(10, "POST /v1/rerank", "10,000 documents end in a 500"),
    d(11, "POST /v1/translate", "a body that stands still holds one of four places"),
    d(11, "POST /v1/embed", "a body that stands still ends in a 500"),
    d(12, "POST /v1/caption", "a client that leaves takes one of four places with it for ever"),
    d(12, "POST /v1/complete", "the work for a client that has left goes on, one after another"),
];

const fn d(class: u8, endpoint: &'static str, description: &'static str) -> Defect {
    Defect {
        class,
        endpoint,
        description,
    }
}

/// Which defects are in force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defects(u32);

impl Defects {
    /// From the knob: `all`, `none`, or numbers separated by commas.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let refuse = || {
            let most = DEFECTS.len();
            settings.refuse(
                "defects",
                &format!("use all, none, or numbers from 1 to {most} separated by commas"),
            )
        };
        let bits = match settings.word("defects") {
            "all" => (1 << DEFECTS.len()) - 1,
            "none" => 0,
            list => {
                let mut bits = 0;
                for number in list.split(',') {
                    let number: usize = number.trim().parse().map_err(|_| refuse())?;
                    if !(1..=DEFECTS.len()).contains(&number) {
                        return Err(refuse());
                    }
                    bits |= 1 << (number - 1);
                }
                bits
            }
        };
        Ok(Self(bits))
    }

    /// Whether the defect of that number is in force.
    pub(super) fn has(self, number: usize) -> bool {
        self.0 >> (number - 1) & 1 == 1
    }

    /// Those in force, for the admin port.
    pub(crate) fn to_json(self) -> Value {
        let list = DEFECTS.iter().enumerate().filter(|(k, _)| self.has(k + 1));
        list.map(|(k, defect)| {
            json!({
                "number": k + 1,
                "class": defect.class,
                "endpoint": defect.endpoint,
                "description": defect.description,
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn of(value: &str) -> Result<Defects, BackendError> {
        let pairs = [("defects".to_owned(), value.to_owned())];
        Defects::new(&Settings::new(preset("truth").unwrap(), &pairs).unwrap())
    }

    #[test]
    fn numbers_choose() {
        let some = of("1, 5,30").unwrap();
        let on: Vec<usize> = (1..=30).filter(|k| some.has(*k)).collect();
        assert_eq!(on, [1, 5, 30]);
        assert_eq!(of("all").unwrap().to_json().as_array().unwrap().len(), 30);
        assert_eq!(of("none").unwrap().to_json(), json!([]));
        for wrong in ["0", "31", "some", ""] {
            assert!(
                of(wrong).unwrap_err().to_string().contains("from 1 to 30"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn every_class_has_two() {
        for class in 1..=12 {
            assert!(
                DEFECTS.iter().filter(|d| d.class == class).count() >= 2,
                "{class}"
            );
        }
    }
}
