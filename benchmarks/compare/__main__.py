"""mutant against its peers: the same work on the same machine, in turn, several rounds.

    python3 benchmarks/compare [--build build/release] [--only large,small,command,memory] [--peers rclone,restic,…]
                               [--rounds 5] [--json]

  large    one random file in and out: restic, rclone crypt, gocryptfs, borg; and the bounds of sealing, opening and writing
  small    durable puts and gets of small values with many clients: RocksDB, redis, plain LMDB; and bare CAF exchanges
  command  from process start to the first byte of `mutant get`
  memory   peak anonymous memory of put and get (only when asked for)
  bucket   one random file in and out of a bucket: rclone crypt, restic, a bare libcurl loop; starts Ceph (only when asked for)

Peers come from Debian and are installed if they are missing (--no-install: skipped). Ratios are taken within a round; printed
are median, minimum and maximum over the rounds. benchmarks/README.md says what is not the same.
"""

import argparse
import os
import sys
import tempfile

import bucket
import command
import large
import small
from tools import Failed, Figures, alone, install

SECTIONS = {"large": large.compare, "small": small.compare, "command": command.first_byte, "memory": command.memory,
            "bucket": bucket.compare}


def parse():
    p = argparse.ArgumentParser(prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: [w for w in text.split(",") if w]
    p.add_argument("--build", default="build/release", help="directory of the build to measure")
    p.add_argument("--only", type=words, default=["large", "small", "command"])
    p.add_argument("--peers", type=words, default=[])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--size-mib", type=int, default=1024)
    p.add_argument("--value-bytes", type=int, default=1024)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--keys", type=int, default=100_000)
    p.add_argument("--directory", help="where to work (default: the system's place for temporary files)")
    p.add_argument("--lock", help="a file to lock exclusively while a round is measured, for machines that are shared")
    p.add_argument("--no-install", action="store_true")
    p.add_argument("--smoke", action="store_true", help="tiny sizes, one round: does it work at all")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    if options.smoke:
        options.rounds, options.size_mib, options.keys, options.clients = 1, 16, 500, 4
        options.only = [name for name in SECTIONS if name != "bucket"]   # which CTest runs where there is a cluster
    for name in options.only:
        if name not in SECTIONS:
            p.error(f"no such section: {name}")
    if options.directory:
        options.directory = os.path.abspath(options.directory)
    build = os.path.abspath(options.build)
    options.mutant = os.path.join(build, "apps/mutant/mutant")
    options.bounds = os.path.join(build, "benchmarks/bench_bounds")
    options.clients_program = os.path.join(build, "benchmarks/bench_clients")
    for program in (options.mutant, options.bounds, options.clients_program):
        if not os.path.exists(program):
            p.error(f"{program} is not there: build it, or name the build with --build")
    return options


def main():
    options = parse()
    if not options.no_install:
        sections = {"large": large.PEERS, "small": small.STORES, "bucket": bucket.PEERS}
        kinds = [k for name, module in sections.items() if name in options.only for k in module]
        install([p for k in kinds if not options.peers or k.name in options.peers for p in k.packages])
    figures = Figures(options.json, not options.smoke)
    figures.say(f"{os.cpu_count()} cores, {options.rounds} rounds")
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="mutant-compare-", dir=options.directory) as directory:
            try:
                SECTIONS[name](options, directory, figures, lambda: alone(options.lock))
            except Failed as e:
                sys.exit(f"{name}: {e}")
    figures.finish()


main()
