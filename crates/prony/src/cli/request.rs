//! The flags of one request: what is sent, over which kind of connection, and which answer is a good one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use prony_model::{BodyCheck, FeedOrder, StreamProtocol};

use super::units::{body_check, protocol, spin};

/// Flags of `load` and `compare`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RequestArgs {
    /// Request method. Default GET, or POST when there is a body.
    #[arg(
        short = 'm',
        short_alias = 'X',
        long,
        value_name = "METHOD",
        help_heading = "Request"
    )]
    pub method: Option<String>,
    /// Body of the request, as text. {{...}} in it is filled in for every request, as in the URL; a body from a file is sent as it is.
    #[arg(
        short = 'b',
        long,
        value_name = "TEXT",
        conflicts_with = "body_file",
        help_heading = "Request"
    )]
    pub body: Option<String>,
    /// File whose bytes are the request body.
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Request")]
    pub body_file: Option<PathBuf>,
    /// CSV file with a header line, or NDJSON file (.ndjson, .jsonl), whose rows fill in {{data.COLUMN}} in the URL, the text body
    /// and the values of -H. Beside it there are {{seq}}, {{user}}, {{random.int(1,100)}}, {{random.hex(16)}} and {{random.uuid}}.
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    pub data: Option<PathBuf>,
    /// Which row of --data a request takes: in-turn (first to last, then again), random, or once (the load ends when they are
    /// used up).
    #[arg(
        long,
        value_name = "ORDER",
        value_parser = PossibleValuesParser::new(["in-turn", "random", "once"]).map(|name| order(&name)),
        default_value = "in-turn",
        requires = "data",
        help_heading = "Request"
    )]
    pub data_order: FeedOrder,
    /// Content type of the body, as in application/json. It decides how filled-in values are escaped in a text body.
    #[arg(short = 'T', long, value_name = "TYPE", help_heading = "Request")]
    pub content_type: Option<String>,
    /// Ask this model of a KServe V2 server (MODEL or MODEL:VERSION) for inference, with inputs of the names, types and shapes that it
    /// declares; an answer must hold the declared outputs. Over gRPC where the URL is grpc://HOST:PORT, which may name the model
    /// itself: grpc://HOST:PORT/MODEL.
    #[arg(long, value_name = "MODEL", help_heading = "Request")]
    pub kserve: Option<String>,
    /// Read answers as streams of tokens of this protocol: each must be whole (no error within, its terminal marker, a
    /// token), and TTFT, ITL, TPOT and tokens per second are measured. Without a body a short chat is asked for.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol(), help_heading = "Stream")]
    pub stream: Option<StreamProtocol>,
    /// Model named in the request that --stream makes.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        requires = "stream",
        conflicts_with_all = ["body", "body_file"],
        help_heading = "Stream"
    )]
    pub model: String,
    /// Most output tokens in the request that --stream makes.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 128,
        value_parser = clap::value_parser!(u32).range(1..),
        requires = "stream",
        conflicts_with_all = ["body", "body_file"],
        help_heading = "Stream"
    )]
    pub max_tokens: u32,
    /// Open a new connection for every request.
    #[arg(long, conflicts_with = "requests_per_connection", help_heading = "Connection")]
    pub no_keepalive: bool,
    /// Close each connection after so many requests and open a new one. Default: as long as the target keeps it.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Connection"
    )]
    pub requests_per_connection: Option<u32>,
    /// Requests at once on each HTTP/2 connection. With -c 4 --streams 16, 64 users share 4 connections. Where the target
    /// allows fewer, the rest wait, and that counts as the target's time. Needs --http2, or grpc:// in the URL. Default 1.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=10_000),
        help_heading = "Connection"
    )]
    pub streams: Option<u32>,
    /// Wake so long before a request is due and spin until then. A core that sleeps may take 100us to wake, some virtual
    /// ones milliseconds: this buys punctual sends with processor time.
    #[arg(long, value_name = "DURATION", value_parser = spin, help_heading = "Load")]
    pub spin: Option<Duration>,
    /// Follow so many redirects, as curl -L does, to the same server and those of --redirect-to. One that is not followed is a
    /// failure.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Request")]
    pub redirects: u32,
    /// URL of another server that redirects may lead to. Repeat for more. None of the headers, cookies and secrets of the target go
    /// there, and it must be on this machine or named with --allow-host.
    #[arg(long, value_name = "URL", requires = "redirects", help_heading = "Request")]
    pub redirect_to: Vec<String>,

    /// Send again what failed with 429, 502, 503, 504 or a lost connection, up to so many attempts in all, with full-jitter
    /// backoff and as Retry-After asks. Only methods that may be repeated, such as GET; a suite can say otherwise.
    #[arg(
        long,
        value_name = "ATTEMPTS",
        value_parser = clap::value_parser!(u8).range(2..=100),
        help_heading = "Request"
    )]
    pub retry: Option<u8>,

    /// Status that counts as a good answer. Repeat for more. Default: any 2xx.
    #[arg(
        long,
        value_name = "STATUS",
        value_parser = clap::value_parser!(u16).range(100..=599),
        help_heading = "Judging"
    )]
    pub expect_status: Vec<u16>,
    /// What the body must satisfy, may be repeated: contains=TEXT, regex=PATTERN, json=/POINTER (something is there),
    /// json=/POINTER=VALUE, schema=FILE (JSON Schema), xxh3=DIGEST, min-bytes=NUMBER, max-bytes=NUMBER. A body that nobody
    /// checks is counted and thrown away.
    #[arg(long, value_name = "CHECK", value_parser = body_check, help_heading = "Judging")]
    pub expect_body: Vec<BodyCheck>,
}

fn order(name: &str) -> FeedOrder {
    match name {
        "random" => FeedOrder::Random,
        "once" => FeedOrder::Once,
        _ => FeedOrder::InTurn,
    }
}
