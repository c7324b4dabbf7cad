"""implicit's ALS on the benchmark's data: implicit.py DIR RANK ITERATIONS

Prints {"version", "cpu", "wall", "peak_mib"}: seconds of one iteration, without
the first."""
import json
import os
import resource
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
import scipy.sparse
import implicit
from implicit.cpu.als import AlternatingLeastSquares

folder, rank, iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
users, items, weights = (np.fromfile(os.path.join(folder, name), kind) for name, kind in
                         (("users.i32", "<i4"), ("items.i32", "<i4"), ("weights.f32", "<f4")))
data = scipy.sparse.csr_matrix((weights, (users, items)))
del users, items, weights
marks = []


def mark(*_):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    marks.append((usage.ru_utime + usage.ru_stime, time.time()))


model = AlternatingLeastSquares(factors=rank, regularization=0.01, alpha=2.0, dtype=np.float32, use_cg=True,
                                iterations=iterations, num_threads=int(os.environ.get("PEER_THREADS", "2")), random_state=1)
model.fit(data, show_progress=False, callback=mark)
n = len(marks) - 1
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "version": implicit.__version__,
    "cpu": (marks[-1][0] - marks[0][0]) / n, "wall": (marks[-1][1] - marks[0][1]) / n,
    "peak_mib": int(peak.split()[1]) / 1024,
}))
