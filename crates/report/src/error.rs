//! What can go wrong in laying out a report: only our own mistakes.

/// A report could not be laid out. A bug of Prony, whatever the run holds.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template does not fit the view model.
    #[error("a template of the report failed: {0:#}")]
    Template(#[from] minijinja::Error),
    /// The view model could not be written as JSON.
    #[error("the report could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The view model could not be written as CSV.
    #[error("the report could not be written as CSV: {0}")]
    Csv(#[from] csv::Error),
}
