//! Changes in a history, and trends in dependent series: false alarms and power.

use super::share;
use prony_stats::change_point::{Search, e_divisive, prune};
use prony_stats::trend;

#[test]
fn noise_has_no_changes() {
    let mut kept = 0;
    let alarms = share(300, |source| {
        let series: Vec<f64> = (0..50).map(|_| 100.0 + 2.0 * source.normal()).collect();
        let found = e_divisive(&series, &Search::default());
        let places: Vec<usize> = found.iter().map(|change| change.index).collect();
        kept += prune(&series, &places, 0.001, 0.05).len();
        !found.is_empty()
    });
    println!("noise: {alarms} have a change by permutation, {kept} of 300 after pruning");
    assert!(alarms <= 0.08, "{alarms}");
    assert!(kept <= 1, "{kept}");
}

#[test]
fn a_shift_is_found_where_it_is() {
    let mut near = 0;
    let found = share(200, |source| {
        let series: Vec<f64> = (0..60)
            .map(|i| if i < 35 { 100.0 } else { 107.0 } + 2.0 * source.normal())
            .collect();
        let places: Vec<usize> = e_divisive(&series, &Search::default())
            .iter()
            .map(|change| change.index)
            .collect();
        let kept = prune(&series, &places, 0.001, 0.05);
        near += u32::from(kept.len() == 1 && kept[0].index.abs_diff(35) <= 1);
        kept.len() == 1
    });
    println!("a shift of 7 %, sd 2 %: {found} found once, {near} of 200 within one value");
    assert!(found >= 0.95, "{found}");
    assert!(near >= 170, "{near}");
}

#[test]
fn two_shifts_and_a_change_of_spread() {
    let both = share(100, |source| {
        let level = |i: usize| if (25..50).contains(&i) { 4.0 } else { 0.0 };
        let series: Vec<f64> = (0..75).map(|i| level(i) + source.normal()).collect();
        let places: Vec<usize> = e_divisive(&series, &Search::default())
            .iter()
            .map(|change| change.index)
            .collect();
        let near = |place: usize| places.iter().any(|found| found.abs_diff(place) <= 1);
        near(25) && near(50)
    });
    let spread = share(100, |source| {
        let series: Vec<f64> = (0..80)
            .map(|i| if i < 40 { 1.0 } else { 5.0 } * source.normal())
            .collect();
        !e_divisive(&series, &Search::default()).is_empty()
    });
    println!("two shifts: {both}; five times the spread: {spread}");
    assert!(both >= 0.95, "{both}");
    assert!(spread >= 0.9, "{spread}");
}

#[test]
fn dependence_is_no_trend() {
    let mut plain = 0;
    let corrected = share(500, |source| {
        let series = source.autoregression(0.6, 60);
        plain += u32::from(trend::mann_kendall(&series).expect("enough").p < 0.05);
        trend::hamed_rao(&series).expect("enough").p < 0.05
    });
    let plain = f64::from(plain) / 500.0;
    let independent = share(500, |source| {
        trend::hamed_rao(&source.autoregression(0.0, 60))
            .expect("enough")
            .p
            < 0.05
    });
    let rising = share(200, |source| {
        let series: Vec<f64> = source
            .autoregression(0.6, 60)
            .iter()
            .enumerate()
            .map(|(i, noise)| noise + 0.1 * i as f64)
            .collect();
        trend::hamed_rao(&series).expect("enough").z > 2.58
    });
    println!("no trend: plain {plain}, Hamed-Rao {corrected}, independent {independent}; rising: {rising}");
    assert!(
        plain >= 0.2,
        "{plain}: the correction is not needed here, so this shows nothing"
    );
    assert!(corrected <= 0.7 * plain, "{corrected} against {plain}");
    assert!(independent <= 0.08, "{independent}");
    assert!(rising >= 0.95, "{rising}");
}
