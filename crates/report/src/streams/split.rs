//! Where the time to the first token goes, from when a request was due: the client and the connection, then the server's stages.

use prony_model::Nanos;

use super::LineGroup;
use super::lines::line;
use crate::definitions::RecordedStream;
use crate::number::count;

/// One answer's parts in milliseconds; together they are its time to first token from the schedule.
struct Parts {
    /// Due, and not yet sent, without the connection.
    late: f64,
    /// TCP.
    connect: f64,
    /// TLS.
    tls: f64,
    /// Sent, up to the first byte of the answer.
    wait: f64,
    /// From there to the first event of any kind.
    setup: f64,
    /// From there to the first token.
    token: f64,
}

impl Parts {
    fn of(stream: &RecordedStream) -> Option<Self> {
        let r = &stream.record;
        if r.first_token.0 == 0 {
            return None;
        }
        let between = |from: Nanos, to: Nanos| (to - from).as_millis_f64();
        let before = between(r.intended, r.sent);
        // A connection may have been opened before its request was due.
        let connection = stream.connect.as_millis_f64().min(before);
        let tls = stream.tls.as_millis_f64().min(connection);
        let (first_byte, first_event) = (r.first_byte.min(r.first_event), r.first_event.min(r.first_token));
        Some(Self {
            late: before - connection,
            connect: connection - tls,
            tls,
            wait: between(r.sent, first_byte),
            setup: between(first_byte, first_event),
            token: between(first_event, r.first_token),
        })
    }
}

/// The mean of each part over good answers; `None` without records.
pub(super) fn group(good: &[&RecordedStream]) -> Option<LineGroup> {
    let parts: Vec<Parts> = good.iter().filter_map(|s| Parts::of(s)).collect();
    if parts.is_empty() {
        return None;
    }
    let n = parts.len() as f64;
    let mean = |of: fn(&Parts) -> f64| parts.iter().map(of).sum::<f64>() / n;
    let fresh = good.iter().filter(|s| s.connect.0 > 0).count();
    let mut lines = vec![line(
        "ttft_split_late_ms",
        "Due, not yet sent",
        mean(|p| p.late),
        "ms",
    )];
    if fresh > 0 {
        let note = format!(
            "{} of {} connections were new; the mean is of all answers",
            count(fresh as u64),
            count(good.len() as u64)
        );
        let mut connect = line(
            "ttft_split_connect_ms",
            "Connecting (TCP)",
            mean(|p| p.connect),
            "ms",
        );
        connect.note = note;
        lines.push(connect);
        if good.iter().any(|s| s.tls.0 > 0) {
            lines.push(line("ttft_split_tls_ms", "TLS handshake", mean(|p| p.tls), "ms"));
        }
    }
    lines.push(line(
        "ttft_split_wait_ms",
        "Sent, to the first byte",
        mean(|p| p.wait),
        "ms",
    ));
    lines.push(line(
        "ttft_split_setup_ms",
        "First byte, to the first event",
        mean(|p| p.setup),
        "ms",
    ));
    lines.push(line(
        "ttft_split_token_ms",
        "First event, to the first token",
        mean(|p| p.token),
        "ms",
    ));
    Some(LineGroup {
        title: "Time to first token from when due, by phase (means, they add up)".to_owned(),
        lines,
    })
}
