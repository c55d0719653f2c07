//! The pathology slide server: a viewer's API (slides, Deep Zoom tiles) and an inference API (analysis, report, search, similar
//! cases, heatmap, embeddings), imitated as it was observed at commit 82733f7 of github.com/Hilo-Hilo/Enso-Atlas. Answers are
//! computed from pixels by simple published means and are not for clinical use.

mod app;
mod config;
mod device;
mod docs_page;
mod dzi;
mod features;
mod heatmap;
mod mil;
mod openapi;
mod perf;
mod pyramid;
mod report_text;
mod routes;
mod search;
mod slides;
mod stain;
mod tissue;

pub(crate) use app::start;
pub(crate) use config::{FIXED_KNOBS, OBSERVED_KNOBS};
