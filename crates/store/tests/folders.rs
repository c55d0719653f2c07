//! Folders, limits and versions: what is refused, and what the message says.

mod made;

use std::fs;
use std::time::Duration;

use made::{Scratch, header, numbered, run_of};
use prony_model::{Event, RunHeader, Sample};
use prony_store::{EVENTS_FILE, RunWriter, SAMPLES_FILE, StoreError, StoredRun};

#[test]
fn a_used_folder_is_refused_with_advice() {
    let scratch = Scratch::new();
    run_of(&scratch.dir, 1, 1);
    let again = RunWriter::create(&scratch.dir, &header()).unwrap_err();
    assert!(matches!(again, StoreError::AlreadyARun { .. }));
    assert!(
        again
            .to_string()
            .contains("already holds a run; choose another folder"),
        "{again}"
    );
    assert_eq!(
        StoredRun::open(&scratch.dir).unwrap().damage,
        Vec::<String>::new(),
        "the run was not touched"
    );

    let other = Scratch::new();
    fs::create_dir_all(&other.dir).unwrap();
    fs::write(other.dir.join("thesis.tex"), "years of work").unwrap();
    let refused = RunWriter::create(&other.dir, &header()).unwrap_err().to_string();
    assert!(
        refused.contains("not a run of Prony (it holds \"thesis.tex\")"),
        "{refused}"
    );

    let empty = Scratch::new();
    fs::create_dir_all(&empty.dir).unwrap();
    RunWriter::create(&empty.dir, &header()).unwrap();
}

#[test]
fn the_folder_or_a_file_in_it_opens() {
    let scratch = Scratch::new();
    run_of(&scratch.dir, 1, 3);
    let whole = StoredRun::open(&scratch.dir).unwrap();
    for file in [EVENTS_FILE, SAMPLES_FILE] {
        assert_eq!(StoredRun::open(&scratch.dir.join(file)).unwrap(), whole);
    }
    let nothing = StoredRun::open(&scratch.dir.join("no-such"))
        .unwrap_err()
        .to_string();
    assert!(nothing.contains("it does not exist"), "{nothing}");
    let elsewhere = StoredRun::open(&std::env::temp_dir()).unwrap_err().to_string();
    assert!(elsewhere.contains("there is no events.ndjson"), "{elsewhere}");
}

#[test]
fn a_limit_cuts_and_says_so() {
    let scratch = Scratch::new();
    let written = run_of(&scratch.dir, 3, 10);
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!(run.samples(0, 30).unwrap(), (written.clone(), false));
    assert_eq!(run.samples(0, 29).unwrap(), (written[..29].to_vec(), true));
    assert_eq!(run.samples(0, 20).unwrap(), (written[..20].to_vec(), true));
    assert_eq!(run.samples(0, 0).unwrap(), (vec![], true));
    assert_eq!(run.samples(9, 5).unwrap(), (vec![], false));
}

#[test]
fn a_live_run_is_readable_up_to_its_last_flush() {
    let scratch = Scratch::new();
    let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
    let samples: Vec<Sample> = (0..5000).map(numbered).collect();
    writer.samples(&samples).unwrap();
    // Nothing has been closed or dropped: this is what a kill would leave.
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert!(run.sample_count(0) >= 4096, "{}", run.sample_count(0));
    assert!(run.damage.is_empty());
    writer.flush_if_older(Duration::ZERO).unwrap();
    assert_eq!(
        StoredRun::open(&scratch.dir).unwrap().samples(0, 5000).unwrap().0,
        samples
    );
}

#[test]
fn a_newer_version_is_named() {
    let scratch = Scratch::new();
    let newer = RunHeader {
        format: RunHeader::FORMAT + 1,
        prony: "9.0.0".into(),
        ..header()
    };
    drop(RunWriter::create(&scratch.dir, &newer).unwrap());
    let refused = StoredRun::open(&scratch.dir).unwrap_err().to_string();
    assert!(
        refused.contains("format version 2, this Prony reads up to 1"),
        "{refused}"
    );
    assert!(refused.contains("(Prony 9.0.0)"), "{refused}");

    let other = Scratch::new();
    run_of(&other.dir, 1, 1);
    let path = other.dir.join(SAMPLES_FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 7;
    let crc = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&crc);
    fs::write(&path, &bytes).unwrap();
    let refused = StoredRun::open(&other.dir).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Newer {
                found: 7,
                known: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_line_of_a_newer_kind_costs_only_itself() {
    let scratch = Scratch::new();
    run_of(&scratch.dir, 1, 1);
    let path = scratch.dir.join(EVENTS_FILE);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replacen("\"noted\"", "\"sung\"", 1);
    fs::write(&path, text).unwrap();
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!(run.events.len(), 3);
    assert!(
        run.damage[0].contains("line 2 is not an event and was skipped"),
        "{:?}",
        run.damage
    );
}

#[test]
fn a_number_that_is_none_is_refused_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
    let bad = Event::Progressed(prony_model::Progress {
        per_s: f64::NAN,
        ..Default::default()
    });
    assert!(matches!(writer.event(&bad), Err(StoreError::Unstorable { .. })));
    writer.event(&Event::Noted { text: "after".into() }).unwrap();
    drop(writer);
    let run = StoredRun::open(&scratch.dir).unwrap();
    assert_eq!((run.events.len(), run.damage.len()), (2, 0));
}

#[test]
fn the_header_is_written_once() {
    let scratch = Scratch::new();
    let mut writer = RunWriter::create(&scratch.dir, &header()).unwrap();
    writer.event(&Event::RunStarted(header())).unwrap();
    drop(writer);
    assert_eq!(StoredRun::open(&scratch.dir).unwrap().events.len(), 1);
}
