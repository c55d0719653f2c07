//! A run that was cut or altered anywhere still gives back all that lies elsewhere.

mod made;

use std::fs;

use made::{Scratch, header, run_of};
use prony_model::{
    Event, Evidence, Figure, Finding, Nanos, Outcome, Reading, Sample, SampleFlags, Severity, Source, Verdict,
};
use prony_store::{EVENTS_FILE, RunWriter, SAMPLES_FILE, StoreError, StoredRun};
use proptest::prelude::*;

/// Every phase's samples, by phase.
fn all_samples(run: &StoredRun) -> Vec<Sample> {
    (0..4)
        .flat_map(|phase| run.samples(phase, usize::MAX).unwrap().0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(event(), 0..12),
                               samples in prop::collection::vec(sample(), 0..300),
                               batch in 1_usize..50) {
        let scratch = Scratch::new();
        let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
        for e in &events {
            writer.event(e).unwrap();
        }
        for part in samples.chunks(batch) {
            writer.samples(part).unwrap();
        }
        writer.finish().unwrap();

        let run = StoredRun::open(&scratch.dir).unwrap();
        prop_assert_eq!(&run.damage, &Vec::<String>::new());
        prop_assert_eq!(&run.events[0], &Event::RunStarted(header()));
        prop_assert_eq!(&run.events[1..], &events[..]);
        for phase in 0..4 {
            let mut expected: Vec<Sample> = samples.iter().filter(|s| s.phase == phase).copied().collect();
            prop_assert_eq!(run.sample_count(phase), expected.len() as u64);
            expected.sort_by_key(|s| (s.intended, s.seq));
            let (read, cut) = run.samples(phase, usize::MAX).unwrap();
            prop_assert_eq!(read, expected);
            prop_assert!(!cut);
        }
    }

    #[test]
    fn a_cut_sample_file_keeps_every_whole_chunk(keep in 0.0_f64..1.0) {
        let scratch = Scratch::new();
        let written = run_of(&scratch.dir, 10, 16);
        let path = scratch.dir.join(SAMPLES_FILE);
        let bytes = fs::read(&path).unwrap();
        let cut_at = (bytes.len() as f64 * keep) as usize;
        fs::write(&path, &bytes[..cut_at]).unwrap();

        let run = StoredRun::open(&scratch.dir).unwrap();
        let whole = cut_at.saturating_sub(16) / (14 + 16 * 80);
        prop_assert_eq!(all_samples(&run), &written[..whole * 16]);
        let at_an_edge = cut_at >= 16 && (cut_at - 16).is_multiple_of(14 + 16 * 80);
        prop_assert_eq!(run.damage.is_empty(), at_an_edge);
    }

    #[test]
    fn a_flipped_byte_costs_one_chunk(place in 0.0_f64..1.0, flip in 1_u8..=255) {
        let scratch = Scratch::new();
        let written = run_of(&scratch.dir, 10, 16);
        let path = scratch.dir.join(SAMPLES_FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = (bytes.len() as f64 * place) as usize;
        bytes[at] ^= flip;
        fs::write(&path, &bytes).unwrap();

        let run = StoredRun::open(&scratch.dir).unwrap();
        let expected: Vec<Sample> = match at.checked_sub(16) {
            None => written,
            Some(at) => {
                let lost = at / (14 + 16 * 80);
                written.chunks(16).enumerate().filter(|(i, _)| *i != lost).flat_map(|(_, c)| c.to_vec()).collect()
            }
        };
        prop_assert_eq!(all_samples(&run), expected);
        prop_assert_eq!(run.damage.len(), 1);
    }

    #[test]
    fn a_cut_event_file_keeps_every_whole_line(keep in 0.0_f64..1.0) {
        let scratch = Scratch::new();
        run_of(&scratch.dir, 2, 4);
        let path = scratch.dir.join(EVENTS_FILE);
        let whole = StoredRun::open(&scratch.dir).unwrap().events;
        let bytes = fs::read(&path).unwrap();
        let cut_at = (bytes.len() as f64 * keep) as usize;
        fs::write(&path, &bytes[..cut_at]).unwrap();
        let ends = bytes[..cut_at].split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")).count();

        match StoredRun::open(&scratch.dir) {
            // The cut may take nothing but the newline.
            Ok(run) => {
                prop_assert!(run.events.len() == ends || run.events.len() == ends + 1);
                prop_assert_eq!(&run.events[..], &whole[..run.events.len()]);
                let torn = cut_at > 0 && bytes[cut_at - 1] != b'\n';
                prop_assert_eq!(run.damage.is_empty(), !torn);
            }
            Err(e) => {
                prop_assert!(matches!(e, StoreError::NotARun { .. }), "{e}");
                prop_assert_eq!(ends, 0);
            }
        }
    }

    #[test]
    fn a_flipped_byte_touches_one_line_or_two(place in 0.0_f64..1.0, flip in 1_u8..=255) {
        let scratch = Scratch::new();
        run_of(&scratch.dir, 2, 4);
        let path = scratch.dir.join(EVENTS_FILE);
        let whole = StoredRun::open(&scratch.dir).unwrap().events;
        let mut bytes = fs::read(&path).unwrap();
        let at = (bytes.len() as f64 * place) as usize;
        bytes[at] ^= flip;
        fs::write(&path, &bytes).unwrap();

        match StoredRun::open(&scratch.dir) {
            Ok(run) => {
                let untouched = whole.iter().filter(|e| run.events.contains(e)).count();
                prop_assert!(untouched + 2 >= whole.len(), "{untouched} of {}", whole.len());
            }
            // The version itself was hit.
            Err(e) => prop_assert!(matches!(e, StoreError::Newer { .. }), "{e}"),
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(events in prop::collection::vec(any::<u8>(), 0..400),
                                    samples in prop::collection::vec(any::<u8>(), 0..400)) {
        let scratch = Scratch::new();
        fs::create_dir_all(&scratch.dir).unwrap();
        fs::write(scratch.dir.join(EVENTS_FILE), events).unwrap();
        fs::write(scratch.dir.join(SAMPLES_FILE), samples).unwrap();
        let refused = matches!(StoredRun::open(&scratch.dir), Err(StoreError::NotARun { .. }));
        prop_assert!(refused);
    }
}

#[test]
fn a_mark_inside_a_payload_is_not_a_chunk() {
    let scratch = Scratch::new();
    let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
    let mut bait = made::numbered(0);
    // A chunk's head with a count that fits, as digest and byte count.
    bait.bytes_in = 0;
    bait.digest = u64::from_le_bytes(*b"chk\xA7\0\0\x01\0");
    writer.samples(&[bait]).unwrap();
    writer.flush().unwrap();
    writer.samples(&[made::numbered(1)]).unwrap();
    writer.finish().unwrap();
    let path = scratch.dir.join(SAMPLES_FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 0xff; // the first chunk's phase
    fs::write(&path, &bytes).unwrap();
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!(all_samples(&run), [made::numbered(1)]);
    assert_eq!(run.damage.len(), 1, "{:?}", run.damage);
}

#[test]
fn a_missing_sample_file_is_told() {
    let scratch = Scratch::new();
    run_of(&scratch.dir, 1, 1);
    fs::remove_file(scratch.dir.join(SAMPLES_FILE)).unwrap();
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!(run.samples(0, 10).unwrap(), (vec![], false));
    assert!(
        run.damage[0].contains("samples.seg is missing"),
        "{:?}",
        run.damage
    );
}

/// Any event of a few kinds, with any text and any finite number.
fn event() -> impl Strategy<Value = Event> {
    let number = prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL;
    prop_oneof![
        any::<String>().prop_map(|text| Event::Noted { text }),
        (any::<u64>(), number, any::<String>()).prop_map(|(at, value, name)| {
            Event::ReadingTaken(Reading {
                at: Nanos(at),
                monitor: "process".into(),
                values: [(name, value)].into(),
            })
        }),
        (number, number, any::<u64>(), any::<String>()).prop_map(|(value, lo, n, label)| {
            Event::FindingMade(Finding {
                id: "serial-service".into(),
                experiment: "concurrency".into(),
                endpoint: String::new(),
                verdict: Verdict::Fail,
                severity: Severity::High,
                required: true,
                title: label.clone(),
                detail: String::new(),
                evidence: vec![Evidence::Figure(Figure {
                    label,
                    value,
                    unit: "ms".into(),
                    ci: Some((lo, value)),
                    n,
                    source: Source {
                        phase: Some(3),
                        scenario: "s".into(),
                    },
                })],
                recommendation: None,
            })
        }),
    ]
}

/// Any sample of phases 0 to 3.
fn sample() -> impl Strategy<Value = Sample> {
    let times = (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
    );
    let rest = (
        any::<u32>(),
        any::<u16>(),
        0_u16..4,
        0..Outcome::ALL.len(),
        any::<u16>(),
    );
    (times, rest).prop_map(
        |((seq, intended, sent, first, done, digest), (bytes, status, phase, outcome, flags))| Sample {
            seq,
            intended: Nanos(intended),
            sent: Nanos(sent),
            first_byte: Nanos(first),
            done: Nanos(done),
            digest,
            bytes_in: bytes,
            item: bytes / 3,
            connect_us: bytes / 7,
            tls_us: 0,
            attempt: 0,
            status,
            scenario: status / 3,
            step: status / 5,
            phase,
            worker: status / 7,
            outcome: Outcome::ALL[outcome],
            flags: SampleFlags(flags),
        },
    )
}
