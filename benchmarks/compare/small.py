"""Small values with many clients: durable puts and gets, with mutant and with its peers, in turn within every round.

The same number of values of the same size is there before; keys are uniformly random; every client has one request under way.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import time

from tools import Failed, have, output, run

RESULT = re.compile(r"^(overwrite|readrandom)\s*:\s*[\d.]+ micros/op (\d+) ops/sec", re.MULTILINE)


class Mutant:
    """The store embedded in the process of its clients, which are actors."""

    name = "mutant"
    packages = []

    def __init__(self, options, directory):
        self.options, self.directory = options, directory

    @classmethod
    def missing(cls):
        return None

    def start(self):
        pass

    def stop(self):
        pass

    def round(self):
        o = self.options
        out = json.loads(output([o.clients_program, "--json", "--only", "inlined", "--rounds", "1",
                                 "--directory", self.directory, "--clients", str(o.clients), "--keys", str(o.keys),
                                 "--value-bytes", str(o.value_bytes), *(["--smoke"] if o.smoke else [])]))["figures"]
        self.bare = out["bare_exchanges_per_second"]["median"]
        return out["inlined_puts_per_second"]["median"], out["inlined_gets_per_second"]["median"]


class RocksDB(Mutant):
    """Its own db_bench: a thread for each client, sync writes (which it commits in groups), no compression."""

    name = "rocksdb"
    packages = ["rocksdb-tools"]

    @classmethod
    def missing(cls):
        return None if have("db_bench") else "db_bench is not installed"

    def bench(self, *more):
        o = self.options
        return output(["db_bench", f"--db={self.directory}/db", f"--num={o.keys}", "--key_size=20",
                       f"--value_size={o.value_bytes}", "--compression_type=none", "--statistics=0", *more])

    def start(self):
        self.bench("--benchmarks=fillseq")

    def round(self):
        each = max(1, self.options.keys // self.options.clients)  # a thread; its --duration only looks every 1,000 requests
        text = self.bench("--benchmarks=overwrite,readrandom", "--use_existing_db=1", "--sync=1",
                          f"--threads={self.options.clients}", f"--writes={each}", f"--reads={each}")
        found = dict(RESULT.findall(text))
        if set(found) != {"overwrite", "readrandom"}:
            raise Failed(f"db_bench printed something else than expected: {text[-500:]}")
        return float(found["overwrite"]), float(found["readrandom"])


class Redis(Mutant):
    """A server of its own on a Unix socket, `appendfsync always`; redis-benchmark, one thread, no pipelining."""

    name = "redis"
    packages = ["redis-server", "redis-tools"]
    server = None

    @classmethod
    def missing(cls):
        return None if have("redis-server") and have("redis-benchmark") else "redis-server or redis-benchmark not installed"

    def start(self):
        self.socket = os.path.join(self.directory, "s")
        self.server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.directory, "--appendonly", "yes",
             "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0"], stdout=subprocess.DEVNULL)
        for _ in range(100):
            if os.path.exists(self.socket):
                break
            time.sleep(0.05)
        self.bench("set")

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait()

    def bench(self, what):
        o = self.options
        text = output(["redis-benchmark", "-s", self.socket, "-c", str(o.clients), "-d", str(o.value_bytes),
                       "-r", str(o.keys), "-n", str(o.keys), "-t", what, "--csv"])
        for row in csv.reader(text.splitlines()):
            if row and row[0].lower() == what:
                return float(row[1])
        raise Failed(f"redis-benchmark printed something else than expected: {text[-500:]}")

    def round(self):
        return self.bench("set"), self.bench("get")


class Lmdb(Mutant):
    """A thread for each client and a transaction for each put; also with as many puts to a transaction as clients."""

    name = "lmdb"

    def round(self):
        o = self.options
        out = json.loads(output([o.bounds, "--json", "--only", "lmdb", "--rounds", "1", "--directory", self.directory,
                                 "--clients", str(o.clients), "--value-bytes", str(o.value_bytes),
                                 *(["--smoke"] if o.smoke else [])]))["figures"]
        self.batched = out["lmdb_batched_puts_per_second"]["median"]
        return out["lmdb_puts_per_second"]["median"], out["lmdb_gets_per_second"]["median"]


STORES = [Mutant, RocksDB, Redis, Lmdb]


def compare(options, directory, figures, lock):
    stores = []
    for kind in STORES:
        if kind is not Mutant and options.peers and kind.name not in options.peers:
            continue
        why = kind.missing()
        if why:
            figures.say(f"{kind.name}: skipped, {why}")
            continue
        own = os.path.join(directory, kind.name)
        os.makedirs(own)
        stores.append(kind(options, own))
    puts, gets = {s.name: [] for s in stores}, {s.name: [] for s in stores}
    bare, batched = [], []
    try:
        for store in stores:
            store.start()
        for r in range(options.rounds):
            for store in stores[r % len(stores):] + stores[:r % len(stores)]:
                with lock():
                    put, get = store.round()
                puts[store.name].append(put)
                gets[store.name].append(get)
                if store.name == "mutant":
                    bare.append(store.bare)
                if store.name == "lmdb":
                    batched.append(store.batched)
            figures.say(f"  round {r + 1}: " + ", ".join(f"{n} {puts[n][-1]:.0f} / {gets[n][-1]:.0f}" for n in puts))
    finally:
        for store in stores:
            store.stop()
    figures.say(f"\n{options.value_bytes}-byte values, {options.clients} clients, {options.keys} keys")
    for store in stores:
        figures.add(f"{store.name}: durable puts", puts[store.name], "/s")
    figures.add("lmdb: durable puts, all clients' in one transaction", batched, "/s")
    for store in stores:
        figures.add(f"{store.name}: gets", gets[store.name], "/s")
    for store in stores[1:]:
        target = 1 if store.name == "rocksdb" else None
        figures.ratio(f"mutant against {store.name}: durable puts", puts["mutant"], puts[store.name], target)
        figures.ratio(f"mutant against {store.name}: gets", gets["mutant"], gets[store.name])
    figures.add("bare CAF exchanges", bare, "/s")
    figures.ratio("mutant gets as part of bare CAF exchanges", gets["mutant"], bare, 0.6)
