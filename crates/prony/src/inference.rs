//! Inference over KServe V2 (Open Inference Protocol), the same over gRPC and over HTTP: what a server says of itself and its models,
//! requests made from that, and what their answers must hold. It must not know when they are sent.

use prony_model::{Body, BodyCheck, Captured, Expect, Header, JsonText, Request, TensorSpec};
use prony_wire::kserve::{self, Input};
use prony_wire::{Origin, grpc};
use serde_json::{Value, json};

use crate::discovery::{fit, tensor};
use crate::text::clean;

/// Sends one request that is no load.
pub(crate) type Fetch<'a> = dyn FnMut(&Request) -> Captured + 'a;

/// Longest name of a model.
const NAME_BYTES_MAX: usize = 200;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `inference.GRPCInferenceService`.
    Grpc,
    /// JSON below `/v2`.
    Http,
}

impl Transport {
    /// By the scheme of the target's URL.
    pub(crate) fn of(url: &str) -> Self {
        if Origin::parse(url).is_ok_and(|origin| origin.is_grpc()) {
            Self::Grpc
        } else {
            Self::Http
        }
    }
}

/// A model, in a version or in the one that the server chooses (empty).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: &'a str,
}

impl<'a> Named<'a> {
    /// What a text names: a model, and its version where that follows the separator; either may be empty. `None` where it can name none.
    pub(crate) fn parse(text: &'a str, separator: char) -> Option<Self> {
        let (model, version) = text.split_once(separator).unwrap_or((text, ""));
        let is_named = |name: &str| name.is_empty() || is_name(name);
        (is_named(model) && is_named(version)).then_some(Self { model, version })
    }

    /// The same of the path of a URL: `/MODEL/VERSION`.
    pub(crate) fn in_path(path: &'a str) -> Option<Self> {
        Self::parse(path.trim_matches('/'), '/')
    }

    fn path(self) -> String {
        match self {
            Self { model, version: "" } => format!("/v2/models/{model}"),
            Self { model, version } => format!("/v2/models/{model}/versions/{version}"),
        }
    }
}

/// Whether a text can be a model's name or version in a path.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(plain)
}

/// A call of a method of the service, with its message.
pub(crate) fn call(method: &str, message: &[u8]) -> Request {
    Request {
        method: "POST".to_owned(),
        path: kserve::path(method),
        headers: grpc::HEADERS
            .iter()
            .map(|(name, value)| Header::new(*name, *value))
            .collect(),
        body: Body::Bytes(grpc::frame(message)),
    }
}

/// The message that a call brings; in words why it brings none.
pub(crate) fn ask(fetch: &mut Fetch<'_>, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let answer = fetch(&call(method, message));
    match answer.status {
        0 if answer.error.is_empty() => return Err(format!("the request {}", answer.outcome.says())),
        0 => return Err(clean(&answer.error, 200)),
        200 => {}
        status => return Err(format!("the target answers {status}, which is no gRPC")),
    }
    let told = answer.header("grpc-status").unwrap_or_default();
    let said = answer.header("grpc-message").unwrap_or_default();
    let Some(status) = grpc::Status::parse(told.as_bytes(), said.as_bytes()) else {
        return Err("the target answers 200 without a status of gRPC".to_owned());
    };
    if status.code != 0 {
        return Err(clean(&format!("{}: {}", status.name(), status.message), 200));
    }
    let body = if answer.binary {
        &answer.bytes
    } else {
        answer.body.as_bytes()
    };
    grpc::message(body)
        .map(<[u8]>::to_vec)
        .map_err(|error| error.to_string())
}

