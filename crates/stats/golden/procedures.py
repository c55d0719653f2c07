"""Makes procedures.json: reference values for the tests and estimators of this crate that are more than one formula.

Made with Python 3.11 and
  numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1 pymannkendall==1.4.3 ruptures==1.1.10
  apache-otava==0.8.0 (installed with --no-deps)
Run: python procedures.py > procedures.json

Where a library has the routine, the library's answer is written down. Where none has it (MSER-5, Heidelberger and Welch,
sequential looks, USL, the mixture to full precision) the answer comes from an own implementation in NumPy below, written
from the paper, and is checked against a library where one comes near.
"""
import json
import sys

import numpy as np
import pymannkendall
import ruptures
from otava.change_point_divisive.calculator import PairDistanceCalculator
from scipy import optimize, special, stats
from scipy.integrate import quad
from scipy.stats._hypotests import _cdf_cvm_inf
from scipy.stats._resampling import _bca_interval
from sklearn.mixture import GaussianMixture
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW
from statsmodels.tsa.stattools import acf

rng = np.random.default_rng(20260211)
f = lambda v: float(v)
l = lambda v: [float(x) for x in v]
short = lambda v: np.round(v, 6)
out = {}


def ar1(n, phi, sd=1.0):
    x, series = rng.normal(0, sd / (1 - phi**2) ** 0.5), []
    for _ in range(n):
        series.append(x)
        x = phi * x + rng.normal(0, sd)
    return np.array(series)


# -- the binomial distribution from above, sequential looks ------------------------------------------------------------
out["binomial_survival"] = [
    [k, n, p, f(stats.binom.sf(k - 1, n, p))]
    for n, p in ((1, 0.5), (40, 0.01), (700, 0.05), (5000, 0.01), (5000, 0.9))
    for k in sorted({0, 1, int(n * p), int(n * p) + 1, min(n, int(n * p + 3 * (n * p * (1 - p)) ** 0.5)), n})
]


def needed(p, t, confidence):
    n = t + 1
    while stats.binom.cdf(t, n, 1 - p) > 1 - confidence:
        n += 1
    return n


out["sequential_needed"] = [
    [p, t, c, needed(p, t, c)] for p in (0.5, 0.9, 0.95, 0.99) for t, c in ((0, 0.95), (0, 0.99), (1, 0.99), (10, 0.95))
] + [[0.999, t, c, n] for t, c, n in ((0, 0.95, 2995), (0, 0.99, 4603), (1, 0.99, 6636), (10, 0.95, 16959))]
for p, t, c, n in out["sequential_needed"][-4:]:
    assert stats.binom.cdf(t, n, 1 - p) <= 1 - c < stats.binom.cdf(t, n - 1, 1 - p)
out["needed_for_width"] = [
    [p, sd, f((stats.norm.ppf(0.975) * sd * (p * (1 - p)) ** 0.5 / stats.norm.pdf(stats.norm.ppf(p)) / 0.1) ** 2)]
    for p in (0.5, 0.9, 0.95, 0.99, 0.999)
    for sd in (0.3, 0.5, 1.0)
]

# -- autocorrelation, Mann-Kendall with Hamed and Rao ------------------------------------------------------------------
trends = []
for n, phi, slope, digits in ((20, 0.0, 0.0, 6), (20, 0.6, 0.3, 6), (60, 0.8, 0.0, 6), (120, 0.9, 0.02, 1), (60, -0.6, 0.0, 6)):
    y = np.round(ar1(n, phi) + slope * np.arange(n), digits)
    r = pymannkendall.hamed_rao_modification_test(y)
    plain = pymannkendall.original_test(y)
    trends.append({
        "y": l(y),
        "acf": l(acf(y, nlags=5, fft=False)),
        "inflation": f(r.var_s / plain.var_s),
        "hamed_rao": [f(r.s), f(r.z), f(r.p)],
        "plain": [f(plain.s), f(plain.z), f(plain.p)],
    })
