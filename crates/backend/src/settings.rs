//! From `knob=value` pairs to typed values, with bounds and messages. It knows knob definitions, not what knobs do.

use std::collections::BTreeMap;

use crate::error::{BackendError, nearest};
use crate::knob::KnobDef;
use crate::preset::PresetDef;

/// The values in force for one preset: defaults overlaid by what the user set (the last one wins).
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    preset: &'static PresetDef,
    values: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Overlays `pairs` on the preset's defaults and those of the common knobs.
    pub(crate) fn new(preset: &'static PresetDef, pairs: &[(String, String)]) -> Result<Self, BackendError> {
        let values = preset
            .all_knobs()
            .map(|knob| (knob.name, knob.default.to_owned()))
            .collect();
        let mut settings = Self { preset, values };
        for (name, value) in pairs {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    /// Sets one knob.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BackendError> {
        let Some(knob) = self.preset.all_knobs().find(|knob| knob.name == name) else {
            let valid: Vec<&'static str> = self.preset.all_knobs().map(|knob| knob.name).collect();
            return Err(BackendError::UnknownKnob {
                preset: self.preset.name,
                name: name.to_owned(),
                nearest: nearest(name, &valid),
                valid,
            });
        };
        self.values.insert(knob.name, value.trim().to_owned());
        Ok(())
    }

    /// The values of these knobs, for the admin port.
    pub(crate) fn values_of<'a>(
        &self,
        knobs: impl Iterator<Item = &'a KnobDef>,
    ) -> BTreeMap<&'static str, &str> {
        knobs.map(|knob| (knob.name, self.text(knob.name))).collect()
    }

    /// A switch.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, BackendError> {
        match self.text(name) {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            other => Err(bad(name, other, "use true or false")),
        }
    }

    /// A finite number within `[min, max]`.
    pub(crate) fn number(&self, name: &'static str, min: f64, max: f64) -> Result<f64, BackendError> {
        let text = self.text(name);
        match text.parse::<f64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            Ok(_) => Err(bad(
                name,
                text,
                format!("the value must lie between {min} and {max}"),
            )),
            Err(_) => Err(bad(
                name,
                text,
                format!("a number between {min} and {max} is needed"),
            )),
        }
    }

    /// A whole number within `[min, max]`.
    pub(crate) fn count(&self, name: &'static str, min: u64, max: u64) -> Result<u64, BackendError> {
        let text = self.text(name);
        match text.parse::<u64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            _ => Err(bad(
                name,
                text,
                format!("a whole number from {min} to {max} is needed"),
            )),
        }
    }

    /// One of a few words.
    pub(crate) fn choice(
        &self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<&'static str, BackendError> {
        let text = self.text(name);
        words
            .iter()
            .find(|word| **word == text)
            .copied()
            .ok_or_else(|| bad(name, text, format!("use one of: {}", words.join(", "))))
    }

    /// A value as it was given.
    pub(crate) fn word(&self, name: &'static str) -> &str {
        self.text(name)
    }

    /// That a value will not do, for a reason that only its user knows.
    pub(crate) fn refuse(&self, name: &'static str, reason: &str) -> BackendError {
        bad(name, self.text(name), reason)
    }

    fn text(&self, name: &'static str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

fn bad(name: &'static str, value: &str, reason: impl Into<String>) -> BackendError {
    BackendError::BadKnob {
        name,
        value: value.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::{PRESETS, preset};

    fn set(name: &str, value: &str) -> Result<Settings, BackendError> {
        Settings::new(preset("enso").unwrap(), &[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn unknown_knob_suggests_and_lists() {
        let text = set("seriall", "1").unwrap_err().to_string();
        assert!(
            text.contains("did you mean 'serial'?") && text.contains("device_ms"),
            "{text}"
        );
    }

    #[test]
    fn values_are_bounded() {
        assert!(set("serial", "off").unwrap().flag("serial").is_ok_and(|on| !on));
        assert!(set("serial", "maybe").unwrap().flag("serial").is_err());
        assert!(
            set("device_ms", "-1")
                .unwrap()
                .number("device_ms", 0.0, 10.0)
                .is_err()
        );
        assert!(
            set("device_ms", "NaN")
                .unwrap()
                .number("device_ms", 0.0, 10.0)
                .is_err()
        );
        assert!(
            set("slots", "2")
                .unwrap()
                .count("slots", 1, 64)
                .is_ok_and(|slots| slots == 2)
        );
    }

    #[test]
    fn every_default_is_listed() {
        for preset in PRESETS {
            let settings = Settings::new(preset, &[]).unwrap();
            let listed = settings.values_of(preset.all_knobs());
            assert_eq!(listed.len(), preset.all_knobs().count());
            assert!(preset.knobs.iter().all(|knob| listed[knob.name] == knob.default));
        }
    }
}
