"""Makes golden.json: reference values from SciPy for the tests of this crate.

Run: pip install numpy==2.4.6 scipy==1.17.1 && python make.py > golden.json
"""
import json
import sys

import numpy as np
import scipy
from scipy import special, stats

rng = np.random.default_rng(20260131)
f = lambda v: float(v)
out = {"scipy": scipy.__version__}

out["ln_gamma"] = [[x, f(special.gammaln(x))] for x in (0.1, 0.5, 1.0, 1.5, 2.0, 3.7, 15.0, 100.5, 1e4, 1e6)]
out["beta_inc"] = [
    [a, b, x, f(special.betainc(a, b, x))]
    for a, b in ((0.5, 0.5), (1, 1), (2, 3), (0.5, 40), (30, 1.5), (100, 200), (5000, 50), (1e5, 1e3), (4e5, 6e5))
    for x in (0.001, 0.1, 0.33, 0.4, 0.5, 0.9, 0.99, 0.9901)
]
out["beta_inc_inverse"] = [
    [a, b, p, f(special.betaincinv(a, b, p))]
    for a, b in ((0.5, 0.5), (1, 50), (2, 3), (30, 1.5), (100, 200), (5000, 50), (10, 1e5))
    for p in (0.005, 0.025, 0.5, 0.975, 0.995)
]
out["gamma_inc"] = [
    [a, x, f(special.gammainc(a, x))]
    for a in (0.5, 1, 3.3, 20, 500, 1e5)
    for x in (0.01 * a, 0.5 * a, 0.99 * a, a, 1.01 * a, a + 1, 2 * a, 5 * a)
]
zs = (-8.0, -3.0, -1.96, -0.5, 0.0, 0.3, 1.0, 2.5758, 6.0)
out["normal_cdf"] = [[z, f(stats.norm.cdf(z))] for z in zs]
ps = (1e-12, 1e-6, 0.001, 0.025, 0.05, 0.074, 0.076, 0.3, 0.5, 0.8, 0.95, 0.975, 0.999, 0.999999)
out["normal_quantile"] = [[p, f(stats.norm.ppf(p))] for p in ps]
out["t_cdf"] = [[t, d, f(stats.t.cdf(t, d))] for t in (-5, -1.2, 0, 0.4, 2.1, 12) for d in (1, 2.5, 10, 200)]
out["t_quantile"] = [[p, d, f(stats.t.ppf(p, d))] for p in (0.005, 0.025, 0.2, 0.6, 0.975, 0.999) for d in (1, 2.5, 10, 200)]

grid = [(n, p) for n in (1, 7, 100, 5000, 1000000) for p in (0.01, 0.5, 0.9, 0.99, 0.999)]
out["binomial_cdf"] = [
    [k, n, p, f(stats.binom.cdf(k, n, p))]
    for n, p in grid
    for k in sorted({0, int(n * p), max(0, int(n * p - 2 * (n * p * (1 - p)) ** 0.5)), min(n, int(n * p + 2))})
]
out["binomial_quantile"] = [
    [q, n, p, int(stats.binom.ppf(q, n, p))] for n, p in grid for q in (0.005, 0.025, 0.5, 0.975, 0.995)
]
pairs = ((0, 1), (0, 50), (50, 50), (26, 30), (28, 30), (1, 100), (29, 545), (9990, 10000), (3, 1000000))
out["clopper_pearson"] = []
out["wilson"] = []
for k, n in pairs:
    for c in (0.95, 0.99):
        exact = stats.binomtest(k, n).proportion_ci(c, "exact")
        score = stats.binomtest(k, n).proportion_ci(c, "wilson")
        out["clopper_pearson"].append([k, n, c, f(exact.low), f(exact.high)])
        out["wilson"].append([k, n, c, f(score.low), f(score.high)])
out["zero_failure"] = [[n, f(1 - 0.05 ** (1 / n))] for n in (1, 10, 32, 50, 3000)]

out["fisher"] = [
    [a, na, b, nb, f(stats.fisher_exact([[a, na - a], [b, nb - b]]).pvalue)]
    for a, na, b, nb in ((26, 30, 28, 30), (0, 50, 5, 50), (3, 10, 3, 10), (1, 1000, 20, 1100), (990, 1000, 999, 1000))
]

lines = []
for n, tied in ((5, False), (40, False), (40, True), (120, True)):
    x = np.arange(n, dtype=float)
    y = 3 + 0.05 * x + rng.normal(0, 1, n)
    if tied:
        y = np.round(y * 2) / 2
    fit = stats.linregress(x, y)
    low = f(fit.slope - stats.t.ppf(0.975, n - 2) * fit.stderr)
    sen = stats.theilslopes(y, x, 0.95)
    s = sum(np.sign(y[j] - y[i]) for i in range(n) for j in range(i + 1, n))
    ties = np.unique(y, return_counts=True)[1]
    var = (n * (n - 1) * (2 * n + 5) - sum(k * (k - 1) * (2 * k + 5) for k in ties)) / 18
    z = (s - np.sign(s)) / var**0.5
    lines.append({
        "x": x.tolist(), "y": y.tolist(),
        "ols": [f(fit.slope), f(fit.intercept), f(fit.stderr), f(fit.pvalue), low],
        "theil_sen": [f(sen.slope), f(sen.intercept), f(sen.low_slope), f(sen.high_slope)],
        "mann_kendall": [f(s), f(z), f(2 * stats.norm.sf(abs(z)))],
    })
out["lines"] = lines

tests = []
for n, m in ((5, 9), (30, 12)):
    a, b = rng.normal(1, 1, n), rng.normal(0.4, 3, m)
    r = stats.ttest_ind(a, b, equal_var=False)
    q = stats.ttest_1samp(a, 0.0)
    tests.append({"a": a.tolist(), "b": b.tolist(), "welch": [f(r.statistic), f(r.df), f(r.pvalue)],
                  "paired": [f(q.statistic), f(q.df), f(q.pvalue)]})
out["t_tests"] = tests

json.dump(out, sys.stdout, indent=None, separators=(",", ":"))
print()
