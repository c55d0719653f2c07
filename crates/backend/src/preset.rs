//! The registry of presets and their knobs. Help texts are generated from these slices, so each description must stand alone.

use crate::error::{BackendError, nearest};
use crate::faults;
use crate::knob::KnobDef;
use crate::system::Starting;
use crate::{enso, media, runpod, semantic, truth, vision};

/// Knobs that every preset has beside its own: faults that stand before it.
pub static COMMON_KNOBS: &[KnobDef] = &faults::COMMON_KNOBS;

/// One system the backend can imitate.
#[derive(Debug)]
pub struct PresetDef {
    /// What a person types.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// A few sentences: what it imitates and what is planted in it.
    pub description: &'static str,
    /// The knobs it has, with this preset's defaults.
    pub knobs: &'static [KnobDef],
    /// How it starts.
    pub(crate) start: Starting,
}

/// Every preset.
pub static PRESETS: &[PresetDef] = &[
    PresetDef {
        name: "enso",
        title: "pathology slide server, as observed, with seven planted faults",
        description: "A slide viewer and inference API: slides, Deep Zoom tiles, analysis, report, semantic search. Answers are \
                      computed from pixels and are not for clinical use. Seven faults are planted (E1-E7).",
        knobs: &enso::OBSERVED_KNOBS,
        start: enso::start,
    },
    PresetDef {
        name: "enso-fixed",
        title: "the same pathology slide server with no planted fault",
        description: "The system of 'enso' with every fault off: requests run in parallel, the text report and the search are computed \
                      from the slide, status endpoints tell the truth, input is bounded. Not for clinical use.",
        knobs: &enso::FIXED_KNOBS,
        start: enso::start,
    },
    PresetDef {
        name: "media",
        title: "MCP server for video and image generation, as observed, with the generation service behind it",
        description: "The Model Context Protocol over streamable HTTP at /mcp, or over stdin and stdout with --stdio; eleven tools that \
                      write real files. The generation service has a listener of its own, named 'upstream', and fails in known ways. \
                      Four faults are planted (Z1-Z4).",
        knobs: &media::OBSERVED_KNOBS,
        start: media::start,
    },
    PresetDef {
        name: "media-fixed",
        title: "the same MCP server with no planted fault",
        description: "The system of 'media' with every fault off: downloads run in parallel and are verified, files appear whole and \
                      replace nothing, and a result tells what had to be repeated.",
        knobs: &media::FIXED_KNOBS,
        start: media::start,
    },
    PresetDef {
        name: "truth",
        title: "a server whose every property is a knob, and which fails on bad input in thirty ways",
        description: "GET /work, POST /v1/infer and POST /v1/generate wait for a free server and work for a drawn time; files, workers, \
                      caches, memory, standstills, crashes and spoilt answers are knobs, off by default. Other endpoints look at \
                      their input, with thirty defects. A second listener, 'streams', sends answers token by token at exact times. The \
                      admin port gives the exact figures and the true times.",
        knobs: &truth::KNOBS,
        start: truth::start,
    },
    PresetDef {
        name: "truth-fixed",
        title: "the same server with no input defect",
        description: "The system of 'truth' with 'defects=none' and 'cancel=true': every input is held against the document, bad input is \
                      refused with the right status, and nobody works for a client that has gone.",
        knobs: &truth::FIXED_KNOBS,
        start: truth::start,
    },
    PresetDef {
        name: "vision",
        title: "image detection platform, as observed: its models are placeholders",
        description: "Image upload, twenty-one detection and segmentation models, single and batch inference, and the KServe V2 protocol \
                      (HTTP, and gRPC on a listener of its own). Three faults are planted (V1-V3), each visible on a route of its own.",
        knobs: &vision::OBSERVED_KNOBS,
        start: vision::start,
    },
    PresetDef {
        name: "vision-fixed",
        title: "the same image detection platform with no planted fault",
        description: "The system of 'vision' with every fault off: a small network with fixed, untrained weights runs on the pixels, models \
                      take their declared time to load, memory and time per image, jobs tell how they are, input is bounded.",
        knobs: &vision::FIXED_KNOBS,
        start: vision::start,
    },
    PresetDef {
        name: "semantic",
        title: "language model server with a prefix cache, as observed: its memory leaks and nothing runs side by side",
        description: "The Messages and Chat Completions APIs (JSON and server-sent events), agents, probes, metrics and administration, before \
                      a pool of memory blocks and a scheduler. Seven faults are planted (S1-S7). An API key is needed: \
                      local-key-1 or local-key-2, unless api_keys says otherwise. The text is drawn from the prompt and means nothing.",
        knobs: &semantic::OBSERVED_KNOBS,
        start: semantic::start,
    },
    PresetDef {
        name: "semantic-fixed",
        title: "the same language model server with no planted fault",
        description: "The system of 'semantic' with every fault off: requests are batched step by step, blocks come back, cached prefixes \
                      are not computed again and survive a restart (cache_dir), refusals say when to come again. An API key is \
                      needed: local-key-1 or local-key-2, unless api_keys says otherwise.",
        knobs: &semantic::FIXED_KNOBS,
        start: semantic::start,
    },
    PresetDef {
        name: "runpod",
        title: "serverless platform with a load balancer and worker processes, as observed: seven faults",
        description: "A balancer before real processes that start on demand, load a file, dress a person on a picture and are stopped when \
                      idle; the queue API on the same port; an S3-like object store beside it. Seven faults are planted (R1-R7). \
                      --time-scale shortens all times, those of the workers too.",
        knobs: &runpod::OBSERVED_KNOBS,
        start: runpod::start,
    },
    PresetDef {
        name: "runpod-fixed",
        title: "the same platform with no planted fault",
        description: "The system of 'runpod' with every fault off: workers say 204 while they start, answers tell how long they waited, what \
                      cannot be served in time is refused at once with a Retry-After, and more workers come sooner.",
        knobs: &runpod::FIXED_KNOBS,
        start: runpod::start,
    },
    PresetDef {
        name: "runpod-worker",
        title: "one worker of that platform; the platform starts these itself",
        description: "The web server that the processes behind 'runpod' are: it loads its weights, answers /ping and makes pictures from \
                      those in a folder.",
        knobs: &runpod::WORKER_KNOBS,
        start: runpod::start_worker,
    },
];

