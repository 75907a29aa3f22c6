#!/usr/bin/env python3
# ctest: TIMEOUT 600
"""Several processes on one store: random operations, kill -9 at random, then everything is compared with what was acknowledged.

  chaos.py [--rounds N] [--seed N] [--processes N]        the program under test is $MUTANT

In every round each process runs one command on one of a few keys; some are killed after a random time. A value says in every
16 bytes which put it is of, so a mixture shows. Checked: a get returns one put's value whole, and one that had begun before
the get ended; at the end no acknowledged change is missing (a version that was answered is never above the key's last one,
unless the key was removed since), purge finds what the killed left, and its result is compared again.
"""
import argparse, concurrent.futures, json, os, random, shutil, signal, subprocess, sys, tempfile, threading, time

SIZES = [0, 1, 100, 1024, 1025, 4000, 70_000, 300_000, 5_000_000, 9_000_000]
BLOCK = 16


def content(put_id, size):
    """16-byte blocks, each with the put's number and its own."""
    head = (b"%08x" % put_id)
    count = size // BLOCK + 1
    if count > 4096:  # long values repeat a page: cheap to make, still one put's
        page = b"".join(head + b"%08x" % i for i in range(4096))
        return (page * (count // 4096 + 1))[:size]
    return b"".join(head + b"%08x" % i for i in range(count))[:size]


class Model:
    def __init__(self):
        self.lock = threading.Lock()
        self.puts = {}          # put id -> (key, size, started)
        self.acknowledged = []  # (key, kind, version or None, started, ended, put id)
        self.unknown = []       # the same, for those that were killed or failed without a clear answer
        self.next_id = 1


class Chaos:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.model = Model()
        self.folder = tempfile.mkdtemp(prefix="mutant-chaos-")
        self.base = [os.environ["MUTANT"], "--home", os.path.join(self.folder, "home"), "--json"]
        self.keys = ["key %d/ü" % i for i in range(6)]
        self.kills = 0

    def run(self, words, kill_after=None, stdin=None):
        child = subprocess.Popen(self.base + words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        timer = None
        if kill_after is not None:
            timer = threading.Timer(kill_after, child.send_signal, [signal.SIGKILL])
            timer.start()
        out, err = child.communicate(stdin)
        if timer:
            timer.cancel()
        return child.returncode, out, err

    def fail(self, what):
        print(f"FAILED (seed {self.args.seed}): {what}\nthe store is left in {self.folder}", flush=True)
        os._exit(1)

    def one(self, plan):
        kind, key, size, kill_after, scratch = plan
        m = self.model
        started = time.monotonic()
        if kind == "put":
            with m.lock:
                put_id = m.next_id
                m.next_id += 1
                m.puts[put_id] = (key, size, started)
            path = os.path.join(self.folder, scratch)
            with open(path, "wb") as f:
                f.write(content(put_id, size))
            code, out, err = self.run(["put", key, path], kill_after)
            ended = time.monotonic()
            with m.lock:
                if code == 0:
                    m.acknowledged.append((key, "put", json.loads(out)["version"], started, ended, put_id))
                else:
                    m.unknown.append((key, "put", None, started, ended, put_id))
            # 4: another put of the same key took over an unfinished upload. 1, 130, -9: stopped.
            if code not in (0, 4, -9):
                self.fail(f"put {key!r} of {size} bytes: exit {code}: {out[-300:]} {err[-300:]}")
        elif kind == "rm":
            code, out, err = self.run(["rm", key], kill_after)
            ended = time.monotonic()
            with m.lock:
                (m.acknowledged if code == 0 else m.unknown).append((key, "rm", None, started, ended, None))
            if code not in (0, 3, -9):
                self.fail(f"rm {key!r}: exit {code}: {out[-300:]} {err[-300:]}")
        elif kind == "purge":  # beside puts that are not finished
            code, out, err = self.run(["purge"], kill_after)
            if code not in (0, -9):
                self.fail(f"purge: exit {code}: {out[-300:]} {err[-300:]}")
        else:
            target = os.path.join(self.folder, scratch + ".out")
            code, out, err = self.run(["get", key, target], kill_after)
            ended = time.monotonic()
            if code == 0:
                self.check_value(key, open(target, "rb").read(), ended, json.loads(out).get("size"))
            elif code not in (3, 4, -9):
                self.fail(f"get {key!r}: exit {code}: {out[-300:]} {err[-300:]}")

    def check_value(self, key, value, ended, size=None):
        """The put that the value is of; None for a value too short to tell."""
        if size is not None and size != len(value):
            self.fail(f"get {key!r}: said {size} bytes and wrote {len(value)}")
        if len(value) < 8:
            if not any(k == key and s == len(value) for k, s, _ in self.model.puts.values()):
                self.fail(f"get {key!r}: {len(value)} bytes that nobody put")
            return None
        put_id = int(value[:8], 16)
        with self.model.lock:
            known = self.model.puts.get(put_id)
        if known is None or known[0] != key or known[2] > ended or value != content(put_id, known[1]):
            self.fail(f"get {key!r}: {len(value)} bytes beginning {value[:32]!r} are not what put {known} gave")
        return put_id

    def compare(self):
        m = self.model
        for key in self.keys:
            code, out, _ = self.run(["stat", key])
            if code not in (0, 3):
                self.fail(f"stat {key!r}: exit {code}: {out[-300:]}")
            item = json.loads(out) if code == 0 else {}
            version = item.get("version", 0) if code == 0 and "chunks" in item else 0
            puts = [a for a in m.acknowledged if a[0] == key and a[1] == "put"]
            removals = [a for a in m.acknowledged + m.unknown if a[0] == key and a[1] == "rm"]
            newest = max(puts, key=lambda a: a[2], default=None)
            if newest and newest[2] > version:
                # Only a removal that was not over before this put began can have taken it away.
                if version != 0 or not any(r[4] > newest[3] for r in removals):
                    self.fail(f"{key!r} is at version {version}, but a put was answered with version {newest[2]}")
            if version == 0:
                continue
            target = os.path.join(self.folder, "compare.out")
            code, out, err = self.run(["get", key, target])
            if code != 0:
                self.fail(f"get {key!r} at the end: exit {code}: {out[-300:]} {err[-300:]}")
            put_id = self.check_value(key, open(target, "rb").read(), time.monotonic())
            exact = [a for a in puts if a[2] == version]
            if exact and put_id is not None and exact[0][5] != put_id:
                self.fail(f"{key!r} at version {version} holds put {put_id}, not put {exact[0][5]}")

    def go(self):
        began = time.monotonic()
        self.run(["put", "first", os.devnull])
        with concurrent.futures.ThreadPoolExecutor(self.args.processes) as pool:
            for number in range(self.args.rounds):
                plans = []
                for process in range(self.args.processes):
                    kind = self.random.choices(["put", "get", "rm", "purge"], [12, 6, 2, 1])[0]
                    kill = self.random.uniform(0.0, 0.08) if self.random.random() < 0.25 else None
                    self.kills += kill is not None
                    size = self.random.choices(SIZES, [1, 1, 3, 2, 2, 4, 4, 3, 2, 1])[0]
                    plans.append((kind, self.random.choice(self.keys), size, kill, f"p{process}"))
                list(pool.map(self.one, plans))
                if number % 50 == 49:
                    self.compare()
        self.compare()
        code, out, err = self.run(["purge"])
        if code != 0:
            self.fail(f"purge: exit {code}: {out[-300:]} {err[-300:]}")
        found = json.loads(out)
        self.compare()
        code, out, _ = self.run(["purge", "--dry-run"])
        again = json.loads(out)
        if code != 0 or again.get("leaked_pads") != 0:
            self.fail(f"a second purge still finds leaked pads: {again}")
        print(f"chaos: {self.args.rounds} rounds of {self.args.processes} processes, {self.kills} to be killed, "
              f"{len(self.model.acknowledged)} changes acknowledged, {time.monotonic() - began:.1f} s, seed {self.args.seed}; "
              f"purge found {found.get('leaked_pads')} leaked pads")
        shutil.rmtree(self.folder)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=300)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--processes", type=int, default=4)
    Chaos(p.parse_args()).go()


main()
