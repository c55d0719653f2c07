//! What became of one request: a closed list, so that nothing is dropped or averaged away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $class:ident, $says:literal;)*) => {
        /// The end of one request, successful or not. Codes are stable: they are stored in samples.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[repr(u8)]
        pub enum Outcome { $($(#[$doc])* #[serde(rename = $name)] $variant = $code,)* }

        impl Outcome {
            /// Every outcome, in code order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stored code's outcome; `None` for a code from a newer version.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Kebab-case name, as in JSON.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The family it belongs to.
            pub fn class(self) -> OutcomeClass {
                match self { $(Self::$variant => OutcomeClass::$class,)* }
            }

            /// One plain clause that completes "the request ...".
            pub fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)* }
            }
        }
    };
}

outcomes! {
    /// Answered as expected.
    Ok = 0, "ok", Ok, "was answered as expected";
    /// Its time came, but the in-flight cap was reached; it was never sent. Ours.
    Shed = 1, "shed", Generator, "was never sent: the generator's in-flight cap was reached";
    /// Cut off by the end of the phase or by the user; neither success nor failure. Ours.
    Interrupted = 2, "interrupted", Generator, "was cut off by the end of the phase or by the user";
    /// No local port, descriptor or memory was left. Ours.
    LocalExhausted = 3, "local-exhausted", Generator, "found no free local port or descriptor";
    /// The host's name did not resolve.
    Dns = 10, "dns", Transport, "could not resolve the host name";
    /// Nobody listens on the port.
    Refused = 11, "refused", Transport, "was refused by the host: nothing listens on the port";
    /// No route, host down, or another connect error.
    Unreachable = 12, "unreachable", Transport, "could not reach the host";
    /// TLS handshake or certificate failure.
    Tls = 13, "tls", Transport, "failed in the TLS handshake";
    /// The peer reset the connection, or closed it before any byte of the answer.
    Reset = 14, "reset", Transport, "lost its connection before an answer";
    /// The peer does not speak the protocol that was asked for.
    WrongProtocol = 15, "wrong-protocol", Transport, "met a server that does not speak the protocol asked for";
    /// No connection in time.
    ConnectTimeout = 20, "connect-timeout", Timeout, "got no connection in time";
    /// The request could not be written in time: the peer does not read.
    WriteTimeout = 21, "write-timeout", Timeout, "could not be written in time";
    /// No complete response head in time.
    HeadersTimeout = 22, "headers-timeout", Timeout, "got no response head in time";
    /// The body did not end in time.
    BodyTimeout = 23, "body-timeout", Timeout, "got no end of the body in time";
    /// Not HTTP, or broken HTTP.
    Malformed = 30, "malformed", Protocol, "got an answer that is not valid HTTP";
    /// The response head passed the limit.
    HeadersTooLarge = 31, "headers-too-large", Protocol, "got a response head over the size limit";
    /// The body passed the limit.
    BodyTooLarge = 32, "body-too-large", Protocol, "got a body over the size limit";
    /// The connection closed before the declared end of the body.
    Truncated = 33, "truncated", Protocol, "got fewer bytes than declared";
    /// More bytes arrived than the response declared.
    TrailingBytes = 34, "trailing-bytes", Protocol, "got more bytes than declared";
    /// More redirects than allowed, or a redirect to where it came from.
    RedirectLoop = 35, "redirect-loop", Protocol, "was redirected in a circle";
    /// A redirect that was not expected.
    Status3xx = 40, "status-3xx", ClientError, "was answered by a redirect";
    /// A client error that was not expected.
    Status4xx = 41, "status-4xx", ClientError, "was answered by a client error (4xx)";
    /// Too many requests.
    Status429 = 42, "status-429", Refusal, "was refused with 429 (too many requests)";
    /// A server error other than 503.
    Status5xx = 43, "status-5xx", ServerError, "was answered by a server error (5xx)";
    /// Service unavailable.
    Status503 = 44, "status-503", Refusal, "was refused with 503 (unavailable)";
    /// A platform's own way to say that no worker is free.
    PlatformBusy = 45, "platform-busy", Refusal, "was refused by the platform: no worker";
    /// A good HTTP status around an error of JSON-RPC, or around a tool's own failure.
    RpcError = 47, "rpc-error", ClientError, "was answered by an error of JSON-RPC or of the tool";
    /// A success status other than the expected one, or 1xx.
    StatusOther = 46, "status-other", WrongAnswer, "was answered by an unexpected status";
    /// A good status with a body that fails its checks.
    WrongBody = 50, "wrong-body", WrongAnswer, "got a body that fails its checks";
    /// A body whose digest is wrong.
    Checksum = 51, "checksum", WrongAnswer, "got a body with the wrong digest";
    /// An answer that says it came from a fallback.
    Fallback = 52, "fallback", WrongAnswer, "was answered by a fallback";
    /// An answer that carries the mark of another request.
    Foreign = 53, "foreign-answer", WrongAnswer, "got an answer that belongs to another request";
    /// An answer without the mark of its request.
    Unmarked = 54, "unmarked-answer", WrongAnswer, "got an answer without the mark of its request";
    /// A stream that tells of an error within a good status.
    StreamError = 60, "stream-error", WrongAnswer, "got a stream that tells of an error";
    /// A stream that ended without the terminal marker of its protocol.
    StreamUnfinished = 61, "stream-unfinished", WrongAnswer, "got a stream that ended without its terminal marker";
    /// A stream that ended as it should and held no token.
    StreamEmpty = 62, "stream-empty", WrongAnswer, "got a stream without any token";
    /// A stream with events that are not what its protocol says.
    StreamMalformed = 63, "stream-malformed", WrongAnswer, "got a stream with events that cannot be read";
    /// A stream with fewer tokens than the request forced.
    StreamShort = 64, "stream-short", WrongAnswer, "got fewer tokens than the request forces";
    /// gRPC: the server gave the call up.
    GrpcCancelled = 71, "grpc-cancelled", ServerError, "ended with CANCELLED (gRPC)";
    /// gRPC: an error without a code of its own.
    GrpcUnknown = 72, "grpc-unknown", ServerError, "ended with UNKNOWN (gRPC)";
    /// gRPC: the server does not take the arguments.
    GrpcInvalidArgument = 73, "grpc-invalid-argument", ClientError, "ended with INVALID_ARGUMENT (gRPC)";
    /// gRPC: the server says that the time was up.
    GrpcDeadlineExceeded = 74, "grpc-deadline-exceeded", ServerError, "ended with DEADLINE_EXCEEDED (gRPC)";
    /// gRPC: what was asked for is not there.
    GrpcNotFound = 75, "grpc-not-found", ClientError, "ended with NOT_FOUND (gRPC)";
    /// gRPC: what was to be made is there.
    GrpcAlreadyExists = 76, "grpc-already-exists", ClientError, "ended with ALREADY_EXISTS (gRPC)";
    /// gRPC: the caller may not do this.
    GrpcPermissionDenied = 77, "grpc-permission-denied", ClientError, "ended with PERMISSION_DENIED (gRPC)";
    /// gRPC: a quota or a queue is full.
    GrpcResourceExhausted = 78, "grpc-resource-exhausted", Refusal, "was refused with RESOURCE_EXHAUSTED (gRPC)";
    /// gRPC: the server is not in a state for this.
    GrpcFailedPrecondition = 79, "grpc-failed-precondition", ClientError, "ended with FAILED_PRECONDITION (gRPC)";
    /// gRPC: the server broke the call off.
    GrpcAborted = 80, "grpc-aborted", ServerError, "ended with ABORTED (gRPC)";
    /// gRPC: an argument is outside of its range.
    GrpcOutOfRange = 81, "grpc-out-of-range", ClientError, "ended with OUT_OF_RANGE (gRPC)";
    /// gRPC: the server has no such method.
    GrpcUnimplemented = 82, "grpc-unimplemented", ClientError, "ended with UNIMPLEMENTED (gRPC)";
    /// gRPC: an error within the server.
    GrpcInternal = 83, "grpc-internal", ServerError, "ended with INTERNAL (gRPC)";
    /// gRPC: the server cannot serve the call now.
    GrpcUnavailable = 84, "grpc-unavailable", Refusal, "was refused with UNAVAILABLE (gRPC)";
    /// gRPC: data was lost.
    GrpcDataLoss = 85, "grpc-data-loss", ServerError, "ended with DATA_LOSS (gRPC)";
    /// gRPC: the caller did not say who it is.
    GrpcUnauthenticated = 86, "grpc-unauthenticated", ClientError, "ended with UNAUTHENTICATED (gRPC)";
}