impl PresetDef {
    /// The common knobs that this preset has no knob of its own for.
    pub fn common_knobs(&self) -> impl Iterator<Item = &'static KnobDef> {
        let own = self.knobs;
        COMMON_KNOBS
            .iter()
            .filter(move |common| own.iter().all(|knob| knob.name != common.name))
    }

    /// Its own knobs, then the common ones.
    pub(crate) fn all_knobs(&self) -> impl Iterator<Item = &'static KnobDef> {
        self.knobs.iter().chain(self.common_knobs())
    }
}

/// Finds a preset by name.
pub fn preset(name: &str) -> Result<&'static PresetDef, BackendError> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let valid: Vec<&'static str> = PRESETS.iter().map(|preset| preset.name).collect();
        BackendError::UnknownPreset {
            name: name.to_owned(),
            nearest: nearest(name, &valid),
            valid,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_described() {
        let mut names = HashSet::new();
        for preset in PRESETS {
            assert!(names.insert(preset.name));
            let mut knobs = HashSet::new();
            for knob in preset.all_knobs() {
                assert!(knobs.insert(knob.name), "{} twice in {}", knob.name, preset.name);
                assert!(
                    knob.description.len() > 10 && !knob.unit.is_empty(),
                    "{} needs a description",
                    knob.name
                );
            }
        }
    }

    #[test]
    fn unknown_preset_lists_the_valid_ones() {
        let text = preset("enso-fixd").unwrap_err().to_string();
        assert!(
            text.contains("did you mean 'enso-fixed'?") && text.contains("truth"),
            "{text}"
        );
    }

    #[test]
    fn observed_and_fixed_differ_in_every_fault() {
        for (name, count) in [("enso", 7), ("media", 4)] {
            let (observed, fixed) = (preset(name).unwrap(), preset(&format!("{name}-fixed")).unwrap());
            let faults: Vec<_> = observed
                .knobs
                .iter()
                .zip(fixed.knobs)
                .filter(|(a, _)| a.fault.is_some())
                .collect();
            assert_eq!(faults.len(), count);
            for (a, b) in faults {
                assert_eq!((a.name, a.default, b.default), (b.name, "true", "false"));
            }
        }
    }
}
