//! Whether the numbers of an answer are those of another request's: a model that computes several requests together rounds
//! differently, so a swapped answer need not have the bytes that it has alone. It knows numbers in JSON, and judges nothing.

use prony_model::Captured;

use super::marks::Reference;
use crate::leaf::leaves;

/// Answers of a phase that are held to be looked at, and the bytes of each. The record of the run keeps them too.
pub(super) const ANSWERS_MAX: u32 = 64;
pub(super) const BYTES_MAX: u32 = 64 << 10;
/// Fewer numbers are alike by chance.
const NUMBERS_MIN: usize = 4;
/// Largest difference, as a share of the largest number, that rounding makes: half precision and its sums stay well below.
const NEAR: f64 = 0.02;
/// Difference from which on it was not rounding.
const FAR: f64 = 0.1;

/// A JSON document, its numbers apart from the rest.
struct Content {
    numbers: Vec<(String, f64)>,
    rest: Vec<(String, String)>,
}

impl Content {
    /// `None` where it is no JSON, or has too few numbers.
    fn of(body: &[u8]) -> Option<Self> {
        let document = prony_model::json_in(body)?;
        let (mut numbers, mut rest) = (Vec::new(), Vec::new());
        for leaf in leaves(&document) {
            if let Some(number) = leaf.value.as_f64() {
                numbers.push((leaf.path, number));
            } else {
                let text = leaf.text();
                rest.push((leaf.path, text));
            }
        }
        (numbers.len() >= NUMBERS_MIN).then_some(Self { numbers, rest })
    }

    /// The largest difference of a number from another's at the same place, as a share of the largest number there. `None` where they
    /// do not have the same places.
    fn apart(&self, other: &Self) -> Option<f64> {
        if self.numbers.len() != other.numbers.len() {
            return None;
        }
        let (mut difference, mut largest) = (0.0_f64, 0.0_f64);
        for ((place, own), (other_place, other)) in self.numbers.iter().zip(&other.numbers) {
            if place != other_place {
                return None;
            }
            difference = difference.max((own - other).abs());
            largest = largest.max(other.abs());
        }
        (largest > 0.0).then(|| difference / largest)
    }
}

fn content(reference: &Reference) -> Option<Content> {
    let body = reference.body.as_deref()?;
    (body.len() <= BYTES_MAX as usize).then(|| Content::of(body))?
}

/// Whether the numbers of some of these answers tell which is which, even if they are rounded otherwise.
pub(super) fn can_tell(references: &[Reference]) -> bool {
    let contents: Vec<Content> = references.iter().filter_map(content).collect();
    contents.iter().enumerate().any(|(k, one)| {
        let mut others = contents[k + 1..].iter();
        others.any(|other| one.apart(other).is_some_and(|apart| apart > FAR + NEAR))
    })
}

/// Whether an answer to the request at that place is surely another's: its numbers are far from those of its own, and as near to those of
/// the other as rounding leaves them, and all else is the other's.
pub(super) fn is_anothers(answer: &Captured, at: usize, references: &[Reference]) -> bool {
    let Some(own) = references.get(at).and_then(content) else {
        return false;
    };
    let Some(answer) = Content::of(answer.body.as_bytes()).filter(|_| !answer.cut && !answer.binary) else {
        return false;
    };
    let is_far = answer.apart(&own).is_some_and(|apart| apart > FAR);
    let is_like =
        |other: &Content| answer.rest == other.rest && answer.apart(other).is_some_and(|apart| apart <= NEAR);
    is_far
        && references
            .iter()
            .enumerate()
            .any(|(k, other)| k != at && content(other).as_ref().is_some_and(is_like))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::can_tell;
    use crate::integrity::marks::Reference;

    #[test]
    fn numbers_tell_where_there_are_enough_that_differ() {
        let of = |bodies: &[Value]| -> Vec<Reference> {
            let reference = |body: &Value| Reference {
                digest: 0,
                bytes: 0,
                body: Some(body.to_string().into_bytes()),
            };
            bodies.iter().map(reference).collect()
        };
        let vectors = [json!({"v": [1, 0, 0, 0]}), json!({"v": [0, 1, 0, 0]})];
        assert!(can_tell(&of(&vectors)));
        assert!(!can_tell(&of(&vectors[..1])), "nothing to take it for");
        assert!(!can_tell(&of(&[json!({"score": 0.1}), json!({"score": 0.9})])));
        assert!(!can_tell(&of(&[json!([1.0, 1, 1, 1]), json!([1.01, 1, 1, 1])])));
        assert!(!can_tell(&of(&[json!([1, 2, 3, 4]), json!([1, 2, 3, 4, 5])])));
    }
}
