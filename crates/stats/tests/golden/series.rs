//! What depends on the order of the values: trends, steady state, changes.

use super::{Golden, all_close, close, number, numbers};
use prony_stats::{autocorrelation, change_point, steady, trend};

#[test]
fn trends_of_dependent_series() {
    let golden = Golden::procedures();
    let mut raised = 0;
    for case in golden.table("trends") {
        let y = numbers(&case["y"]);
        let name = ("trend", y.len());
        for (lag, reference) in numbers(&case["acf"]).into_iter().enumerate() {
            close(autocorrelation::at_lag(&y, lag), reference, &(name, lag));
        }
        let plain = trend::mann_kendall(&y).expect("enough");
        all_close(&[plain.score, plain.z, plain.p], &case["plain"], &name);
        let ours = trend::hamed_rao(&y).expect("enough");
        // pymannkendall also lets negative correlations make the test surer; ours does not.
        let inflation = number(&case["inflation"]);
        close(ours.inflation, inflation.max(1.0), &name);
        let reference = if inflation >= 1.0 { "hamed_rao" } else { "plain" };
        all_close(&[ours.score, ours.z, ours.p], &case[reference], &name);
        raised += u32::from(inflation > 1.0);
    }
    assert!(raised >= 2, "the correction is seen at work");
    assert_eq!(trend::hamed_rao(&[1.0, 2.0, 3.0]), None);
    assert_eq!(trend::hamed_rao(&[1.0; 241]), None);
    assert!((autocorrelation::at_lag(&[1.0, 2.0], 2)).abs() < f64::EPSILON);
    let flat = trend::hamed_rao(&[5.0; 20]).expect("enough");
    assert_eq!((flat.z, flat.p), (0.0, 1.0));
}

#[test]
fn steady_state_step_by_step() {
    let golden = Golden::procedures();
    for r in golden.rows("cramer_von_mises") {
        close(steady::cramer_von_mises_cdf(r[0]), r[1], &r);
    }
    for case in golden.table("steady") {
        let y = numbers(&case["y"]);
        let reference = case["mser5"].as_u64().map(|cut| cut as usize);
        assert_eq!(steady::mser5(&y), reference, "{} values", y.len());
        let found = steady::stationarity(&y);
        all_close(
            &[found.statistic, found.p],
            &case["stationarity"],
            &("stationarity", y.len()),
        );
    }
    assert_eq!(steady::mser5(&[1.0; 9]), None);
    assert_eq!(steady::mser5(&[1.0; 100]), Some(0));
    assert!(steady::cramer_von_mises_cdf(0.0) <= 0.0);
    assert!(steady::cramer_von_mises_cdf(1e-4) < 1e-12);
    assert!((steady::cramer_von_mises_cdf(1e9) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn changes() {
    let golden = Golden::procedures();
    for case in golden.table("splits") {
        let y = numbers(&case["y"]);
        let (index, statistic) = change_point::best_split(&y, 1).expect("enough");
        assert_eq!(index as u64, case["index"].as_u64().expect("a place"));
        close(statistic, number(&case["statistic"]), &("split", y.len()));
    }
    let levels = &golden.0["levels"];
    let y = numbers(&levels["y"]);
    let found = change_point::e_divisive(&y, &change_point::Search::default());
    let places: Vec<usize> = found.iter().map(|change| change.index).collect();
    let reference: Vec<usize> = numbers(&levels["ruptures"]).iter().map(|&i| i as usize).collect();
    assert_eq!(places[..2], reference[..], "{found:?}");
    let kept = change_point::prune(&y, &[20, 40, 70, 120], 0.001, 0.05);
    for (shift, reference) in kept.iter().zip(levels["shifts"].as_array().expect("shifts")) {
        all_close(
            &[shift.index as f64, shift.before, shift.after, shift.p],
            reference,
            &"shift",
        );
    }
    assert_eq!(kept.len(), 2);
    let unpruned = change_point::prune(&y, &[20, 40, 70, 120], 1.1, 0.0);
    for (shift, reference) in unpruned.iter().zip(levels["all"].as_array().expect("shifts")) {
        all_close(
            &[shift.index as f64, shift.before, shift.after, shift.p],
            reference,
            &"shift",
        );
    }
    assert_eq!(unpruned.len(), 4);
}

#[test]
fn changes_of_series_that_do_not_vary() {
    let search = change_point::Search::default();
    assert!(change_point::e_divisive(&[4.0; 60], &search).is_empty());
    assert!(
        change_point::e_divisive(&[4.0; 15], &search).is_empty(),
        "no two segments fit"
    );
    assert_eq!(change_point::best_split(&[], 0), None);
    let step: Vec<f64> = [100.0; 20].into_iter().chain([120.0; 20]).collect();
    let found = change_point::e_divisive(&step, &search);
    assert_eq!(found.iter().map(|change| change.index).collect::<Vec<_>>(), [20]);
    let kept = change_point::prune(&step, &[10, 20], 0.001, 0.05);
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].index, kept[0].p), (20, 0.0));
    assert!((kept[0].magnitude() - 0.2).abs() < 1e-12);
}
