//! What a target offers that is made up for a case.

use std::collections::BTreeMap;

use prony_model::{Endpoint, Expect, Request, Role, SampleRequest, Surface};
use serde_json::json;

/// Name of the endpoint of [`one_endpoint`].
pub(crate) const WORK: &str = "POST /work";

/// One endpoint that does work, with one input.
pub(crate) fn one_endpoint() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: WORK.to_owned(),
            method: "POST".to_owned(),
            path: "/work".to_owned(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: vec![200],
            samples: vec![SampleRequest {
                request: Request::json("POST", "/work", &json!({ "input": 1 })),
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        }],
        ..Surface::default()
    }
}
