//! Every routine against reference values from SciPy and its peers, to 1e-9 relative (1e-12 absolute near zero).
//! How they were made is told by `golden/make.py` and `golden/procedures.py`.

mod formulas;
mod procedures;
mod series;

use serde_json::Value;

/// A file of reference values.
struct Golden(Value);

impl Golden {
    fn formulas() -> Self {
        Self(serde_json::from_str(include_str!("../../golden/golden.json")).expect("golden.json is JSON"))
    }

    fn procedures() -> Self {
        Self(
            serde_json::from_str(include_str!("../../golden/procedures.json"))
                .expect("procedures.json is JSON"),
        )
    }

    /// The rows of one table.
    fn table(&self, name: &str) -> &[Value] {
        let table = self.0[name]
            .as_array()
            .unwrap_or_else(|| panic!("no table {name}"));
        assert!(!table.is_empty());
        table
    }

    /// The rows of one table of numbers.
    fn rows(&self, name: &str) -> Vec<Vec<f64>> {
        self.table(name).iter().map(numbers).collect()
    }
}

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().expect("a row").iter().map(number).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[track_caller]
fn close(ours: f64, reference: f64, what: &dyn std::fmt::Debug) {
    let tolerance = 1e-12 + 1e-9 * reference.abs();
    assert!(
        (ours - reference).abs() <= tolerance,
        "{what:?}: {ours} against {reference}"
    );
}

#[track_caller]
fn all_close(ours: &[f64], reference: &Value, what: &dyn std::fmt::Debug) {
    let reference = numbers(reference);
    assert_eq!(ours.len(), reference.len(), "{what:?}");
    for (ours, reference) in ours.iter().zip(reference) {
        close(*ours, reference, what);
    }
}