impl Outcome {
    /// Whether this is the generator's doing and says nothing about the target.
    pub fn is_own(self) -> bool {
        self.class() == OutcomeClass::Generator
    }

    /// The outcome of a gRPC status other than 0. A code that nobody knows counts as UNKNOWN, as gRPC has it.
    pub fn of_grpc(code: u32) -> Self {
        u8::try_from(code)
            .ok()
            .filter(|code| (1..=16).contains(code))
            .and_then(|code| Self::from_code(Self::GRPC_CODES + code))
            .unwrap_or(Self::GrpcUnknown)
    }

    /// What stands before the code of a gRPC status in that of its outcome.
    const GRPC_CODES: u8 = 70;

    /// Whether the target failed this request.
    pub fn is_failure(self) -> bool {
        !self.is_own() && self != Self::Ok
    }
}

/// Families of outcomes, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeClass {
    /// As expected.
    Ok,
    /// Deliberate refusal under load: 429, 503, platform busy.
    Refusal,
    /// 3xx or 4xx that was not expected.
    ClientError,
    /// 5xx other than 503.
    ServerError,
    /// No connection, or a broken one.
    Transport,
    /// Too late, by phase.
    Timeout,
    /// Bytes that are not the HTTP they should be.
    Protocol,
    /// A success that is none.
    WrongAnswer,
    /// Ours, not the target's.
    Generator,
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn codes_and_names_round_trip() {
        for &o in Outcome::ALL {
            assert_eq!(Outcome::from_code(o as u8), Some(o));
            assert_eq!(serde_json::to_value(o).unwrap(), o.name(), "{o:?}");
        }
        assert_eq!(Outcome::from_code(255), None);
    }

    #[test]
    fn every_grpc_status_has_its_outcome() {
        for (code, outcome) in [
            (1, Outcome::GrpcCancelled),
            (3, Outcome::GrpcInvalidArgument),
            (8, Outcome::GrpcResourceExhausted),
            (12, Outcome::GrpcUnimplemented),
            (14, Outcome::GrpcUnavailable),
            (16, Outcome::GrpcUnauthenticated),
            (17, Outcome::GrpcUnknown),
            (u32::MAX, Outcome::GrpcUnknown),
        ] {
            assert_eq!(Outcome::of_grpc(code), outcome, "{code}");
        }
    }
}
