#!/usr/bin/python3
"""Seconds of one Lloyd pass of scikit-learn, as one line of JSON.

usage: sklearn_lloyd.py LEARNERS THREADS REPEAT

Points are LEARNERS x 5 float32 around five kinds. A pass is what 21 iterations cost more than 1
does, over 20: what comes before and after the passes cancels out."""

import json
import sys
import time
import warnings

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

learners, threads, repeat = (int(argument) for argument in sys.argv[1:4])
warnings.filterwarnings("ignore")  # that 1 iteration is not enough is known
random = np.random.default_rng(1)
points = (
    random.normal(0, 1, (5, 5))[random.integers(0, 5, learners)]
    + random.normal(0, 0.7, (learners, 5))
).astype(np.float32)
result = {"version": sklearn.__version__, "learners": learners, "threads": threads}
with threadpool_limits(threads):
    for k in (5, 8):
        start = points[random.choice(learners, k, replace=False)]

        def seconds(iterations):
            model = KMeans(k, init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd")
            began = time.perf_counter()
            model.fit(points)
            return time.perf_counter() - began, model.n_iter_

        passes = []
        for _ in range(repeat):
            (few, one), (many, done) = seconds(1), seconds(21)
            passes.append((many - few) / (done - one))
        result[f"k{k}_s"] = passes
print(json.dumps(result))
