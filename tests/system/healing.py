#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""A put makes the value whole: what a get found damaged, in another process, is written anew, whatever way the value comes."""
import random

from mutant_system import *

noise = random.Random(20240711)
PAYLOAD = 160


def chunk_records(h, least):
    """Records of values in the store, by what their payload is at least, large ones last."""
    found = records(h.store)
    return sorted((at for at in found if found[at][0].payload >= least), key=lambda at: found[at][0].payload)


def flip_in(h, at):
    flip(records(h.store)[at], PAYLOAD + 24 + noise.randrange(100), noise.randrange(8))


def put_from(h, way, key, value):
    """In the way named: from a file, from a pipe, or with something else at the front."""
    if way == "pipe":
        return h.run("put", "--json", key, stdin=value).expect().json
    return h.run("put", "--json", key, h.path("source", value)).expect().json


def test_a_put_heals_what_a_get_found():
    # In segment files; in LMDB's own; one that is alone in its value.
    for size, least in ((3 * CHUNK - 1000, CHUNK), (CHUNK + 50_000, 50_000), (40_000, 40_000)):  # roots are smaller
        for way in ("file", "pipe", "changed"):
            with Home() as h:
                value = noise.randbytes(size)
                h.put("other", b"something")
                put_from(h, way, "film", value)
                hit = [at for at in chunk_records(h, least)][:2]   # more than a get comes to know of at once
                for at in hit:
                    flip_in(h, at)
                h.run("get", "film", h.path("target")).expect(INTEGRITY)
                assert not h.path("target").exists()
                if way == "changed" and size > CHUNK:
                    value = value[:size - 1] + bytes([value[-1] ^ 1])
                healed = put_from(h, way, "film", value)
                assert healed["chunks_written"] >= len(hit), (size, way, healed)
                h.run("get", "film", h.path("target")).expect()
                assert h.path("target").read_bytes() == value, (size, way)
                again = put_from(h, way, "film", value)
                assert again["chunks_written"] == 0 and again["bytes_kept"] == size, again


def test_verifying_finds_it_without_a_get_and_a_lost_memory_does_not_matter_then():
    with Home() as h:
        value = noise.randbytes(2 * CHUNK)
        source = h.path("source", value)
        h.run("put", "film", source).expect()
        flip_in(h, chunk_records(h, CHUNK)[0])
        blind = h.run("put", "--json", "film", source).expect().json
        assert blind["chunks_kept"] == 2, "only reading shows it: if this has changed, so may --verify"
        h.run("get", "film", h.path("target")).expect(INTEGRITY)
        h.forget_cache()
        healed = h.run("put", "--json", "--verify", "film", source).expect().json
        assert (healed["chunks_written"], healed["chunks_kept"]) == (1, 1), healed
        assert h.get("film") == value


def test_a_small_value_from_many_puts_is_healed_too():
    with Home() as h:
        values = {f"key {i}": noise.randbytes(5000) for i in range(12)}
        for key, value in values.items():
            h.put(key, value)
        for at in chunk_records(h, 5000)[:4]:
            flip_in(h, at)
        for key in values:
            if h.run("get", key).code == INTEGRITY:
                h.put(key, values[key])
        for key, value in values.items():
            assert h.get(key) == value
        # The pads that are damaged are free by now, and in nobody's way.
        for i in range(12):
            h.put(f"new {i}", noise.randbytes(5000))
            h.run("get", f"new {i}").expect()


def test_what_is_remembered_is_no_secret_given_away_and_no_obstacle():
    with Home() as h:
        value = noise.randbytes(2 * CHUNK)
        source = h.path("source", value)
        h.run("put", "film", source).expect()
        flip_in(h, chunk_records(h, CHUNK)[1])
        h.run("get", "film", h.path("target")).expect(INTEGRITY)
        lists = list((h.home / "cache").glob("*.damaged"))
        assert len(lists) == 1 and lists[0].stat().st_mode & 0o777 == 0o600
        noted = lists[0].read_bytes()
        for spoiled in (b"", b"MUTDAMG1" + b"x" * 56, b"garbage"):
            lists[0].write_bytes(spoiled)
            h.run("put", "film", source).expect()
            h.run("ls").expect(out=b"film\n")
        h.run("get", "film", h.path("target")).expect(INTEGRITY)
        for spoiled in (noted[:20] + noted, noted + noted):   # the second has the entry, and something behind it
            lists[0].write_bytes(spoiled)
            h.run("put", "film", source).expect()
        assert h.get("film") == value


if __name__ == "__main__":
    main(globals())
