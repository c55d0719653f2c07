//! Valid tiles for tile endpoints of a documented API. A document says that there is a level and a tile, never which
//! tiles exist; the descriptor beside the endpoint does.

use prony_experiments::dzi::Descriptor;
use prony_experiments::tiles::{TileAddress, descriptors};
use prony_model::{Endpoint, SampleRequest, Surface};

use super::places::has_extension;
use super::{Fetch, SAMPLES_MAX};
use crate::text;

/// Descriptor endpoints that are asked at most for one tile endpoint.
const ASKED_MAX: usize = 2;

/// Replaces made-up tiles by tiles that a descriptor promises, wherever one is found.
pub(super) fn plan(fetch: &mut dyn Fetch, surface: &mut Surface) {
    for index in 0..surface.endpoints.len() {
        let tile = &surface.endpoints[index];
        let Some(address) = TileAddress::of(tile) else {
            continue;
        };
        let found = descriptors(tile, &surface.endpoints)
            .into_iter()
            .filter(|e| is_document(e))
            .take(ASKED_MAX)
            .find_map(|e| Some((e.name.clone(), samples(fetch, e, &address)?)));
        if let Some((place, samples)) = found {
            surface
                .found_by
                .push(format!("tiles planned from {}", text::clean(&place, 80)));
            surface.endpoints[index].samples = samples;
        }
    }
}

fn samples(fetch: &mut dyn Fetch, endpoint: &Endpoint, address: &TileAddress) -> Option<Vec<SampleRequest>> {
    let sample = endpoint.samples.first()?;
    let answer = fetch.fetch(&sample.request);
    let pyramid = Descriptor::parse(&answer.body).ok()?;
    let planned = address.samples(&pyramid, &sample.inputs, SAMPLES_MAX, 1);
    (!planned.is_empty()).then_some(planned)
}

/// Whether an endpoint looks like a descriptor: asking it must not be work for the target.
fn is_document(endpoint: &Endpoint) -> bool {
    let path = endpoint.path.to_lowercase();
    let is_xml = endpoint
        .expect
        .content_type
        .as_deref()
        .is_some_and(|t| t.contains("xml"));
    is_xml || path.ends_with("dzi") || has_extension(&path, "xml")
}
