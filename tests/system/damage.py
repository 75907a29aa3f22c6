#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Flipped bits in a store: a damaged chunk costs one value and says which; a damaged index is refused, nothing is written."""
import os, random

from mutant_system import *

noise = random.Random(20240503)

# Offsets into a record (docs/format.md, "Records").
COUNTER, LENGTH, ADDRESS, HASH, SIGNATURE, PAYLOAD = 8, 24, 32, 64, 96, 160


def new_records(h, work):
    """Does the work and returns what is new in the store, as (address, counter)."""
    before = records(h.store)
    work()
    return [at for at in records(h.store) if at not in before]


def test_a_damaged_chunk():
    with Home() as h:
        h.put("other", noise.randbytes(2 * CHUNK))
        h.put("middling", noise.randbytes(30_000))
        h.put("small", b"in the index")
        others = {key: h.get(key) for key in ("other", "middling", "small")}
        value = noise.randbytes(3 * CHUNK)
        chunks = [at for at in new_records(h, lambda: h.put("broken", value)) if records(h.store)[at][0].payload == CHUNK + 40]
        assert len(chunks) == 3
        noticed = set()
        target = h.path("target")
        for at in chunks:
            places = [PAYLOAD, PAYLOAD + 24, PAYLOAD + noise.randrange(CHUNK), PAYLOAD + CHUNK + 39, COUNTER, COUNTER + 7,
                      LENGTH, 0, 4, 5, 6, 16, 28, ADDRESS]
            for byte in noise.sample(places, 6) + [PAYLOAD + 1000]:
                copies, bit = records(h.store)[at], noise.randrange(8)
                flip(copies, byte, bit)
                before = content_of(h.store)
                got = h.run("get", "broken", "--json", target).expect(INTEGRITY, err=["'broken'", "chunk ", "pad "])
                assert not target.exists()
                noticed.add(got.json["error"]["code"])
                number = int(got.err.split("chunk ")[1].split()[0].rstrip(":,"))
                # The rest of the value, and everything else, is still to be had.
                for n in {0, 1, 2} - {number}:
                    first, last = n * CHUNK, (n + 1) * CHUNK - 1
                    h.run("get", "broken", "--range", f"{first}-{last}").expect(out=value[first:last + 1])
                for key, content in others.items():
                    assert h.get(key) == content
                assert content_of(h.store) == before, "looking has written something"
                flip(copies, byte, bit)
        print("  ", sorted(noticed))
        assert h.get("broken") == value
        # Removed and put again, it is whole again.
        flip(records(h.store)[chunks[1]], PAYLOAD + 5)
        h.run("get", "broken").expect(INTEGRITY)
        h.run("rm", "broken").expect()
        h.put("broken", value)
        assert h.get("broken") == value


def test_a_chunk_that_is_gone():
    with Home() as h:
        h.put("other", noise.randbytes(2 * CHUNK))
        value = noise.randbytes(3 * CHUNK)
        h.put("broken", value)
        segments = sorted(h.store.glob("segment-*"))
        if not segments:
            raise Skip("no segment files in this store")
        os.truncate(segments[-1], 0)
        assert h.run("get", "broken", h.path("target")).expect(INTEGRITY, err=["'broken'", "chunk "])
        assert not h.path("target").exists()
        h.run("ls").expect(out=b"broken\nother\n")


def index_is_refused(h, at, byte, bit=0, what="log"):
    """Flips a bit in every copy of the record `at` = (address, counter); whatever is tried then is refused."""
    copies = records(h.store)[at]
    flip(copies, byte, bit)
    try:
        h.forget_cache()
        before = content_of(h.folder)
        for words in (["get", "first"], ["ls"], ["put", "new"], ["rm", "first"], ["stats"]):
            refused = h.run(*words, "--json", *([h.folder / "target"] if words[0] == "get" else []), stdin=b"1", timeout=60)
            where = f"byte {byte}, bit {bit}: {refused}"
            assert refused.code == INTEGRITY and refused.json["error"]["code"] == "index_corrupt", where
            assert what in refused.err and "estore" in refused.err, "it does not say what to do, " + where
        assert content_of(h.folder) == before, f"something was written: {set(content_of(h.folder)) ^ set(before)}"
    finally:
        flip(copies, byte, bit)
    assert h.get("first") == b"1"


