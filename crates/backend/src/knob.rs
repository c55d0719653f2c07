//! What a knob is, and how tables of knobs are written: one table for a preset as observed and its twin without faults. It knows no
//! preset.

/// One knob of a preset.
#[derive(Debug, Clone, Copy)]
pub struct KnobDef {
    /// What stands before the `=` of `--set`.
    pub name: &'static str,
    /// Unit or kind of the value: `bool`, `ms`, `KiB`, `1` for a ratio ...
    pub unit: &'static str,
    /// The value when nothing is set.
    pub default: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The ids of the planted faults that it switches on (`E1` ...), if it does.
    pub fault: Option<&'static str>,
}

/// A knob that plants nothing.
pub(crate) const fn knob(
    name: &'static str,
    unit: &'static str,
    default: &'static str,
    description: &'static str,
) -> KnobDef {
    KnobDef {
        name,
        unit,
        default,
        description,
        fault: None,
    }
}

/// A switch that plants the fault of that id, on as observed.
pub(crate) const fn fault(id: &'static str, name: &'static str, description: &'static str) -> KnobDef {
    KnobDef {
        fault: Some(id),
        ..knob(name, "bool", "true", description)
    }
}

/// One of the two presets of a table that holds each knob as observed, and its default in the fixed twin.
pub(crate) const fn twin<const N: usize>(
    table: &[(KnobDef, &'static str); N],
    observed: bool,
) -> [KnobDef; N] {
    let mut knobs = [table[0].0; N];
    let mut index = 0;
    while index < N {
        let (knob, fixed) = table[index];
        knobs[index] = KnobDef {
            default: if observed { knob.default } else { fixed },
            ..knob
        };
        index += 1;
    }
    knobs
}