/// What a model declares; in words why that is not known.
pub(crate) fn declared(
    fetch: &mut Fetch<'_>,
    by: Transport,
    named: Named<'_>,
) -> Result<kserve::Model, String> {
    if by == Transport::Grpc {
        let message = ask(
            fetch,
            "ModelMetadata",
            &kserve::of_model(named.model, named.version),
        )?;
        return kserve::model(&message).map_err(|error| format!("its metadata cannot be read: {error}"));
    }
    let answer = fetch(&Request::get(named.path()));
    match answer.status {
        0 if answer.error.is_empty() => Err(format!("the request {}", answer.outcome.says())),
        0 => Err(clean(&answer.error, 200)),
        200 => {
            let told = answer.json().ok_or("its metadata is no JSON")?;
            Ok(kserve::Model {
                inputs: specs(told.get("inputs")),
                outputs: specs(told.get("outputs")),
            })
        }
        status => Err(format!("the target answers {status} at {}", named.path())),
    }
}

/// Tensors as JSON declares them; what is none is left out.
fn specs(told: Option<&Value>) -> Vec<TensorSpec> {
    let list = told.and_then(Value::as_array);
    let spec = |tensor: &Value| {
        Some(TensorSpec {
            name: tensor.get("name")?.as_str()?.to_owned(),
            datatype: tensor.get("datatype")?.as_str()?.to_owned(),
            shape: tensor
                .get("shape")?
                .as_array()?
                .iter()
                .map(|d| d.as_i64().unwrap_or(-1))
                .collect(),
        })
    };
    list.into_iter().flatten().filter_map(spec).collect()
}

/// The models that a server lists, which is an extension; none where it lists none.
pub(crate) fn models(fetch: &mut Fetch<'_>, by: Transport) -> Vec<String> {
    let names = match by {
        Transport::Grpc => ask(fetch, "RepositoryIndex", &[])
            .ok()
            .and_then(|message| kserve::models(&message).ok())
            .unwrap_or_default(),
        Transport::Http => {
            let answer = fetch(&Request::json("POST", "/v2/repository/index", &json!({})));
            let list = answer.json().filter(Value::is_array).unwrap_or_default();
            let name = |model: &Value| Some(model.get("name")?.as_str()?.to_owned());
            list.as_array().into_iter().flatten().filter_map(name).collect()
        }
    };
    names.into_iter().filter(|name| is_name(name)).collect()
}

/// The `k`-th request for inference on a model: inputs of the declared names, types and shapes, with contents of their own. The error
/// says for which input nothing can be made up, or that there is too much.
pub(crate) fn infer(
    by: Transport,
    named: Named<'_>,
    inputs: &[TensorSpec],
    outputs: &[String],
    k: usize,
) -> Result<Request, String> {
    let wanted: Vec<Value> = inputs.iter().map(|input| json!(input)).collect();
    if !fit(&wanted) {
        return Err("its inputs are too large to be made up".to_owned());
    }
    let made = wanted.iter().map(|input| tensor(input, k));
    if by == Transport::Http {
        let mut body = json!({ "inputs": made.collect::<Vec<_>>() });
        if !outputs.is_empty() {
            let named: Vec<Value> = outputs.iter().map(|name| json!({ "name": name })).collect();
            body["outputs"] = named.into();
        }
        return Ok(Request::json("POST", format!("{}/infer", named.path()), &body));
    }
    let filled = made.zip(inputs).map(|(made, input)| {
        let list = |key: &str| made[key].as_array().map_or(&[][..], Vec::as_slice);
        let raw = kserve::raw(&input.datatype, list("data"))
            .map_err(|error| format!("the input {:?}: {error}", clean(&input.name, 80)))?;
        Ok(Input {
            spec: TensorSpec {
                shape: list("shape").iter().filter_map(Value::as_i64).collect(),
                ..input.clone()
            },
            raw,
        })
    });
    let filled: Result<Vec<Input>, String> = filled.collect();
    Ok(call(
        "ModelInfer",
        &kserve::infer(named.model, named.version, filled?, outputs),
    ))
}

