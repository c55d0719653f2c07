//! One bad request and what a sound target may answer.

use prony_model::{Expect, Request};

/// What is wrong with a request. The order is that of importance: when there is no time for all, the first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Credentials,
    MissingField,
    OverLong,
    UnknownId,
    InvalidJson,
    EmptyBody,
    EmptyFile,
    WrongFile,
    CutFile,
    EmptyText,
    WrongType,
    OutOfRange,
    NullField,
    EmptyObject,
    NotAnObject,
    NotInList,
    EmptyList,
    Markup,
    PathTraversal,
    Injection,
    Unicode,
    HeaderSplit,
    UnknownField,
    WrongMethod,
    WrongContentType,
    InvalidUtf8,
    DeepNesting,
    HugeBody,
    ManyItems,
    WrongAccept,
    UnknownPath,
    OddNumbers,
    OddJson,
    StalledBody,
    LeftEarly,
}

/// The twelve kinds of bad input that classes belong to, in the order of their numbers.
const KINDS: [&str; 12] = [
    "missing input",
    "wrong type or value",
    "empty input",
    "over-long input",
    "broken JSON, text or file",
    "unknown id",
    "undeclared method, path or type",
    "missing or wrong credentials",
    "hostile text",
    "huge body",
    "body that stops half-way",
    "client that leaves",
];

impl Class {
    /// Which of the twelve kinds it belongs to.
    pub(super) fn kind(self) -> &'static str {
        KINDS[match self {
            Self::MissingField | Self::NullField => 0,
            Self::WrongType
            | Self::OutOfRange
            | Self::NotInList
            | Self::OddNumbers
            | Self::NotAnObject
            | Self::WrongFile
            | Self::UnknownField => 1,
            Self::EmptyBody | Self::EmptyFile | Self::EmptyText | Self::EmptyObject | Self::EmptyList => 2,
            Self::OverLong => 3,
            Self::InvalidJson
            | Self::CutFile
            | Self::Unicode
            | Self::InvalidUtf8
            | Self::DeepNesting
            | Self::OddJson => 4,
            Self::UnknownId => 5,
            Self::WrongMethod | Self::WrongContentType | Self::WrongAccept | Self::UnknownPath => 6,
            Self::Credentials => 7,
            Self::Markup | Self::PathTraversal | Self::Injection | Self::HeaderSplit => 8,
            Self::HugeBody | Self::ManyItems => 9,
            Self::StalledBody => 10,
            Self::LeftEarly => 11,
        }]
    }

    /// Whether it is a bad file or bad bytes, which a target that keeps what it is sent may keep as well.
    pub(super) fn is_file(self) -> bool {
        matches!(self, Self::EmptyFile | Self::WrongFile | Self::CutFile)
    }

    /// In a few words, for tables.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::MissingField => "missing field",
            Self::OverLong => "over-long text",
            Self::UnknownId => "unknown id",
            Self::InvalidJson => "invalid JSON",
            Self::EmptyBody => "empty body",
            Self::EmptyFile => "empty file",
            Self::WrongFile => "file of another kind",
            Self::CutFile => "file cut short",
            Self::EmptyText => "empty text",
            Self::WrongType => "wrong type",
            Self::OutOfRange => "number out of range",
            Self::NullField => "null",
            Self::EmptyObject => "empty object",
            Self::NotAnObject => "not an object",
            Self::NotInList => "value outside the list",
            Self::EmptyList => "empty list",
            Self::Markup => "markup",
            Self::PathTraversal => "path traversal",
            Self::Injection => "template or SQL",
            Self::Unicode => "rare characters",
            Self::HeaderSplit => "line breaks",
            Self::UnknownField => "unknown field",
            Self::WrongMethod => "undeclared method",
            Self::WrongContentType => "wrong content type",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::DeepNesting => "deep nesting",
            Self::HugeBody => "huge body",
            Self::UnknownPath => "unknown path",
            Self::OddNumbers => "odd numbers",
            Self::ManyItems => "very long list",
            Self::WrongAccept => "unknown Accept",
            Self::OddJson => "odd JSON",
            Self::StalledBody => "body that stops half-way",
            Self::LeftEarly => "client that leaves",
        }
    }
}

/// What a sound target does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The schema forbids it: a client error. A success is worth a warning.
    Refused,
    /// Such a thing does not exist: 404 at best. A success is worth a warning.
    NotFound,
    /// The schema does not say: any client error, or a harmless success.
    Harmless,
    /// As `Harmless`, and the target may also close the connection: the request is very large.
    HarmlessOrClosed,
    /// The schema of a tool forbids it: an error of JSON-RPC or of the tool within a good status, or a client error. A result is
    /// worth a warning.
    ToolError,
    /// The method is not declared: 405 at best, 501 as well; a success is worth a remark.
    NotAllowed,
    /// The document asks for credentials and they are missing or wrong: 401, 403 or 404; a success is critical.
    Unauthorised,
}

/// Client errors that answer a bad request properly; those that ask for credentials or patience included, for they
/// refuse it too.
const REFUSALS: [u16; 18] = [
    400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415, 422, 428, 429, 431, 417,
];
const SUCCESSES: [u16; 5] = [200, 201, 202, 204, 206];

impl Wanted {
    /// The statuses that are as they should be.
    pub(super) fn statuses(self) -> Vec<u16> {
        let mut statuses = REFUSALS.to_vec();
        match self {
            Self::Refused | Self::NotFound | Self::Unauthorised => {}
            Self::Harmless | Self::HarmlessOrClosed | Self::ToolError => statuses.extend(SUCCESSES),
            Self::NotAllowed => statuses.push(501),
        }
        statuses.sort_unstable();
        statuses
    }

    /// In a few words, for tables.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Refused => "a client error (400 or 422)",
            Self::NotFound => "404",
            Self::Harmless | Self::HarmlessOrClosed => "a client error, or a normal answer",
            Self::ToolError => "an error of the tool, or a client error",
            Self::NotAllowed => "405",
            Self::Unauthorised => "401 or 403",
        }
    }

    /// What the engine should call a correct answer.
    pub(super) fn expect(self) -> Expect {
        Expect {
            status: self.statuses(),
            ..Expect::default()
        }
    }
}

/// A bad request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NegativeCase {
    /// What is wrong.
    pub class: Class,
    /// The field it is about; empty when it is about the request as a whole.
    pub field: String,
    /// In plain words, with an article: "an over-long `slide_id` (10,000 characters)".
    pub name: String,
    /// The request.
    pub request: Request,
    /// What a sound target does.
    pub wanted: Wanted,
}
