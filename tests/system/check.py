#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Looking whether what is stored can be read: what is wrong is listed by key and bytes, repaired from a file that is the same
value, or dropped on a word; and a damaged index is told."""
import random

from mutant_system import *

noise = random.Random(20260302)


def chunk_records(h, work):
    """Does the work and returns the chunk records that are new in the store."""
    before = records(h.store)
    work()
    return [copies for at, copies in records(h.store).items() if at not in before and copies[0].payload > 65536]


def test_all_is_well():
    with Home() as h:
        h.run("check").expect(NOT_FOUND, err="nothing is stored yet")
        for key, size in (("empty", 0), ("inline", 100), ("small", 20_000), ("large", 2 * CHUNK + 5)):
            h.put(key, noise.randbytes(size))
        seen = content_of(h.store)
        done = h.run("check", "--json").expect().json
        assert (done["values"], done["chunks"], done["bytes"]) == (4, 4, 2 * CHUNK + 20_105), done
        assert done["damaged_values"] == 0 and done["damaged"] == []
        assert h.run("check", "large", "s", "--json").expect().json["values"] == 2
        assert b"commit 4:" in h.run("check", "--index").expect().out
        h.run("check", "nothing").expect(NOT_FOUND, err="'nothing'")
        assert content_of(h.store) == seen, "looking has written something"
        for words in (["--data", "--index"], ["--yes"], ["--sample", "0"], ["--sample", "101"], ["--sample", "x"],
                      ["--index", "large"], ["--repair-from", "x"], ["--repair-from", "x", "large", "--data"]):
            h.run("check", *words).expect(USAGE)


def test_damage_is_listed_by_key_and_bytes():
    with Home() as h:
        values = {key: noise.randbytes(size) for key, size in (("a", 4 * CHUNK), ("b", CHUNK + 7), ("c", 100_000))}
        chunks = {key: chunk_records(h, lambda: h.put(key, values[key])) for key in values}
        flip(chunks["a"][1], 160 + 1000)
        flip(chunks["a"][3], 160 + CHUNK)
        flip(chunks["c"][0], 160 + 30)
        done = h.run("check", "--json").expect(INTEGRITY).json
        assert [item["key"] for item in done["damaged"]] == ["a", "c"] and done["values"] == 3, done
        bad = done["damaged"][0]["damaged"]
        # The record of a chunk does not say which one it is: so what is told is held against what a get can read.
        assert len(bad) == 2, done
        for number in range(4):
            first, last = number * CHUNK, (number + 1) * CHUNK - 1
            told = {"chunk": number, "first_byte": first, "last_byte": last} in [
                {name: b[name] for name in ("chunk", "first_byte", "last_byte")} for b in bad]
            got = h.run("get", "a", "--range", f"{first}-{last}")
            got.expect(INTEGRITY if told else OK)
        assert done["damaged"][1]["damaged"][0]["last_byte"] == 99_999
        assert done["damaged_bytes"] == 2 * CHUNK + 100_000
        shown = h.run("check", "--data").expect(INTEGRITY).out.decode()
        assert f"a: bytes {bad[0]['first_byte']} to {bad[0]['last_byte']} (chunk {bad[0]['chunk']})" in shown, shown
        assert "2 values damaged" in shown
        h.run("check", "b").expect()
        h.run("check", "--index").expect()
        # A sample of all chunks finds it, one of few need not.
        h.run("check", "--sample", "100").expect(INTEGRITY)
        few = h.run("check", "--sample", "0.0001", "--json").json
        assert few["chunks"] <= 2
        # What is found is remembered: the same put writes anew what is damaged, though its headers look well.
        again = h.run("put", "c", h.path("c", values["c"]), "--json").expect().json
        assert again["chunks_written"] == 1
        h.run("check", "c").expect()


def test_repair_from_a_file():
    with Home() as h:
        value = noise.randbytes(3 * CHUNK + 11)
        file = h.path("file", value)
        chunks = chunk_records(h, lambda: h.run("put", "key", file, "--attribute", "x-a=1").expect())
        before = h.run("stat", "key", "--json").expect().json
        assert b"nothing was written" in h.run("check", "--repair-from", file, "key").expect().out
        assert h.run("stat", "key", "--json").expect().json["version"] == before["version"]
        flip(chunks[0], 160 + 5)
        flip(chunks[2], 160 + 4000)
        for other, message in ((value[:-1], "bytes, not"), (value + b"x", "bytes, not"),
                               (value[:100] + b"?" + value[101:], "differs in bytes 0 to"), (b"", "bytes, not")):
            h.run("check", "--repair-from", h.path("other", other), "key").expect(USAGE, err=["not the same value", message])
        h.run("check", "--repair-from", h.path("none"), "key").expect(OTHER, err="No such file")
        h.run("check", "--repair-from", file, "no key").expect(NOT_FOUND)
        h.run("check", "key").expect(INTEGRITY)
        os.utime(file, (1, 1))
        done = h.run("check", "--repair-from", file, "key", "--json").expect().json
        assert (done["chunks_written"], done["chunks_kept"]) == (2, 2), done
        h.run("check", "key").expect()
        assert h.get("key") == value
        # What it says about itself stayed: it is the same value.
        assert h.run("stat", "key", "--json").expect().json["attributes"] == before["attributes"]


def test_drop_damaged():
    with Home() as h:
        value = noise.randbytes(100_000)
        chunks = chunk_records(h, lambda: h.put("bad", value))
        h.put("good", value)
        assert h.run("check", "--drop-damaged").expect().code == OK
        flip(chunks[0], 160 + 5)
        h.run("check", "--drop-damaged").expect(INTEGRITY, err="--drop-damaged --yes")
        assert h.keys() == ["bad", "good"]
        done = h.run("check", "--drop-damaged", "--yes", "--json").expect(INTEGRITY).json
        assert done["dropped"] == 1
        assert h.keys() == ["good"]
        h.run("check").expect()


def test_a_damaged_index_is_told_whatever_is_remembered_of_it():
    with Home() as h:
        for number in range(5):
            h.put(f"key {number}", noise.randbytes(50))
        # A commit's record. What this machine remembers of the index covers it, so that other commands do not look.
        commits = [copies for (_, counter), copies in records(h.store).items() if copies[0].payload < 2000 and counter == 1]
        for number in range(3):
            h.run("ls").expect()
        h.run("check", "--index").expect()
        broken = 0
        for copies in commits:
            flip(copies, 160 + 30)
            done = h.run("check", "--index")
            if done.code != OK:
                done.expect(INTEGRITY, err="the index: ")
                h.run("check").expect(INTEGRITY, err="the index: ")
                broken += 1
            flip(copies, 160 + 30)
        assert broken >= 5, f"{broken} of {len(commits)}"
        h.run("check").expect()


if __name__ == "__main__":
    main(globals())
