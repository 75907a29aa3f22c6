"""One large random file in and out, with mutant and with its peers, in turn within every round.

Whole commands are timed, from process start to exit. What mutant puts is durable when it returns, and so is a file that it
gets; every peer is followed by a sync of the file system, timed with it. Every copy is compared with the source. A first
round is not counted. "cold": nothing of what the peer keeps is in the page cache.
"""

import hashlib
import json
import os
import time

from peers import PEERS, Mutant
from tools import Failed, drop_cached, file_system, output, sync_seconds


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "blake2b").hexdigest()


def make_file(path, size):
    with open(path, "wb") as f:
        left = size
        while left:
            n = min(left, 1 << 24)
            f.write(os.urandom(n))
            left -= n
        f.flush()
        os.fsync(f.fileno())


TARGETS = {("rclone", "put"): 7, ("rclone", "get"): 2.5, ("restic", "put"): 6, ("restic", "get"): 4}


class Rows(dict):
    """(peer, what) -> seconds, one a round."""

    def note(self, peer, what, seconds):
        self.setdefault((peer.name, what), []).append(seconds)


def one_round(peer, source, want, directory, rows):
    out = os.path.join(directory, "out")
    peer.prepare()
    sync_seconds(directory)
    took = peer.put(source)
    rows.note(peer, "put", took if peer.durable else took + sync_seconds(directory))
    for what in ("get", "show", "cold"):
        peer.reopen()
        if os.path.exists(out):
            os.remove(out)
        sync_seconds(directory)
        if what == "cold":
            drop_cached(peer.directory)
        if what != "get":
            rows.note(peer, what, peer.show())
            continue
        took = peer.get(out)
        rows.note(peer, "get unsynced", took)
        rows.note(peer, "get", took if peer.durable else took + sync_seconds(directory))
        if digest(out) != want:
            raise Failed(f"{peer.name}: the copy differs from the source")


def bounds(program, directory, rows):
    """The rates of sealing, opening, and of the disk past the page cache in this very round."""
    now = json.loads(output([program, "--json", "--rounds", "1", "--only", "crypto,disk", "--directory", directory]))
    for what, key in (("seal", "seal"), ("open", "open"), ("disk write", "disk_write"), ("disk read", "disk_read")):
        rows.setdefault(("bound", what), []).append(now[key + "_bytes_per_second"])


def write_plain(source, directory, rows):
    """What writing the same bytes costs by itself: the kernel's own copy within the file system, synced."""
    out = os.path.join(directory, "out")
    start = time.monotonic()
    with open(source, "rb") as a, open(out, "wb") as b:
        while piece := a.read(4 << 20):
            b.write(piece)
        b.flush()
        os.fsync(b.fileno())
    rows.setdefault(("bound", "write"), []).append(time.monotonic() - start)
    os.remove(out)


def tell(rows, names, size, figures):
    rate = {key: [size / t for t in v] for key, v in rows.items() if key[0] != "bound"}
    what = {"put": "put, durable", "get": "get to a file, durable", "get unsynced": "get to a file, not synced",
            "show": "get to /dev/null, warm", "cold": "get to /dev/null, cold"}
    for name in names:
        for key, words in what.items():
            if key == "get unsynced" and name == "mutant":
                continue
            figures.add(f"{name}: {words}", [v / 1e6 for v in rate[name, key]], "MB/s")
    for name in names[1:]:
        for key, words in what.items():
            mine = "get" if key == "get unsynced" else key
            figures.ratio(f"mutant against {name}: {words}", rate["mutant", mine], rate[name, key], TARGETS.get((name, key)))
    seal, opening = rows["bound", "seal"], rows["bound", "open"]
    writing = [size / o + t for o, t in zip(opening, rows["bound", "write"])]
    figures.add("bound: sealing on all cores", [v / 1e6 for v in seal], "MB/s")
    figures.add("bound: opening on all cores", [v / 1e6 for v in opening], "MB/s")
    figures.add("bound: writing the same bytes, synced", [size / t / 1e6 for t in rows["bound", "write"]], "MB/s")
    disk_write, disk_read = rows["bound", "disk write"], rows["bound", "disk read"]
    figures.add("bound: the disk, direct writes, synced", [v / 1e6 for v in disk_write], "MB/s")
    figures.add("bound: the disk, direct reads", [v / 1e6 for v in disk_read], "MB/s")
    figures.ratio("mutant put as part of sealing", rate["mutant", "put"], seal, 0.65)
    figures.ratio("mutant put as part of the disk", rate["mutant", "put"], disk_write)
    figures.ratio("mutant get to /dev/null, warm, as part of opening", rate["mutant", "show"], opening, 0.40)
    figures.ratio("mutant get to /dev/null, cold, as part of the disk", rate["mutant", "cold"], disk_read, 0.85)
    figures.ratio("mutant get to a file as part of opening plus writing", rate["mutant", "get"], [size / t for t in writing])


def compare(options, directory, figures, lock):
    Mutant.program = options.mutant
    peers = [Mutant(directory)]
    for kind in PEERS:
        if options.peers and kind.name not in options.peers:
            continue
        why = kind.missing()
        if why:
            figures.say(f"{kind.name}: skipped, {why}")
        else:
            peers.append(kind(directory))
    size = options.size_mib << 20
    source = os.path.join(directory, "source")
    make_file(source, size)
    want = digest(source)
    rows = Rows()
    figures.say(file_system(directory))
    try:
        with lock():
            for peer in peers:
                one_round(peer, source, want, directory, Rows())
        for r in range(options.rounds):
            order = peers[r % len(peers):] + peers[:r % len(peers)]  # nobody always comes after the same one
            for peer in order:
                with lock():
                    one_round(peer, source, want, directory, rows)
            with lock():
                bounds(options.bounds, directory, rows)
                write_plain(source, directory, rows)
            figures.say(f"  round {r + 1}: " + ", ".join(f"{n} {w} {v[-1]:.2f}" for (n, w), v in rows.items()
                                                         if n != "bound" and w != "get unsynced"))
    finally:
        for peer in peers:
            peer.close()
    figures.say(f"\n{options.size_mib} MiB of random bytes, source in the page cache")
    tell(rows, [p.name for p in peers], size, figures)
