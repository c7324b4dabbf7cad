"""Top-K search of other libraries: retrieval.py DIR RANK K

DIR holds items.f32 and queries.f32. Prints {"version", "rows"}: for each way its
name, "us" of processor time of a query, and "recall" against the exact lists.
All on one thread: queries one by one, but where the name says otherwise."""
import json
import os
import resource
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np
import faiss

folder, rank, k = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
items, queries = (np.fromfile(os.path.join(folder, name), "<f4").reshape(-1, rank) for name in ("items.f32", "queries.f32"))
faiss.omp_set_num_threads(1)
rows = []


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def row(name, search, least=0.5):
    """Asks everything, again until that took long enough to be told."""
    search()
    times, start = 0, used()
    while used() - start < least:
        found, times = search(), times + 1
    took = (used() - start) / times / len(queries)
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, exact))
    rows.append({"name": name, "us": 1e6 * took, "recall": hits / exact.size})


def one_by_one(index):
    return lambda: np.concatenate([index.search(queries[i:i + 1], k)[1] for i in range(len(queries))])


flat = faiss.IndexFlatIP(rank)
flat.add(items)
exact = flat.search(queries, k)[1]
row("faiss_flat", one_by_one(flat))
row("faiss_flat_batch", lambda: flat.search(queries, k)[1])
ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(rank), rank, 1024, faiss.METRIC_INNER_PRODUCT)
ivf.train(items)
ivf.add(items)
for probes in (32, 128):
    ivf.nprobe = probes
    row("faiss_ivf_%d" % probes, one_by_one(ivf))
graph = faiss.IndexHNSWFlat(rank, 32, faiss.METRIC_INNER_PRODUCT)
graph.hnsw.efConstruction = 200
graph.add(items)
graph.hnsw.efSearch = 400
row("faiss_hnsw_400", one_by_one(graph))
version = "faiss " + faiss.__version__
try:
    import hnswlib
except ImportError:
    hnswlib = None
if hnswlib:
    graph = hnswlib.Index("ip", rank)
    graph.init_index(len(items), M=32, ef_construction=200)
    graph.set_num_threads(1)
    graph.add_items(items)
    for ef in (100, 400):
        graph.set_ef(ef)
        row("hnswlib_%d" % ef, lambda: np.concatenate([graph.knn_query(queries[i:i + 1], k)[0] for i in range(len(queries))]))
    version += ", hnswlib"
print(json.dumps({"version": version, "rows": rows}))
