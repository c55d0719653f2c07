//! Which shapes a model is fed, from what it declares and what the person says. Pure: it knows no runtime.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::diagnostic::nearest;
use crate::text::clean;

/// Most values of one input: a gigabyte in single precision.
const VALUES_MAX: i64 = 1 << 28;

/// A tensor that the model declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Declared {
    /// Its name.
    pub name: String,
    /// Type of its elements: `float32`.
    pub kind: String,
    /// Its axes.
    pub axes: Vec<Axis>,
}

/// One axis of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Axis {
    /// Its size; `None` when it is dynamic.
    pub size: Option<i64>,
    /// Name of a dynamic size; empty when it has none.
    pub symbol: String,
}

/// What the inputs are fed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fed {
    /// One shape for each input, in the order of the declaration.
    pub shapes: Vec<Vec<i64>>,
    /// Sizes that nobody said, one text for each input; empty where all are known.
    pub assumed: Vec<String>,
    /// Sizes by the names of dynamic axes.
    pub symbols: BTreeMap<String, i64>,
}

impl Declared {
    /// `float32 [batch, 3, ?, ?]`.
    pub(super) fn label(&self) -> String {
        let axes: Vec<String> = self.axes.iter().map(Axis::label).collect();
        format!("{} [{}]", self.kind, axes.join(", "))
    }

    /// What an output contradicts the declaration with, as `float32 [1, 4]`; empty when it fits. A declaration without axes says
    /// nothing of the shape.
    pub(super) fn contradiction(&self, kind: &str, shape: &[i64], symbols: &BTreeMap<String, i64>) -> String {
        let fits = |(axis, size): (&Axis, &i64)| match axis.size {
            Some(declared) => declared == *size,
            None => symbols.get(&axis.symbol).is_none_or(|bound| bound == size),
        };
        let shape_fits =
            self.axes.is_empty() || (self.axes.len() == shape.len() && self.axes.iter().zip(shape).all(fits));
        if kind == self.kind && shape_fits {
            String::new()
        } else {
            let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!("{kind} [{}]", sizes.join(", "))
        }
    }
}

impl Axis {
    fn label(&self) -> String {
        match self.size {
            Some(size) => size.to_string(),
            None if self.symbol.is_empty() => "?".to_owned(),
            None => clean(&self.symbol, 40),
        }
    }
}

/// `1x3x640x640`.
pub(super) fn joined(shape: &[i64]) -> String {
    if shape.is_empty() {
        return "a single value".to_owned();
    }
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    sizes.join("x")
}

/// Whether all inputs have a dynamic first axis of the same name, so that more than one input may go into one inference.
pub(super) fn is_batched(inputs: &[Declared]) -> bool {
    let mut first = inputs.iter().filter_map(|input| input.axes.first());
    let Some(one) = first.next() else { return false };
    one.size.is_none() && first.all(|axis| axis == one)
}

/// The shapes to feed: what is declared, then what was said (`told`, by name of the input), then what is usual for such an axis.
/// `batch` sets the first axis of all inputs. The error says what is wrong with what was said.
pub(super) fn feed(
    inputs: &[Declared],
    told: &BTreeMap<String, Vec<i64>>,
    batch: Option<i64>,
) -> Result<Fed, String> {
    if let Some(unknown) = told.keys().find(|name| inputs.iter().all(|i| i.name != **name)) {
        return Err(unknown_input(inputs, unknown));
    }
    let mut fed = Fed::default();
    for (input, said) in inputs.iter().filter_map(|i| Some((i, told.get(&i.name)?))) {
        check(input, said)?;
        for (axis, size) in input.axes.iter().zip(said) {
            bind(&mut fed.symbols, input, axis, *size)?;
        }
    }
    if let Some(batch) = batch {
        for axis in inputs.iter().filter_map(|i| i.axes.first()) {
            if !axis.symbol.is_empty() {
                fed.symbols.insert(axis.symbol.clone(), batch);
            }
        }
    }
    for input in inputs {
        let mut assumed = String::new();
        let mut shape = Vec::with_capacity(input.axes.len());
        for (at, axis) in input.axes.iter().enumerate() {
            let said = told.get(&input.name).map(|said| said[at]);
            let known = axis
                .size
                .or(batch.filter(|_| at == 0))
                .or(said)
                .or_else(|| fed.symbols.get(&axis.symbol).copied());
            let size = known.unwrap_or_else(|| {
                let usual = usual(at, input.axes.len());
                let _ = write!(
                    assumed,
                    "{}axis {at} ({}) = {usual}",
                    if assumed.is_empty() { "" } else { ", " },
                    axis.label()
                );
                usual
            });
            if axis.size.is_none() && !axis.symbol.is_empty() {
                fed.symbols.entry(axis.symbol.clone()).or_insert(size);
            }
            shape.push(size);
        }
        let values = shape.iter().try_fold(1_i64, |all, size| all.checked_mul(*size));
        if values.is_none_or(|values| values > VALUES_MAX) {
            return Err(format!(
                "the input '{}' of shape {} has more than {VALUES_MAX} values",
                clean(&input.name, 100),
                joined(&shape)
            ));
        }
        fed.shapes.push(shape);
        fed.assumed.push(assumed);
    }
    Ok(fed)
}

/// What is usual for a dynamic axis: one input; of pictures three channels of 224 x 224; 16 of anything else.
fn usual(at: usize, axes: usize) -> i64 {
    match (at, axes) {
        (0, _) => 1,
        (1, 4) => 3,
        (_, 4) => 224,
        _ => 16,
    }
}

