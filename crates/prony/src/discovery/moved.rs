//! Redirects that are met while finding out. The run asks where they lead: a redirect is no answer to be measured. What a document
//! names stays as it is, for the document is at fault. It must not know where the target is.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Captured, Request, Surface};

use super::Fetch;
use crate::text;

/// Most redirects in a row.
const HOPS_MAX: usize = 5;

/// Follows redirects, and remembers where they lead.
pub(super) struct Following<'a> {
    inner: &'a mut dyn Fetch,
    /// By method and path asked, the path that answered.
    moved: BTreeMap<(String, String), String>,
}

impl Fetch for Following<'_> {
    fn fetch(&mut self, request: &Request) -> Captured {
        let mut answer = self.inner.fetch(request);
        let mut next = request.clone();
        for _ in 0..HOPS_MAX {
            let Some(to) = self.next(&next, &answer) else {
                break;
            };
            next.path = to;
            answer = self.inner.fetch(&next);
        }
        if next.path != request.path {
            let asked = (request.method.clone(), request.path.clone());
            self.moved.insert(asked, next.path);
        }
        answer
    }

    fn sends(&self, name: &str) -> bool {
        self.inner.sends(name)
    }

    fn leads(&self, from: &str, location: &str) -> Option<String> {
        self.inner.leads(from, location)
    }
}

impl<'a> Following<'a> {
    pub(super) fn new(inner: &'a mut dyn Fetch) -> Self {
        Self {
            inner,
            moved: BTreeMap::new(),
        }
    }

    /// Where to ask next: the request must stay the same but for its path.
    fn next(&self, request: &Request, answer: &Captured) -> Option<String> {
        let is_same = match answer.status {
            301..=303 => request.method == "GET",
            307 | 308 => true,
            _ => false,
        };
        let location = answer.header("location").filter(|_| is_same)?;
        self.inner
            .leads(&request.path, location)
            .filter(|to| *to != request.path)
    }

    /// Puts the paths that answered in the place of those that redirect. The root stays: what it leads to is a page.
    pub(super) fn apply(&self, surface: &mut Surface, is_documented: impl Fn(&str) -> bool) {
        let mut said = BTreeSet::new();
        for endpoint in surface.endpoints.iter_mut().filter(|e| !is_documented(&e.name)) {
            let old = (endpoint.method.clone(), endpoint.path.clone());
            for sample in &mut endpoint.samples {
                let asked = (sample.request.method.clone(), sample.request.path.clone());
                if let Some(to) = self.moved.get(&asked).filter(|_| asked.1 != "/") {
                    sample.request.path.clone_from(to);
                }
            }
            if let Some(to) = self.moved.get(&old).filter(|_| old.1 != "/") {
                said.insert(format!(
                    "{} redirects to {}, which is asked in its place",
                    text::clean(&old.1, 80),
                    text::clean(to, 80)
                ));
                if endpoint.name == format!("{} {}", old.0, old.1) {
                    endpoint.name = format!("{} {to}", old.0);
                }
                endpoint.path.clone_from(to);
            }
        }
        surface.found_by.extend(said);
    }
}