/// What an answer must hold: the declared outputs, those alone that were asked for where some were.
pub(crate) fn expect(by: Transport, declared: &[TensorSpec], asked: &[String]) -> Expect {
    let wanted = declared
        .iter()
        .filter(|output| asked.is_empty() || asked.contains(&output.name))
        .cloned();
    let body = match by {
        Transport::Grpc => vec![BodyCheck::Grpc, BodyCheck::Tensors(wanted.collect())],
        Transport::Http => vec![
            BodyCheck::Json("/outputs/0".to_owned()),
            BodyCheck::Schema(JsonText(schema(wanted))),
        ],
    };
    Expect {
        body,
        ..Expect::status(200)
    }
}

/// The same as a JSON Schema.
fn schema(outputs: impl Iterator<Item = TensorSpec>) -> Value {
    let output = |spec: TensorSpec| {
        let dimension = |d: &i64| {
            if *d < 0 {
                json!(true)
            } else {
                json!({ "const": d })
            }
        };
        let dimensions: Vec<Value> = spec.shape.iter().map(dimension).collect();
        let rank = dimensions.len();
        let mut shape = json!({"type": "array"});
        if rank > 0 {
            // One of another rank may hold the same numbers: servers add dimensions of 1.
            shape["if"] = json!({"minItems": rank, "maxItems": rank});
            shape["then"] = json!({ "prefixItems": dimensions });
        }
        json!({"contains": {
            "type": "object",
            "required": ["name", "datatype", "shape"],
            "properties": {
                "name": {"const": spec.name},
                "datatype": {"const": spec.datatype},
                "shape": shape,
            },
        }})
    };
    let mut array = json!({"type": "array"});
    let all: Vec<Value> = outputs.map(output).collect();
    if !all.is_empty() {
        array["allOf"] = all.into();
    }
    json!({"type": "object", "required": ["outputs"], "properties": {"outputs": array}})
}

#[cfg(test)]
mod tests {
    use prony_model::{Body, BodyCheck, Captured, Header, Outcome, Request, TensorSpec};
    use prony_wire::{grpc, kserve};
    use serde_json::{Value, json};

    use super::{Named, Transport, ask, declared, expect, infer, is_name};

    fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            datatype: datatype.into(),
            shape: shape.to_vec(),
        }
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Captured {
        let text = std::str::from_utf8(body);
        Captured {
            status,
            outcome: Outcome::Ok,
            headers: headers.iter().map(|(n, v)| Header::new(*n, *v)).collect(),
            binary: text.is_err(),
            body: text.unwrap_or_default().to_owned(),
            bytes: if text.is_err() { body.to_vec() } else { Vec::new() },
            error: String::new(),
            ..Captured::unsent("")
        }
    }

    const NAMED: Named<'_> = Named {
        model: "m",
        version: "",
    };

    #[test]
    fn the_transport_is_the_schemes() {
        assert_eq!(Transport::of("grpc://127.0.0.1:1"), Transport::Grpc);
        assert_eq!(Transport::of("grpcs://h:1"), Transport::Grpc);
        for url in ["http://grpc:1", "grpc.example.org:1", "demo:vision", ""] {
            assert_eq!(Transport::of(url), Transport::Http, "{url}");
        }
    }

    #[test]
    fn a_request_is_made_from_what_the_model_declares() {
        let inputs = [spec("x", "FP32", &[-1, 4]), spec("t", "BYTES", &[1])];
        let over_http = infer(Transport::Http, NAMED, &inputs, &["y".into()], 0).unwrap();
        assert_eq!(over_http.label(), "POST /v2/models/m/infer");
        let Body::Text(text) = over_http.body else {
            panic!()
        };
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["inputs"][0]["shape"], json!([1, 4]));
        assert_eq!(body["outputs"], json!([{"name": "y"}]));
        let over_grpc = infer(Transport::Grpc, NAMED, &inputs, &[], 0).unwrap();
        assert_eq!(
            over_grpc.label(),
            "POST /inference.GRPCInferenceService/ModelInfer"
        );
        let Body::Bytes(framed) = &over_grpc.body else {
            panic!()
        };
        let message = grpc::message(framed).unwrap();
        let numbers = kserve::raw("FP32", body["inputs"][0]["data"].as_array().unwrap()).unwrap();
        assert!(message.windows(16).any(|w| w == numbers));
        let other = infer(Transport::Grpc, NAMED, &inputs, &[], 1).unwrap();
        assert_ne!(over_grpc.body, other.body);
        let strange = infer(Transport::Grpc, NAMED, &[spec("x", "FP8", &[1])], &[], 0);
        assert!(strange.unwrap_err().contains("\"x\""));
        let vast = infer(Transport::Grpc, NAMED, &[spec("x", "FP32", &[1 << 40])], &[], 0);
        assert!(vast.unwrap_err().contains("too large"));
    }

    #[test]
    fn declarations_are_read_over_both() {
        let json = json!({"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}, {"name": 7}],
                          "outputs": [{"name": "y", "datatype": "INT64", "shape": [1]}]});
        let mut http = |request: &Request| {
            assert_eq!(request.path, "/v2/models/m/versions/2");
            answer(200, &[], json.to_string().as_bytes())
        };
        let named = Named {
            version: "2",
            ..NAMED
        };
        let found = declared(&mut http, Transport::Http, named).unwrap();
        assert_eq!(found.inputs, [spec("x", "FP32", &[-1, 4])]);
        assert_eq!(found.outputs, [spec("y", "INT64", &[1])]);
        let mut refusing = |_: &Request| {
            answer(
                200,
                &[("grpc-status", "5"), ("grpc-message", "no%20such%20model")],
                b"",
            )
        };
        let why = declared(&mut refusing, Transport::Grpc, NAMED).unwrap_err();
        assert_eq!(why, "NOT_FOUND: no such model");
    }

    #[test]
    fn what_is_no_answer_of_grpc_is_told() {
        for (status, headers, body, why) in [
            (404, vec![], &b""[..], "answers 404"),
            (200, vec![], b"<html>", "without a status of gRPC"),
            (200, vec![("grpc-status", "0")], b"", "no message"),
            (200, vec![("grpc-status", "0")], b"\0\0\0\0\x05ab", "2 of its 5"),
        ] {
            let mut fetch = |_: &Request| answer(status, &headers, body);
            let said = ask(&mut fetch, "ServerLive", &[]).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn both_transports_demand_the_same_outputs() {
        let outputs = [spec("y", "FP32", &[-1, 2]), spec("z", "INT32", &[1])];
        let asked = ["y".to_owned()];
        let over_grpc = expect(Transport::Grpc, &outputs, &asked);
        assert_eq!(
            over_grpc.body,
            [BodyCheck::Grpc, BodyCheck::Tensors(outputs[..1].to_vec())]
        );
        let over_http = expect(Transport::Http, &outputs, &[]);
        let BodyCheck::Schema(schema) = &over_http.body[1] else {
            panic!()
        };
        let schema = jsonschema::validator_for(&schema.0).unwrap();
        let y = |shape: Value| json!({"name": "y", "datatype": "FP32", "shape": shape, "data": [1, 2]});
        let z = json!({"name": "z", "datatype": "INT32", "shape": [1], "data": [1]});
        assert!(schema.is_valid(&json!({"outputs": [z, y(json!([1, 2]))]})));
        for wrong in [
            json!([z]),
            json!([z, y(json!([1, 3]))]),
            json!([z, y(json!("2"))]),
        ] {
            assert!(!schema.is_valid(&json!({ "outputs": wrong })), "{wrong}");
        }
    }

    #[test]
    fn a_path_names_a_model_and_its_version() {
        let parts = |path| Named::in_path(path).map(|named| (named.model, named.version));
        assert_eq!(parts("/"), Some(("", "")));
        assert_eq!(parts("/m"), Some(("m", "")));
        assert_eq!(parts("/m/2/"), Some(("m", "2")));
        for wrong in ["/a/b/c", "/m?x=1", "/a%20b"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_that_fit_into_a_path() {
        assert!(is_name("yolo11_nano-1.0"));
        assert!(!is_name("") && !is_name("a/b") && !is_name(&"a".repeat(201)));
    }
}
