//! Records of streamed answers come back as they were written, and damage costs only what it hit.

#[expect(dead_code, reason = "the other tests use more of it")]
mod made;

use std::fs;

use made::{Scratch, header};
use prony_model::{
    FinishReason, Nanos, Outcome, StreamEvent, StreamEventKind, StreamRecord, Timeline, TokenUsage,
};
use prony_store::{RunWriter, STREAMS_FILE, StoredRun};
use proptest::prelude::*;

/// A record of `events` events.
fn record(seq: u64, phase: u16, events: u64) -> StreamRecord {
    let sent = Nanos(seq * 1000 + 7);
    let mut timeline = Timeline::default();
    timeline.begin(sent);
    for n in 0..events {
        timeline.push(StreamEvent {
            at: sent + Nanos(n * 5_000_000),
            kind: if n == 0 {
                StreamEventKind::Silent
            } else {
                StreamEventKind::Output
            },
            tokens: if n == 0 { 0 } else { 1 + (n % 3) as u32 },
            joined: n % 5 == 4,
        });
    }
    StreamRecord {
        seq,
        phase,
        scenario: 1,
        item: 2,
        step: 3,
        attempt: 1,
        outcome: if seq.is_multiple_of(7) {
            Outcome::StreamUnfinished
        } else {
            Outcome::Ok
        },
        intended: Nanos(seq * 1000),
        sent,
        first_byte: sent + Nanos(1),
        first_event: sent + Nanos(2),
        first_token: sent + Nanos(3),
        first_output: sent + Nanos(4),
        last_token: sent + Nanos(5),
        end: sent + Nanos(6),
        token_events: 4,
        event_tokens: 5,
        first_tokens: 6,
        joined: 7,
        events: events as u32,
        comments: 9,
        longest_gap: Nanos(10),
        text_bytes: 11,
        usage: TokenUsage {
            input: Some(12),
            output: seq.is_multiple_of(2).then_some(13),
            cached: None,
            reasoning: Some(0),
        },
        finish: FinishReason::Length,
        terminal: !seq.is_multiple_of(7),
        max_tokens: Some(14),
        prompt_tokens: None,
        shared_tokens: Some(15),
        // As stored ones are: a copy has no memory of where it ended.
        timeline: Timeline::from_bytes(timeline.bytes().to_vec()),
    }
}

fn written(scratch: &Scratch, records: &[StreamRecord], batch: usize) {
    let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
    for part in records.chunks(batch) {
        writer.streams(part).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn what_is_written_is_read() {
    let scratch = Scratch::new();
    let records: Vec<StreamRecord> = (0..3000)
        .map(|seq| record(seq, (seq / 1700) as u16, seq % 90))
        .collect();
    written(&scratch, &records, 13);
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!(run.damage, Vec::<String>::new());
    let (first, cut) = run.streams(0, usize::MAX).unwrap();
    assert_eq!((first.as_slice(), cut), (&records[..1700], false));
    let (second, cut) = run.streams(1, 5).unwrap();
    assert_eq!((second.as_slice(), cut), (&records[1700..1705], true));
    assert_eq!(run.streams(2, 5).unwrap(), (Vec::new(), false));
}

#[test]
fn a_run_without_streams_has_no_such_file() {
    let scratch = Scratch::new();
    written(&scratch, &[], 1);
    assert!(!scratch.dir.join(STREAMS_FILE).exists());
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!((run.streams(0, 9).unwrap().0.len(), run.damage.len()), (0, 0));
}

#[test]
fn what_a_newer_version_wrote_is_left_out_and_told() {
    let scratch = Scratch::new();
    let mut bytes = Vec::new();
    for seq in 1..4 {
        prony_store::streams::encode(&record(seq, 0, 3), &mut bytes);
    }
    let records: Vec<_> = prony_store::streams::decode(&bytes).collect();
    assert_eq!(
        records,
        (1..4).map(|seq| Some(record(seq, 0, 3))).collect::<Vec<_>>()
    );
    drop(scratch);
    // The code of an outcome that nobody knows yet: after the length, the sequence number, nine stamps, eight numbers, three short
    // ones and the attempt.
    bytes[4 + 8 + 72 + 32 + 6 + 1] = 250;
    let kept: Vec<bool> = prony_store::streams::decode(&bytes)
        .map(|r| r.is_some())
        .collect();
    assert_eq!(kept, [false, true, true]);
    assert_eq!(prony_store::streams::decode(&bytes[..20]).count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn damage_costs_only_the_chunk_it_hit(at in 0.0_f64..1.0, cut in any::<bool>()) {
        let scratch = Scratch::new();
        let records: Vec<StreamRecord> = (0..2500).map(|seq| record(seq, 0, 40)).collect();
        written(&scratch, &records, 100);
        let path = scratch.dir.join(STREAMS_FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = ((bytes.len() - 1) as f64 * at) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 0x20;
        }
        fs::write(&path, &bytes).unwrap();
        let run = StoredRun::open(&scratch.dir).unwrap();
        let (read, _) = run.streams(0, usize::MAX).unwrap();
        prop_assert!(read.iter().all(|r| records[r.seq as usize] == *r));
        if !cut {
            // A chunk holds at most 1,024 records; damage to the head of the file costs none.
            prop_assert!(read.len() >= records.len() - 1024, "{} read", read.len());
            prop_assert_eq!(run.damage.len(), 1, "{:?}", run.damage);
        }
    }
}
