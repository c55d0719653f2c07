//! What the parts of a form and generated pictures must satisfy beyond their types. It must not know how they are sent.

use std::path::Path;

use prony_model::{HttpSpec, ImageSpec, PartSpec};

use super::document::Document;
use crate::diagnostic::Diagnostic;

/// The first thing that is wrong with the form or the picture of a request.
pub(super) fn check(
    spec: &HttpSpec,
    document: &Document,
    path: &str,
    base_dir: &Path,
) -> Result<(), Diagnostic> {
    if let Some(image) = &spec.image {
        picture(image, document, &format!("{path}.image"))?;
    }
    for (i, found) in spec.multipart.iter().enumerate() {
        part(found, document, &format!("{path}.multipart.{i}"), base_dir)?;
    }
    Ok(())
}

fn part(part: &PartSpec, document: &Document, path: &str, base_dir: &Path) -> Result<(), Diagnostic> {
    if part.name.is_empty() {
        return Err(document
            .error(path, "a part of a form needs a name")
            .next("add `name = \"file\"`, as the target's document calls the field"));
    }
    let given = [part.value.is_some(), part.file.is_some(), part.image.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(document
            .error(
                path,
                format!("the part `{}` must have exactly one content", part.name),
            )
            .next("give it `value`, `file` or `image`"));
    }
    if part
        .value
        .as_ref()
        .is_some_and(|value| value.contains("{{carry.") || value.contains("{{random."))
    {
        return Err(document
            .error(
                &format!("{path}.value"),
                "a form is made before the run: only `values` can be filled in",
            )
            .next("send such values in the path, a header or a JSON body"));
    }
    if let Some(image) = &part.image {
        picture(image, document, &format!("{path}.image"))?;
    }
    if let Some(file) = &part.file
        && let Err(error) = std::fs::metadata(base_dir.join(file))
    {
        return Err(document
            .error(
                &format!("{path}.file"),
                format!("cannot read {}: {error}", base_dir.join(file).display()),
            )
            .next("the path starts from the suite file's folder"));
    }
    Ok(())
}

fn picture(image: &ImageSpec, document: &Document, path: &str) -> Result<(), Diagnostic> {
    for (key, side) in [("width", image.width), ("height", image.height)] {
        if !(1..=ImageSpec::SIDE_MAX).contains(&side) {
            return Err(document.error(
                &format!("{path}.{key}"),
                format!("a side has 1 to {} pixels", ImageSpec::SIDE_MAX),
            ));
        }
    }
    Ok(())
}
