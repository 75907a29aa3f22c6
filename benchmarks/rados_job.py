#!/usr/bin/env python3
"""What a Ceph pool gives under mutant, on a small real cluster that this starts and ends: throughput against librados alone,
and the pauses when an OSD is killed under load.

  benchmarks/rados_job.py --bench build/release/benchmarks/bench_rados [--rounds 5] [--size-mib 1024] [--pauses 3]

One monitor, three OSDs (bluestore on files in $TMPDIR), size 3, min_size 2, all on this machine: it is the ratios that say
something. See bench_rados.cpp for what is measured; a pause is measured over 12 seconds, with `kill -9` of one OSD after 4.
"""
import argparse, os, pathlib, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "system"))
from ceph_cluster import CephCluster, missing

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bench", required=True)
parser.add_argument("--rounds", default="5")
parser.add_argument("--size-mib", default="1024")
parser.add_argument("--pauses", type=int, default=3)
a = parser.parse_args()
if missing():
    sys.exit(f"{', '.join(missing())} not installed: scripts/install-dependencies ceph")
with CephCluster(block_bytes=16 << 30) as cluster:
    environment = {**os.environ, **cluster.environment(), "MUTANT_TEST_RADOS": cluster.url()}
    if int(a.rounds) > 0:
        subprocess.run([a.bench, "--rounds", a.rounds, "--size-mib", a.size_mib], env=environment, check=True)
    for n in range(a.pauses):
        load = subprocess.Popen([a.bench, "--load", "12"], env=environment)
        time.sleep(4)
        cluster.kill(n % 3)
        if load.wait() != 0:
            sys.exit(1)
        cluster.revive(n % 3)
        cluster.wait_clean()
