//! How the tiles of a pyramid are addressed: the path template of a tile endpoint, and the descriptor beside it.

use std::collections::BTreeMap;

use prony_model::{Endpoint, Request, Role, SampleRequest};

use crate::dzi::{Descriptor, Tile};
use crate::mutation::escaped;

/// Where level, column and row stand in the path of a tile endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileAddress {
    template: String,
    level: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A parameter for each.
    Apart { col: String, row: String },
    /// One parameter with `COL_ROW`, and the extension unless the template has it.
    Together { name: String, extension: bool },
}

impl TileAddress {
    /// Reads the path template of a tile endpoint; `None` when level and position cannot be told from their names.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        if endpoint.role != Role::Tile || endpoint.method != "GET" {
            return None;
        }
        let names = parameters(&endpoint.path);
        let find = |wanted: &[&str]| {
            names
                .iter()
                .find(|n| wanted.contains(&n.to_lowercase().as_str()))
                .cloned()
        };
        let level = find(&["level", "z", "zoom"])?;
        let together = find(&["tile", "tile_spec", "tile_name", "tilespec", "coords"]);
        let place = match (find(&["col", "column", "x"]), find(&["row", "y"]), together) {
            (Some(col), Some(row), _) => Place::Apart { col, row },
            (_, _, Some(name)) => {
                let extension = endpoint.path.ends_with(&format!("{{{name}}}"));
                Place::Together { name, extension }
            }
            _ => return None,
        };
        Some(Self {
            template: endpoint.path.clone(),
            level,
            place,
        })
    }

    /// The path of a tile; `inputs` fill the other parameters. `None` when one of them is missing.
    pub fn path(&self, tile: Tile, format: &str, inputs: &BTreeMap<String, String>) -> Option<String> {
        let number = |n: u32| n.to_string();
        self.raw(
            &number(tile.level),
            &number(tile.col),
            &number(tile.row),
            format,
            inputs,
        )
    }

    /// As [`TileAddress::path`], with any text for each coordinate.
    pub(super) fn raw(
        &self,
        level: &str,
        col: &str,
        row: &str,
        format: &str,
        inputs: &BTreeMap<String, String>,
    ) -> Option<String> {
        let fill =
            |path: String, name: &str, value: &str| path.replace(&format!("{{{name}}}"), &escaped(value));
        let mut path = fill(self.template.clone(), &self.level, level);
        path = match &self.place {
            Place::Apart { col: c, row: r } => fill(fill(path, c, col), r, row),
            Place::Together {
                name,
                extension: true,
            } => fill(path, name, &format!("{col}_{row}.{format}")),
            Place::Together {
                name,
                extension: false,
            } => fill(path, name, &format!("{col}_{row}")),
        };
        for name in parameters(&path.clone()) {
            path = fill(path, &name, inputs.get(&name)?);
        }
        Some(path)
    }

    /// Requests for up to `count` valid tiles of a pyramid, with their inputs.
    pub fn samples(
        &self,
        pyramid: &Descriptor,
        inputs: &BTreeMap<String, String>,
        count: usize,
        seed: u64,
    ) -> Vec<SampleRequest> {
        pyramid
            .sample(count, seed)
            .into_iter()
            .filter_map(|tile| {
                let request = Request::get(self.path(tile, &pyramid.format, inputs)?);
                let mut inputs = inputs.clone();
                inputs.insert(self.level.clone(), tile.level.to_string());
                Some(SampleRequest { request, inputs })
            })
            .collect()
    }
}

/// The endpoint among these that may hold the descriptor of a tile endpoint's pyramid: a GET that shares the longest
/// start of the path with it, by whole words. What it answers must still parse as a descriptor.
pub fn descriptors<'a>(tile: &Endpoint, endpoints: &'a [Endpoint]) -> Vec<&'a Endpoint> {
    let shared = |e: &Endpoint| {
        e.path
            .bytes()
            .zip(tile.path.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    let mut found: Vec<&Endpoint> = endpoints
        .iter()
        .filter(|e| {
            e.method == "GET" && matches!(e.role, Role::Media | Role::Resource) && e.path != tile.path
        })
        .collect();
    found.sort_by_key(|e| std::cmp::Reverse(shared(e)));
    found
}

/// Names of the `{parameters}` of a path.
fn parameters(path: &str) -> Vec<String> {
    path.split('{')
        .skip(1)
        .filter_map(|part| Some(part.split_once('}')?.0.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{Endpoint, Expect, Role};

    use super::{TileAddress, descriptors};
    use crate::dzi::{Descriptor, Tile};

    fn at(path: &str, role: Role) -> Endpoint {
        Endpoint {
            name: format!("GET {path}"),
            method: "GET".into(),
            path: path.into(),
            role,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: Vec::new(),
            expect: Expect::default(),
        }
    }

    #[test]
    fn templates_of_several_kinds() {
        let inputs = BTreeMap::from([("id".to_owned(), "a b".to_owned())]);
        let tile = Tile {
            level: 3,
            col: 1,
            row: 2,
        };
        for (template, path) in [
            (
                "/s/{id}_files/{level}/{col}_{row}.png",
                "/s/a%20b_files/3/1_2.png",
            ),
            (
                "/s/{id}/dzi_files/{level}/{tile_spec}",
                "/s/a%20b/dzi_files/3/1_2.jpeg",
            ),
            ("/s/{id}/{level}/{tile}.jpg", "/s/a%20b/3/1_2.jpg"),
            ("/xyz/{z}/{x}/{y}", "/xyz/3/1/2"),
        ] {
            let address = TileAddress::of(&at(template, Role::Tile)).unwrap();
            assert_eq!(address.path(tile, "jpeg", &inputs).as_deref(), Some(path));
        }
        assert_eq!(TileAddress::of(&at("/s/{id}/{name}", Role::Tile)), None);
        let needs_id = TileAddress::of(&at("/s/{id}/{level}/{tile}.jpg", Role::Tile)).unwrap();
        assert_eq!(needs_id.path(tile, "jpeg", &BTreeMap::new()), None);
    }

    #[test]
    fn the_nearest_descriptor_comes_first() {
        let all = [
            at("/s/{id}/info", Role::Resource),
            at("/s/{id}/dzi", Role::Media),
            at("/x", Role::Health),
        ];
        let found = descriptors(&at("/s/{id}/dzi_files/{level}/{tile_spec}", Role::Tile), &all);
        assert_eq!(found[0].path, "/s/{id}/dzi");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn samples_are_valid_tiles() {
        let pyramid = Descriptor {
            width: 600,
            height: 300,
            tile_size: 254,
            overlap: 1,
            format: "png".into(),
        };
        let address = TileAddress::of(&at("/m_files/{level}/{col}_{row}.png", Role::Tile)).unwrap();
        let samples = address.samples(&pyramid, &BTreeMap::new(), 5, 1);
        assert_eq!(samples.len(), 5);
        assert_eq!(samples[0].request.path, "/m_files/6/0_0.png");
    }
}
