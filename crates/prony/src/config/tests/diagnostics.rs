//! Snapshots of what a person reads when a suite is wrong.

use super::{BASE, suite};

/// The message for a suite that must be refused.
fn refused(text: &str) -> String {
    match suite(text) {
        Ok(_) => panic!("this suite is wrong but was accepted:\n{text}"),
        Err(diagnostic) => diagnostic.render(false),
    }
}

/// The message for the base suite with something wrong after it.
fn refused_after(text: &str) -> String {
    refused(&format!("{BASE}\n{text}"))
}

fn phase(shape: &str) -> String {
    format!("[[phase]]\nname = 'p'\nscenarios = ['health']\n{shape}\n")
}

const STORE: &str = "[origin.store]\nurl = 'http://h/bucket'\n";

fn step(keys: &str) -> String {
    format!("[[scenario]]\nname = 's'\n[[scenario.step]]\nname = 'one'\n{keys}\n")
}

const BURST: &str = "shape.burst = { size = 10 }";

macro_rules! snapshots {
    ($($name:ident: $text:expr;)*) => { $(
        #[test]
        fn $name() {
            insta::assert_snapshot!($text);
        }
    )* };
}

snapshots! {
    not_toml: refused("[target\nurl = 1");
    no_target: refused("name = 'x'");
    unknown_key_suggests: refused("[target]\nurll = 'http://h'\n");
    unknown_key_lists: refused("[target]\nurl = 'http://h'\nzzz = 1\n");
    wrong_type: refused("[target]\nurl = 8000\n");
    text_for_a_number: refused_after("[run]\nseed = '7'\n");
    negative_number: refused_after("[run]\nthreads = -1\n");
    wrong_unit: refused_after(&phase("shape.closed = { connections = 4, duration_s = '10s' }"));
    wrong_unit_word: refused_after(&phase("shape.closed = { connections = 4, duration_ms = 10000 }"));
    unknown_shape: refused_after(&phase("shape.bursts = { size = 10 }"));
    shape_without_end: refused_after(&phase("shape.closed = { connections = 4 }"));
    shape_of_nothing: refused_after(&phase("shape.burst = { size = 0 }"));
    missing_key: refused_after("[[phase]]\nname = 'p'\nscenarios = ['health']\n");
    unknown_scenario: refused_after(&format!("[[phase]]\nname = 'p'\nscenarios = ['heath']\n{BURST}"));
    scenario_twice: refused(&format!("{BASE}\n[[scenario]]\nname = 'health'\nhttp.path = '/'\n"));
    scenario_of_no_kind: refused_after("[[scenario]]\nname = 'x'\n");
    phase_twice: refused_after(&format!("{}{}", phase(BURST), phase(BURST)));
    empty_phase: refused_after(&format!("[[phase]]\nname = 'p'\nscenarios = []\n{BURST}"));
    origin_that_is_unknown: refused_after(&format!("{STORE}{}", step("origin = 'stor'\nhttp.path = '/k'")));
    origin_of_no_url: refused_after("[origin.store]\nurl = 'ftp://h/b'\n");
    origin_of_grpc: refused_after("[origin.model]\nurl = 'grpc://h:8001'\n");
    origin_beside_nothing: refused_after("[origin.store]\nurl = 'beside:/b'\n");
    origin_of_a_fresh_target: refused_after(&format!(
        "[origin.store]\nurl = 'beside:store/b'\n{}[[phase]]\nname = 'p'\nscenarios = ['s']\nfresh = true\n{BURST}",
        step("origin = 'store'\nhttp.path = '/k'")
    ));
    region_of_no_name: refused_after("[origin.store]\nurl = 'http://h/b'\nsign.s3 = { region = 'a/b' }\n");
    key_in_the_file: refused_after("[origin.store]\nurl = 'http://h/b'\nsign.s3 = { secret_key = 'x' }\n");
    sent_by_no_step: refused_after(&step("http = { path = '/k', expect.body = [{ sent-by = 'puut' }] }"));
    sent_by_without_a_flow:
        refused_after("[[scenario]]\nname = 's'\nhttp = { path = '/k', expect.body = [{ sent-by = 'put' }] }\n");
    gate_syntax: refused_after(&format!("{}[[gate]]\nphase = 'p'\ncheck = 'p99_ms is 5'", phase(BURST)));
    gate_metric: refused_after(&format!("{}[[gate]]\nphase = 'p'\ncheck = 'eror_share <= 0'", phase(BURST)));
    gate_unit: refused_after(&format!("{}[[gate]]\nphase = 'p'\ncheck = 'p99_ms <= 500ms'", phase(BURST)));
    gate_phase: refused_after(&format!("{}[[gate]]\nphase = 'q'\ncheck = 'count == 1'", phase(BURST)));
    gate_scenario:
        refused_after(&format!("{}[[gate]]\nphase = 'p'\nscenario = 'x'\ncheck = 'count == 1'", phase(BURST)));
    gate_without_a_phase: refused_after(&format!("{}[[gate]]\ncheck = 'count == 1'", phase(BURST)));
    gate_on_a_finding_of_a_phase:
        refused_after(&format!("{}[[gate]]\nphase = 'p'\ncheck = 'leak = \"none\"'", phase(BURST)));
    gate_on_a_finding_with_a_number:
        refused_after(&format!("{}[[gate]]\ncheck = 'finding.serial-service = 3'", phase(BURST)));
    objective_of_everything: refused_after(&format!("{}[objective]\nsuccess_share = 1.0", phase(BURST)));
    claim_condition: refused_after(&format!(
        "{}[[claim]]\nid = 'C'\nsays = 'fast'\n[[claim.holds_if]]\nphase = 'p'\ncheck = 'p99 < 1'",
        phase(BURST)
    ));
    unknown_experiment: refused_after("[experiment.coverag]\n");
    experiment_parameter: refused_after("[experiment.diversity]\nimputs = 3\n");
    path_without_slash: refused_after("[[scenario]]\nname = 'x'\nhttp.path = 'health'\n");
    path_with_a_space: refused_after("[[scenario]]\nname = 'x'\nhttp.path = '/a b'\n");
    two_bodies: refused_after("[[scenario]]\nname = 'x'\nhttp = { path = '/', body = 'a', json = { a = 1 } }\n");
    missing_body_file: refused_after("[[scenario]]\nname = 'x'\nhttp = { path = '/', body_file = 'none.bin' }\n");
    placeholder_without_values: refused_after("[[scenario]]\nname = 'x'\nhttp.path = '/{{slide}}'\n");
    values_of_nothing: refused_after(
        "[[scenario]]\nname = 'x'\n[scenario.http]\npath = '/{{slide}}'\nvalues.slides = ['a']\n"
    );
    wrong_expression:
        refused_after("[[scenario]]\nname = 'x'\n[scenario.http]\npath = '/'\nexpect.body = [{ regex = '(' }]\n");
    spike_beyond_the_end:
        refused_after(&phase("shape.spike = { base = 1, peak = 9, at_s = 5, spike_s = 2, duration_s = 6 }"));
    burstiness_of_nothing:
        refused_after(&phase("shape.open = { rate = 9, duration_s = 1, arrivals = { gamma = { burstiness = 0 } } }"));
    trace_that_is_missing: refused_after(&phase("shape.replay = { file = 'none.csv' }"));
    feed_that_is_unknown: refused_after(
        "[feed.users]\ngenerate = 'uuid'\n[[scenario]]\nname = 'x'\nhttp.path = '/{{usrs.id}}'\n"
    );
    feed_without_that_column: refused_after(
        "[feed.users]\ngenerate = 'uuid'\n[[scenario]]\nname = 'x'\nhttp.path = '/{{users.id}}'\n"
    );
    feed_of_two_kinds: refused_after(
        "[feed.users]\ngenerate = 'uuid'\nfile = 'x.csv'\n[[scenario]]\nname = 'x'\nhttp.path = '/{{users}}'\n"
    );
    feed_for_users_in_an_open_loop: refused(&format!(
        "{BASE}\n[feed.ids]\ngenerate = 'uuid'\nper = 'user'\n[[scenario]]\nname = 'x'\nhttp.path = '/{{{{ids}}}}'\n\
         [[phase]]\nname = 'p'\nscenarios = ['x']\nshape.open = {{ rate = 1, duration_s = 1 }}\n"
    ));
    random_value_of_no_range: refused_after("[[scenario]]\nname = 'x'\nhttp.path = '/{{random.int(9,1)}}'\n");
    carry_that_no_step_brings: refused_after(
        "[[scenario]]\nname = 'x'\n[[scenario.step]]\nname = 'a'\ncarry.token = { json = '/t' }\nhttp.path = '/'\n\
         [[scenario.step]]\nname = 'b'\nhttp.path = '/{{carry.tokn}}'\n"
    );
    step_without_a_name_of_its_own: refused_after(
        "[[scenario]]\nname = 'x'\n[[scenario.step]]\nname = 'a'\nhttp.path = '/'\n[[scenario.step]]\nname = 'a'\nhttp.path = '/'\n"
    );
    step_with_values: refused_after(
        "[[scenario]]\nname = 'x'\n[[scenario.step]]\nname = 'a'\n[scenario.step.http]\npath = '/{{v}}'\nvalues.v = ['1']\n"
    );
    retry_on_what_is_no_failure:
        refused_after("[[scenario]]\nname = 'x'\nhttp.path = '/'\nretry.on = ['resett']\n");
    retry_of_one_attempt: refused_after("[[scenario]]\nname = 'x'\nhttp.path = '/'\nretry.attempts = 1\n");
    retry_of_the_suite_that_is_none: refused_after("[retry]\nattempts = 1\n");
    retry_of_the_suite_on_nothing: refused_after("[retry]\non = []\n");
    retry_of_no_attempt: refused_after(
        "[retry]\n[[scenario]]\nname = 'x'\nhttp.path = '/'\nretry.attempts = 0\n"
    );
    cookies_without_steps: refused_after("[[scenario]]\nname = 'x'\ncookies = true\nhttp.path = '/'\n");
    suite_that_does_nothing: refused(BASE);
    unknown_preset: refused("[target]\nurl = 'demo:ensoo'\n");
    url_of_another_kind: refused("[target]\nurl = 'ftp://127.0.0.1:8000'\n");
    knobs_of_a_real_target: refused("[target]\nurl = 'http://h'\nknobs = { serial = 'true' }\n");
}