out["trends"] = trends


# -- steady state --------------------------------------------------------------------------------------------------------
def mser5(series):
    k = len(series) // 5
    z = series[: 5 * k].reshape(k, 5).mean(axis=1)
    g = [((z[d:] - z[d:].mean()) ** 2).sum() / (k - d) ** 2 for d in range(k - 5)]
    d = int(np.argmin(g))
    return None if d > k // 2 else 5 * d


def integrated_time(x):
    n = len(x)
    c = x - x.mean()
    cov = [f((c[: n - k] * c[k:]).sum()) for k in range(n)]
    pairs = 0.0
    for lag in range(0, n - 1, 2):
        pair = cov[lag] + cov[lag + 1]
        if pair <= 0:
            break
        pairs += pair
    return max(1.0, 2 * pairs / cov[0] - 1)


def batch_means(x, count):
    n = len(x)
    return np.array([x[i * n // count : (i + 1) * n // count].mean() for i in range(count)])


def cramer_cdf(x):
    total = 0.0
    for k in range(60):
        q = (4 * k + 1) ** 2 / (16 * x)
        u = np.exp(special.gammaln(k + 0.5) - special.gammaln(k + 1)) / (np.pi**1.5 * np.sqrt(x))
        total += u * np.sqrt(4 * k + 1) * np.exp(-2 * q) * special.kve(0.25, q)
    return f(total)


def stationarity(x):
    z = batch_means(x, 100)
    bridge = np.cumsum(z - z.mean())
    late = z[50:]
    statistic = (bridge**2).sum() / (100**2 * late.var(ddof=1) * integrated_time(late))
    return [f(statistic), 1 - cramer_cdf(statistic)]


for x in (0.05, 0.2, 0.461, 1.0):
    assert abs(cramer_cdf(x) - _cdf_cvm_inf(x)) < 1e-6
assert abs(cramer_cdf(0.4614) - 0.95) < 1e-4
out["cramer_von_mises"] = [[x, cramer_cdf(x)] for x in (0.03, 0.05, 0.1, 0.166, 0.3, 0.461, 0.743, 1.2, 2.0, 4.0)]
out["steady"] = []
for n, a, tau in ((400, 0.0, 1.0), (1003, 1.0, 50.0), (1003, 2.0, 400.0), (1500, 0.0, 1.0)):
    y = short(np.exp(rng.normal(0, 0.3, n)) + a * np.exp(-np.arange(n) / tau))
    y = y if n != 1500 else short(np.exp(0.1 * ar1(n, 0.8)))
    out["steady"].append({"y": l(y), "mser5": mser5(y), "stationarity": stationarity(y)})

# -- change points -------------------------------------------------------------------------------------------------------
out["splits"] = []
for parts in (((30, 0, 1), (30, 3, 1)), ((25, 0, 1), (10, 4, 1), (25, 0, 1)), ((40, 0, 0.5), (40, 0, 3)), ((37, 0, 1),)):
    y = short(np.concatenate([rng.normal(m, s, n) for n, m, s in parts]))
    calculator = PairDistanceCalculator(y)
    best = calculator.get_candidate_change_point(slice(0, len(y)))
    out["splits"].append({"y": l(y), "index": int(best.index), "statistic": f(best.qhat)})
levels = [(40, 100), (30, 106), (50, 98), (40, 98.6)]
y = short(np.concatenate([rng.normal(m, 0.8, n) for n, m in levels]))
places = ruptures.Dynp(model="l2", min_size=8, jump=1).fit(y).predict(n_bkps=2)[:-1]
assert places == [40, 70]


def welch_shifts(y, indices):
    ends = [0, *indices, len(y)]
    rows = []
    for a, i, b in zip(ends, ends[1:], ends[2:]):
        p = stats.ttest_ind(y[a:i], y[i:b], equal_var=False).pvalue
        rows.append([i, f(y[a:i].mean()), f(y[i:b].mean()), f(p)])
    return rows


out["levels"] = {"y": l(y), "ruptures": places, "shifts": welch_shifts(y, places), "all": welch_shifts(y, [20, 40, 70, 120])}

# -- bootstrap, BCa ------------------------------------------------------------------------------------------------------
out["bca"] = []
for n, confidence in ((8, 0.95), (25, 0.9)):
    x = short(rng.lognormal(0, 1, n))
    variance = lambda x, axis=-1: np.var(x, axis=axis, ddof=1)
    outcomes = short(variance(x[rng.integers(0, n, (200, n))]))
    low, high, _ = _bca_interval((x,), variance, -1, (1 - confidence) / 2, outcomes, None, np)
    without = [f(variance(np.delete(x, i))) for i in range(n)]
    out["bca"].append({"x": l(x), "estimate": f(variance(x)), "outcomes": l(outcomes), "without": without,
                       "confidence": confidence, "levels": [f(low), f(high)]})

# -- paired differences --------------------------------------------------------------------------------------------------
out["paired"] = []
for n, shift in ((6, 0.4), (10, 0.0), (17, 0.2)):
    d = short(rng.normal(shift, 0.5, n))
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    flip = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    ttost = DescrStatsW(d).ttost_mean(-0.6, 0.5)
    ninety = stats.ttest_1samp(d, 0).confidence_interval(0.90)
    out["paired"].append({
        "d": l(d), "interval": [f(d.mean()), f(d.std(ddof=1)), f(interval.low), f(interval.high)],
        "sign_flip": f(flip.pvalue), "tost": [f(d.mean()), f(ninety.low), f(ninety.high), f(ttost[0])],
    })


def power(effect, n, alpha):
    """By integration over the estimated deviation: SciPy's noncentral t is NaN for some of these."""
    df, limit = n - 1, stats.t.ppf(1 - alpha / 2, n - 1)
    tails = lambda s: stats.norm.cdf(effect * n**0.5 - limit * s) + stats.norm.cdf(-effect * n**0.5 - limit * s)
    density = lambda s: stats.chi(df, scale=df**-0.5).pdf(s)
    spread = 12 / (2 * df) ** 0.5
    return quad(lambda s: density(s) * tails(s), max(0, 1 - spread), 1 + spread, epsabs=1e-14, epsrel=1e-13, limit=500)[0]


out["power"] = []
for effect, n, alpha in ((0.5, 10, 0.05), (1.15, 10, 0.05), (0.0, 7, 0.05), (2.0, 5, 0.05), (0.3, 120, 0.01), (1.0, 3, 0.05), (0.1, 1000, 0.05)):
    reference = TTestPower().power(effect, n, alpha, alternative="two-sided")
    assert abs(reference - power(effect, n, alpha)) < 1e-9, (effect, n, reference, power(effect, n, alpha))
    out["power"].append([effect, n, alpha, f(power(effect, n, alpha))])
out["detectable"] = [
    [n, f(optimize.brentq(lambda e: power(e, n, 0.05) - 0.9, 0.1, 5, xtol=1e-13, rtol=1e-14))]
    for n in (3, 5, 6, 8, 10, 15, 20)
]

# -- many tests ----------------------------------------------------------------------------------------------------------
out["multiple"] = []
for p in ([0.01, 0.04, 0.03, 0.005], [0.5], l(short(rng.uniform(0, 1, 12) ** 3)), [0.02, 0.02, 0.9, 0.02]):
    out["multiple"].append({"p": p, "holm": l(multipletests(p, method="holm")[1]), "bh": l(multipletests(p, method="fdr_bh")[1])})


# -- USL: least squares on the logarithms --------------------------------------------------------------------------------
def usl(n, x):
    n, x = np.array(n, float), np.array(x)

    def residuals(q):
        g, a, b = q
        return np.log(x) - (g + np.log(n) - np.log1p(a * (n - 1) + b * n * (n - 1)))

    def slopes(q):
        _, a, b = q
        d = 1 + a * (n - 1) + b * n * (n - 1)
        return np.stack([-np.ones_like(n), (n - 1) / d, n * (n - 1) / d], axis=1)

    best = optimize.least_squares(residuals, [np.log(x[0]), 0.05, 1e-3], slopes, bounds=([-np.inf, 0, 0], np.inf),
                                  x_scale=[1, 0.05, 1e-3], ftol=None, xtol=1e-15, gtol=1e-15, max_nfev=10000)
    q = best.x.copy()
    # Gauss-Newton on what is not at its bound, to the last digit.
    free = np.array([True, q[1] > 1e-9, q[2] > 1e-9])
    q[~free] = 0
    for _ in range(200):
        j = slopes(q)[:, free]
        q[free] -= np.linalg.lstsq(j, residuals(q), rcond=None)[0]
    return [f(np.exp(q[0])), f(q[1]), f(q[2])]


out["usl"] = []
for n, (g, a, b), noise in (
    ([1, 2, 4, 8, 16, 32, 64], (100, 0.03, 0.0008), 0.03),
    ([1, 1, 2, 3, 5, 8, 13, 21], (7, 0.2, 0.002), 0.05),
    ([1, 2, 4, 8, 16, 32], (50, 0.05, 0.0), 0.0),
    ([1, 2, 4, 8, 16, 32, 48], (50, 0.0, 0.001), 0.02),
    ([1, 2, 4, 8, 16, 32], (20, 0.04, 0.0), 0.02),
):
    n = np.array(n, float)
    x = g * n / (1 + a * (n - 1) + b * n * (n - 1)) * np.exp(noise * rng.normal(0, 1, len(n)))
    x = x if noise == 0.0 else short(x)
    out["usl"].append({"n": l(n), "x": l(x), "fit": usl(n, x)})


# -- queues --------------------------------------------------------------------------------------------------------------
def erlang_b(c, a):
    return f(np.exp(stats.poisson.logpmf(c, a) - stats.poisson.logcdf(c, a)))


out["erlang"] = []
for c, a in ((1, 0.5), (4, 3.42), (15, 15.0), (30, 27.0), (200, 180.0), (500, 600.0), (1, 0.0)):
    b = erlang_b(c, a)
    wait = b / (1 - a / c * (1 - b)) if a < c else None
    out["erlang"].append([c, a, b, wait])
out["erlang_offered"] = [
    [c, share, f(optimize.brentq(lambda a: erlang_b(c, a) - share, 1e-9, 10 * c + 10, xtol=1e-14, rtol=1e-14))]
    for c, share in ((30, 0.01), (30, 0.05), (1, 0.1), (200, 0.001))
]
# Response of M/M/4 by integrating the wait's density against the service's tail.
out["response_tail"] = []
for c, lam, s in ((4, 3.42, 1.0), (1, 0.8, 1.0), (3, 10.0, 0.25), (2, 1.0, 1.0)):
    mu, a = 1 / s, lam * s
    b = erlang_b(c, a)
    wait = b / (1 - a / c * (1 - b))
    k = c * mu - lam
    for t in (0.0, 0.7 * s, 3 * s, 9 * s):
        later = quad(lambda w: wait * k * np.exp(-k * w) * np.exp(-mu * (t - w)), 0, t, epsabs=1e-14, epsrel=1e-13)[0]
        out["response_tail"].append([c, lam, s, t, f((1 - wait) * np.exp(-mu * t) + later + wait * np.exp(-k * t))])


# -- two Gaussians -------------------------------------------------------------------------------------------------------
def mixture(x, starts):
    best = None
    for cut in starts:
        parts = np.sort(x)[: int(cut * len(x))], np.sort(x)[int(cut * len(x)) :]
        w = np.array([len(p) / len(x) for p in parts])
        m, s = np.array([p.mean() for p in parts]), np.array([p.std() for p in parts])
        for _ in range(20000):
            d = w * stats.norm.pdf(x[:, None], m, s)
            r = d / d.sum(axis=1, keepdims=True)
            old = np.concatenate([w, m, s])
            total = r.sum(axis=0)
            w, m = total / len(x), (r * x[:, None]).sum(axis=0) / total
            s = np.sqrt((r * (x[:, None] - m) ** 2).sum(axis=0) / total)
            if np.abs(np.concatenate([w, m, s]) - old).max() < 1e-15:
                break
        ll = f(np.log((w * stats.norm.pdf(x[:, None], m, s)).sum(axis=1)).sum())
        if best is None or ll > best[0]:
            best = ll, w, m, s
    ll, w, m, s = best
    ours = GaussianMixture(2, tol=1e-12, max_iter=20000, reg_covar=0.0, means_init=m[:, None], weights_init=w,
                           precisions_init=(1 / s**2)[:, None, None]).fit(x[:, None])
    one = GaussianMixture(1, reg_covar=0.0).fit(x[:, None])
    gain = one.bic(x[:, None]) - ours.bic(x[:, None])
    assert np.allclose(ours.means_[:, 0], m, rtol=1e-6), (ours.means_, m)
    assert abs(ours.score(x[:, None]) * len(x) - ll) < 1e-6
    d = f(abs(m[1] - m[0]) / np.sqrt((s**2).mean()))
    order = np.argsort(m)
    assert abs(gain - (2 * (ll - stats.norm.logpdf(x, x.mean(), x.std()).sum()) - 3 * np.log(len(x)))) < 1e-6
    exact = f(2 * (ll - stats.norm.logpdf(x, x.mean(), x.std()).sum()) - 3 * np.log(len(x)))
    return {"x": l(x), "weight": l(w[order]), "mean": l(m[order]), "deviation": l(s[order]), "ll": ll, "bic_gain": exact, "d": d}


out["mixtures"] = []
for n, share, ratio in ((60, 0.3, 8.0), (200, 0.1, 5.0), (150, 0.5, 4.0)):
    slow = int(n * share)
    x = short(np.concatenate([rng.normal(0, 0.3, n - slow), np.log(ratio) + rng.normal(0, 0.25, slow)]))
    rng.shuffle(x)
    out["mixtures"].append(mixture(x, (0.1, 0.3, 0.5, 0.8, 0.95)))

# -- Kolmogorov and Smirnov ----------------------------------------------------------------------------------------------
out["kolmogorov_limit"] = [[x, f(stats.kstwobign.sf(x))] for x in (0.2, 0.5, 0.8, 0.99, 1.0, 1.01, 1.36, 1.63, 2.5, 4.0)]
stephens = lambda n, d: f(stats.kstwobign.sf((n**0.5 + 0.12 + 0.11 / n**0.5) * d))
out["kolmogorov"] = []
for n, rate in ((20, 1.0), (200, 1.2), (50, 3.0)):
    x = short(rng.exponential(1 / rate, n))
    r = stats.kstest(x, stats.expon.cdf, method="exact")
    d = f(r.statistic)
    out["kolmogorov"].append({"x": l(x), "distance": d, "p": stephens(n, d), "exact": f(r.pvalue)})
out["kolmogorov_two"] = []
for n, m, shift, digits in ((25, 40, 0.0, 6), (60, 60, 0.7, 6), (80, 33, 0.2, 1)):
    a, b = np.round(rng.normal(0, 1, n), digits), np.round(rng.normal(shift, 1, m), digits)
    r = stats.ks_2samp(a, b, method="exact")
    d = f(r.statistic)
    out["kolmogorov_two"].append({"a": l(a), "b": l(b), "distance": d, "p": stephens(n * m / (n + m), d), "exact": f(r.pvalue)})


json.dump(out, sys.stdout, indent=None, separators=(",", ":"))
print()
