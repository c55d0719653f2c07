//! S3's errors: each with its code, its status and its words.

use axum::http::StatusCode;

/// An error as a client of S3 knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Error {
    /// `NoSuchKey` ...
    pub(crate) code: &'static str,
    /// Its status.
    pub(crate) status: StatusCode,
    /// In words.
    pub(crate) message: String,
    /// Length of the object whose range was asked for in vain.
    pub(crate) length: Option<u64>,
}

impl S3Error {
    /// Any error.
    pub(crate) fn new(code: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            code,
            status,
            message: message.into(),
            length: None,
        }
    }

    /// 400.
    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, message)
    }

    /// 403.
    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::FORBIDDEN, message)
    }

    /// There is no such object.
    pub(crate) fn no_such_key() -> Self {
        Self::new(
            "NoSuchKey",
            StatusCode::NOT_FOUND,
            "The specified key does not exist.",
        )
    }

    /// There is no such multipart upload.
    pub(crate) fn no_such_upload() -> Self {
        Self::new(
            "NoSuchUpload",
            StatusCode::NOT_FOUND,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        )
    }

    /// A condition of the request does not hold.
    pub(crate) fn precondition() -> Self {
        Self::new(
            "PreconditionFailed",
            StatusCode::PRECONDITION_FAILED,
            "At least one of the pre-conditions you specified did not hold",
        )
    }

    /// The range lies outside of the object.
    pub(crate) fn range(length: u64) -> Self {
        Self {
            length: Some(length),
            ..Self::new(
                "InvalidRange",
                StatusCode::RANGE_NOT_SATISFIABLE,
                "The requested range is not satisfiable",
            )
        }
    }

    /// The body's XML cannot be read.
    pub(crate) fn malformed() -> Self {
        Self::bad(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    }

    /// S3 can do this, and this store cannot.
    pub(crate) fn not_implemented() -> Self {
        Self::new(
            "NotImplemented",
            StatusCode::NOT_IMPLEMENTED,
            "A header or operation you provided implies functionality that is not implemented",
        )
    }
}

impl From<std::io::Error> for S3Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::no_such_key(),
            std::io::ErrorKind::NotADirectory
            | std::io::ErrorKind::IsADirectory
            | std::io::ErrorKind::DirectoryNotEmpty
            | std::io::ErrorKind::AlreadyExists => Self::new(
                "InvalidRequest",
                StatusCode::CONFLICT,
                "On this volume a key cannot be both an object and a folder.",
            ),
            std::io::ErrorKind::InvalidFilename => {
                Self::bad("KeyTooLongError", "Your key is too long for this volume.")
            }
            _ => Self::new(
                "InternalError",
                StatusCode::INTERNAL_SERVER_ERROR,
                error.to_string(),
            ),
        }
    }
}