/// The names of the inputs, for whoever mistyped one.
pub(super) fn unknown_input(inputs: &[Declared], name: &str) -> String {
    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean '{}'?", clean(near, 100)),
        None => format!("it has: {}", clean(&names.join(", "), 500)),
    };
    format!("the model has no input '{}'; {hint}", clean(name, 100))
}

fn check(input: &Declared, said: &[i64]) -> Result<(), String> {
    let wrong = |why: &str| {
        Err(format!(
            "the shape {} does not fit the input '{}', which is declared {}: {why}",
            joined(said),
            clean(&input.name, 100),
            input.label()
        ))
    };
    if said.len() != input.axes.len() {
        return wrong(&format!("it has {} axes, not {}", input.axes.len(), said.len()));
    }
    for (at, (axis, size)) in input.axes.iter().zip(said).enumerate() {
        if axis.size.is_some_and(|fixed| fixed != *size) {
            return wrong(&format!("axis {at} is fixed at {}, not {size}", axis.label()));
        }
    }
    Ok(())
}

fn bind(symbols: &mut BTreeMap<String, i64>, input: &Declared, axis: &Axis, size: i64) -> Result<(), String> {
    if axis.size.is_some() || axis.symbol.is_empty() {
        return Ok(());
    }
    let bound = *symbols.entry(axis.symbol.clone()).or_insert(size);
    if bound == size {
        Ok(())
    } else {
        Err(format!(
            "the axis '{}' of the input '{}' cannot be {size} here and {bound} elsewhere",
            clean(&axis.symbol, 40),
            clean(&input.name, 100)
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Axis, Declared, feed, is_batched, joined};

    fn declared(name: &str, axes: &[&str]) -> Declared {
        let made = |text: &&str| match text.parse() {
            Ok(size) => Axis {
                size: Some(size),
                symbol: String::new(),
            },
            Err(_) => Axis {
                size: None,
                symbol: text.trim_matches('?').to_owned(),
            },
        };
        Declared {
            name: name.to_owned(),
            kind: "float32".to_owned(),
            axes: axes.iter().map(made).collect(),
        }
    }

    fn told(name: &str, shape: &[i64]) -> BTreeMap<String, Vec<i64>> {
        BTreeMap::from([(name.to_owned(), shape.to_vec())])
    }

    #[test]
    fn sizes_that_nobody_says_are_usual_ones_and_told() {
        let inputs = [declared("images", &["batch", "?", "height", "width"])];
        let fed = feed(&inputs, &BTreeMap::new(), None).unwrap();
        assert_eq!(fed.shapes, [[1, 3, 224, 224]]);
        assert_eq!(
            fed.assumed,
            ["axis 0 (batch) = 1, axis 1 (?) = 3, axis 2 (height) = 224, axis 3 (width) = 224"]
        );
        let fixed = feed(&[declared("x", &["1", "8"])], &BTreeMap::new(), None).unwrap();
        assert_eq!(
            (fixed.shapes, fixed.assumed),
            (vec![vec![1, 8]], vec![String::new()])
        );
    }

    #[test]
    fn what_is_said_of_one_input_holds_for_axes_of_the_same_name() {
        let inputs = [
            declared("ids", &["b", "length"]),
            declared("mask", &["b", "length"]),
        ];
        let fed = feed(&inputs, &told("ids", &[2, 128]), None).unwrap();
        assert_eq!(fed.shapes, [[2, 128], [2, 128]]);
        let batch = feed(&inputs, &told("ids", &[2, 128]), Some(8)).unwrap();
        assert_eq!(batch.shapes, [[8, 128], [8, 128]]);
        assert_eq!(batch.symbols["b"], 8);
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused_in_words() {
        let inputs = [declared("images", &["batch", "3", "?", "?"])];
        for (name, shape, part) in [
            ("images", &[1, 4, 8, 8][..], "axis 1 is fixed at 3, not 4"),
            ("images", &[1, 3, 8], "it has 4 axes, not 3"),
            ("image", &[1, 3, 8, 8], "did you mean 'images'?"),
            ("images", &[1, 3, 99_999, 99_999], "more than 268435456 values"),
        ] {
            let error = feed(&inputs, &told(name, shape), None).unwrap_err();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        let two = [declared("a", &["n", "n"])];
        let error = feed(&two, &told("a", &[2, 3]), None).unwrap_err();
        assert!(error.contains("cannot be 3 here and 2 elsewhere"), "{error}");
    }

    #[test]
    fn a_batch_needs_one_dynamic_axis_for_all() {
        assert!(is_batched(&[declared("a", &["b", "3"]), declared("m", &["b"])]));
        assert!(!is_batched(&[declared("a", &["b", "3"]), declared("m", &["1"])]));
        assert!(!is_batched(&[declared("a", &["1", "3"])]));
        assert!(!is_batched(&[]));
    }

    #[test]
    fn an_output_is_held_against_its_declaration() {
        let y = declared("y", &["batch", "3"]);
        let symbols = BTreeMap::from([("batch".to_owned(), 2)]);
        assert_eq!(y.contradiction("float32", &[2, 3], &symbols), "");
        assert_eq!(y.contradiction("float32", &[1, 3], &symbols), "float32 [1, 3]");
        assert_eq!(
            y.contradiction("float32", &[2, 3, 1], &symbols),
            "float32 [2, 3, 1]"
        );
        assert_eq!(y.contradiction("int64", &[2, 3], &symbols), "int64 [2, 3]");
        assert_eq!(declared("z", &[]).contradiction("float32", &[7], &symbols), "");
        assert_eq!(joined(&[1, 3]), "1x3");
    }
}