def test_a_damaged_log():
    with Home() as h:
        h.put("first", b"1")
        logs = []
        for n in range(4):
            made = new_records(h, lambda: h.put(f"key {n}", noise.randbytes(300)))
            assert len(made) == 1, made
            logs += made
        # Every place of one in the middle; the last must not pass for the end of the log.
        for byte in (0, 4, 5, 16, LENGTH, ADDRESS, COUNTER, COUNTER + 1, COUNTER + 7, PAYLOAD, PAYLOAD + 24, PAYLOAD + 100):
            index_is_refused(h, logs[1], byte, 1)
        for byte in (PAYLOAD + 30, COUNTER, 5, 0):
            index_is_refused(h, logs[-1], byte, 1)
        assert h.keys() == ["first", "key 0", "key 1", "key 2", "key 3"]


def test_salvaging_a_damaged_log():
    with Home() as h:
        large = noise.randbytes(CHUNK + 100)
        h.put("first", large)
        logs = []
        for n in range(4):
            logs += new_records(h, lambda: h.put(f"key {n}", noise.randbytes(300)))
        h.forget_cache()
        copies = records(h.store)[logs[2]]
        flip(copies, PAYLOAD + 30)
        before = content_of(h.folder)
        h.run("ls").expect(INTEGRITY, err="commit 4")
        lost = ["salvaging", "commit 4", "at commit 3"]
        listed = h.run("ls", "--salvage").expect(err=lost, out=b"first\nkey 0\nkey 1\n")
        assert len(listed.err.splitlines()) == 1, listed
        assert len(h.run("ls", "--salvage", "--json").expect(err=lost).json["keys"]) == 3
        h.run("get", "first", "--salvage").expect(err=lost, out=large)
        h.run("stat", "key 1", "--salvage").expect(err=lost)
        h.run("get", "key 3", "--salvage").expect(NOT_FOUND, err=lost)
        h.run("put", "new", "--salvage", stdin=b"").expect(USAGE)
        assert content_of(h.folder) == before, "salvaging has written something"
        flip(copies, PAYLOAD + 30)
        assert h.run("ls", "--salvage").expect().err == "" and len(h.keys()) == 5


def test_a_damaged_root():
    with Home() as h:
        made = new_records(h, lambda: h.put("first", b"1"))
        assert len(made) == 2
        # The root, which lists the log's addresses, and the first commit, which is the shorter one.
        root = max(made, key=lambda at: records(h.store)[at][0].size)
        for byte in (0, 4, 16, LENGTH, ADDRESS, COUNTER + 1, PAYLOAD, PAYLOAD + 30):
            index_is_refused(h, root, byte, noise.randrange(8), "root")


def test_a_damaged_snapshot():
    if SANITIZED:
        raise Skip("takes half a thousand commits")
    with Home() as h:
        h.put("first", b"1")
        keys = [f"key {i:03}" for i in range(280)]
        for key in keys:
            h.put(key, b"")
        seen = records(h.store)
        h.run("rm", *keys[1:]).expect()  # one commit each: more than half the ring is used, and a snapshot is due
        index = h.run("stats", "--json").expect().json["index"]
        assert index["snapshot_sequence"] > 0 and index["snapshot_parts"] > 0, index
        h.forget_cache()
        assert h.keys() == ["first", "key 000"], "the snapshot has lost something"
        # Which record is the part? The one whose damage is named so.
        fresh = [at for at in records(h.store) if at not in seen]
        said = set()
        for at in sorted(fresh, key=lambda at: -records(h.store)[at][0].size):
            copies = records(h.store)[at]
            flip(copies, PAYLOAD + 40)
            h.forget_cache()
            refused = h.run("ls")
            said.add(f"exit {refused.code}: {refused.err}")
            flip(copies, PAYLOAD + 40)
            if refused.code == INTEGRITY and "snapshot part" in refused.err:
                for byte in (PAYLOAD + 25, COUNTER, 0):
                    index_is_refused(h, at, byte, 1, "snapshot part")
                return
        raise AssertionError(f"no snapshot part found; {index}; {said}")


if __name__ == "__main__":
    main(globals())
