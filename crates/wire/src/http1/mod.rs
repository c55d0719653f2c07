//! HTTP/1.1 as a client speaks it: rendering requests, reading responses. No sockets, no clock.

mod chunked;
mod head;
mod redirect;
mod request;
mod response;

pub use head::{Framing, Head, HeadCache, Span, header_lines};
pub use redirect::{Elsewhere, redirected, request_line};
pub use request::{RequestParts, render};
pub use response::{Broken, Events, Fed, ResponseParser};
