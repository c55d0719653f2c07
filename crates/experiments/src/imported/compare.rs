//! Is a difference more than chance? Shares by Fisher's exact test; times by the number of runs.

use prony_model::{Finding, Source, Verdict};
use prony_stats::{fisher, special};

use super::claim::{Claim, Measure};
use super::no_work::does_no_work;
use super::phrases::{number, p_value, percent, requests};
use super::rule::{RuleDef, remark};

/// Level of the test.
pub(super) const LEVEL: f64 = 0.05;
/// Most tables that the exact test adds up; beyond it the normal approximation is as good.
const TABLES_MAX: u64 = 200_000;
/// Counts beyond this are not exact as floating-point numbers.
const COUNT_MAX: u64 = 1 << 53;
/// Pairs of runs below which no sign-flip test reaches the level: 2 / 2^5 is above 0.05.
const RUNS_MIN: u64 = 6;

/// Registry entry.
pub(super) static DEF: RuleDef = RuleDef {
    name: "chance",
    asks: "Is the difference more than chance?",
    judge,
};

fn judge(claim: &Claim, all: &[Claim]) -> Option<Finding> {
    match claim.measure {
        Measure::Success | Measure::Comparison => match Arms::of(claim, all) {
            Some(arms) => Some(shares(claim, &arms, 1)),
            None => runs(claim),
        },
        Measure::Latency | Measure::ServiceTime | Measure::Throughput => runs(claim),
        _ => None,
    }
}

/// Two groups of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arms {
    ok: u64,
    n: u64,
    baseline_ok: u64,
    baseline_n: u64,
}

impl Arms {
    /// Of a claim and what it compares itself with: its own baseline, or another claim.
    pub(super) fn of(claim: &Claim, all: &[Claim]) -> Option<Self> {
        let (ok, n) = claim.success()?;
        let own = claim.baseline_ok.zip(claim.baseline_n);
        let other = || {
            let name = claim.against.as_ref()?;
            all.iter().find(|c| c.id == *name)?.success()
        };
        let (baseline_ok, baseline_n) = own.filter(|(ok, n)| ok <= n && *n > 0).or_else(other)?;
        (n.max(baseline_n) <= COUNT_MAX).then_some(Self {
            ok,
            n,
            baseline_ok,
            baseline_n,
        })
    }

    pub(super) fn share(&self) -> f64 {
        self.ok as f64 / self.n as f64
    }

    pub(super) fn baseline_share(&self) -> f64 {
        self.baseline_ok as f64 / self.baseline_n as f64
    }

    /// Two-sided p-value of "both shares are equal".
    pub(super) fn p(&self) -> f64 {
        let total = self.n.saturating_add(self.baseline_n);
        let hits = self.ok.saturating_add(self.baseline_ok);
        let tables = hits.min(total - hits).min(self.n).min(self.baseline_n);
        if tables <= TABLES_MAX {
            return fisher::two_sided(self.ok, self.n, self.baseline_ok, self.baseline_n);
        }
        let pooled = hits as f64 / total as f64;
        let spread = (pooled * (1.0 - pooled) * (1.0 / self.n as f64 + 1.0 / self.baseline_n as f64)).sqrt();
        let z = (self.share() - self.baseline_share()).abs() / spread;
        2.0 * special::normal_cdf(-z)
    }

    /// How many failed in each.
    pub(super) fn failures_say(&self) -> String {
        format!(
            "{} of {} and {} of {} failed",
            self.n - self.ok,
            self.n,
            self.baseline_n - self.baseline_ok,
            self.baseline_n
        )
    }

    /// Requests of each group that would show this difference with 80 % probability.
    fn needed(&self) -> Option<u64> {
        let (a, b) = (self.share(), self.baseline_share());
        let gap = (a - b).abs();
        if gap == 0.0 {
            return None;
        }
        let z = special::normal_quantile(1.0 - LEVEL / 2.0) + special::normal_quantile(0.8);
        let n = z * z * (a * (1.0 - a) + b * (1.0 - b)) / (gap * gap);
        (n < 1e12).then_some(n.ceil().max(2.0) as u64)
    }
}

/// The finding on two groups; `comparisons` are made at once, and p is raised by as much (Bonferroni).
pub(super) fn shares(claim: &Claim, arms: &Arms, comparisons: u64) -> Finding {
    let p = (arms.p() * comparisons as f64).min(1.0);
    let counts = format!(
        "{} of {} against {} of {}",
        arms.ok, arms.n, arms.baseline_ok, arms.baseline_n
    );
    let (verdict, says) = if p >= LEVEL {
        let needed = arms.needed().map_or_else(String::new, |n| {
            format!(
                "; a difference of this size takes some {} each to show",
                requests(n)
            )
        });
        (
            Verdict::Inconclusive,
            format!(
                "{counts} is what chance alone does (Fisher's exact test, {}){needed}.",
                p_value(p)
            ),
        )
    } else if arms.share() > arms.baseline_share() {
        (
            Verdict::Pass,
            format!(
                "{counts} is more than chance (Fisher's exact test, {}).",
                p_value(p)
            ),
        )
    } else {
        (
            Verdict::Fail,
            format!(
                "{counts} is worse, and chance does not explain it (Fisher's exact test, {}).",
                p_value(p)
            ),
        )
    };
    remark(DEF.name, &claim.id, verdict, says)
        .figure(
            "p",
            p,
            "",
            arms.n.saturating_add(arms.baseline_n) as usize,
            &Source::default(),
        )
        .done()
}

/// Times and rates differ from run to run, so runs are what counts.
fn runs(claim: &Claim) -> Option<Finding> {
    let compares =
        claim.baseline.is_some() || claim.against.is_some() || claim.measure == Measure::Comparison;
    if !compares || does_no_work(claim) {
        return None;
    }
    let tolerance = claim.tolerance.map_or_else(String::new, |tolerance| {
        format!(
            ", and by its own tolerance it is blind below {}",
            percent(tolerance)
        )
    });
    let says = match claim.runs.unwrap_or(1) {
        runs if runs >= RUNS_MIN => return None,
        0 | 1 => format!(
            "One run against a number says nothing of how much runs differ among themselves, so no difference can be called \
             one{tolerance}."
        ),
        runs => format!(
            "{runs} runs of each cannot show a difference: the smallest p-value that a sign test of {runs} pairs can reach is \
             {}{tolerance}.",
            number(2.0 / 2_f64.powi(runs as i32))
        ),
    };
    let draft = remark(DEF.name, &claim.id, Verdict::Inconclusive, says).advice(
        "Run both at least six times, in turns, and compare the pairs.",
        "",
    );
    Some(draft.done())
}
