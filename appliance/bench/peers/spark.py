"""Spark MLlib's implicit ALS on the benchmark's data: spark.py DIR RANK ITERATIONS

Prints {"version", "cpu", "wall", "peak_mib"}: seconds of one iteration, as the
difference of a long and a short fit in one process, after one to warm up.
OpenBLAS is used where the loader finds it as libblas.so.3, else Java's own."""
import json
import os
import sys
import time

from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

folder, rank, iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
threads = os.environ.get("PEER_THREADS", "2")
options = "-Djava.net.preferIPv4Stack=true"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
spark = (SparkSession.builder.master("local[%s]" % threads)
         .config("spark.driver.memory", "8g").config("spark.ui.enabled", "false")
         .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
         .config("spark.driver.extraJavaOptions", options).config("spark.log.level", "ERROR").getOrCreate())
jvm = spark.sparkContext._jvm
pid = jvm.java.lang.ProcessHandle.current().pid()
try:
    blas = jvm.dev.ludovic.netlib.blas.NativeBLAS.getInstance().getClass().getSimpleName()
except Exception:
    blas = "Java's BLAS"


def mark():
    fields = open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), time.time()


weight = F.create_map(*[F.lit(x) for pair in (("view", 1.0), ("favorite", 2.0), ("cart", 3.0), ("purchase", 4.0)) for x in pair])
data = (spark.read.parquet(os.path.join(folder, "archive", "events"))
        .select(F.col("user_id").cast("int").alias("user"), F.col("item_id").cast("int").alias("item"),
                weight[F.col("event_type")].cast("float").alias("rating")).repartition(10).cache())
data.count()


def fit(n):
    start = mark()
    ALS(userCol="user", itemCol="item", ratingCol="rating", implicitPrefs=True, rank=rank, maxIter=n,
        regParam=0.01, alpha=2.0, numUserBlocks=10, numItemBlocks=10, seed=1).fit(data)
    end = mark()
    return end[0] - start[0], end[1] - start[1]


fit(1)
short, long = fit(1), fit(iterations)
peak = next(line for line in open("/proc/%d/status" % pid) if line.startswith("VmHWM"))
print(json.dumps({
    "version": "%s with %s" % (spark.version, "OpenBLAS" if blas == "JNIBLAS" else blas),
    "cpu": (long[0] - short[0]) / (iterations - 1), "wall": (long[1] - short[1]) / (iterations - 1),
    "peak_mib": int(peak.split()[1]) / 1024,
}))
