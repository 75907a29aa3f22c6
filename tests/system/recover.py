#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""A store whose index is damaged, recovered into a new one: what can be proven is there, what is lost is named, and the damaged
store stays as it is. (That whatever records are lost the right things are recovered is held by core.index_recover.)"""
import random

from mutant_system import *

noise = random.Random(20260417)


def index_records(h):
    """The newest record of each pad of the index: the root first (it lists 1024 addresses), then commits."""
    newest = {}
    for (address, counter), copies in records(h.store).items():
        if address not in newest or newest[address][0] < counter:
            newest[address] = counter, copies
    small = [copies for _, copies in newest.values() if copies[0].payload < 60_000]
    roots = [copies for copies in small if copies[0].payload > 32_000]
    assert len(roots) == 1, len(roots)
    return roots + [copies for copies in small if copies[0].payload < 2000]


def filled(h):
    """Values in pads and in the index, replaced, renamed and removed ones."""
    values = {f"key {number}": noise.randbytes(50) for number in range(4)}
    values["large"] = noise.randbytes(CHUNK + 100_000)
    for key, value in values.items():
        h.put(key, value)
    h.put("key 1", b"replaced")
    h.run("mv", "key 2", "renamed").expect()
    h.run("rm", "key 3").expect()
    values["key 1"] = b"replaced"
    values["renamed"] = values.pop("key 2")
    del values["key 3"]
    return values


def listing(h, *store):
    return h.run(*store, "ls", "--json").expect().json["keys"]


def recover(h, to, *options):
    return h.run("recover", "--index", f"local:{h.store}", *([f"local:{to}"] if to else []), *options)


def check_copy(h, values, to):
    for key, value in values.items():
        assert h.run("--store", f"local:{to}", "get", "--", key).expect().out == value, key


def test_a_lost_root_costs_nothing():
    with Home() as h:
        values = filled(h)
        before = listing(h)
        root = index_records(h)[0]
        flip(root, 160 + 100)
        seen = content_of(h.store)
        h.run("ls").expect(INTEGRITY)
        told = recover(h, None, "--json").expect().json
        assert told["complete"] and told["lost_commits"] == [] and len(told["damaged"]) == 1, told
        assert "the index root" in told["damaged"][0]
        assert not (h.folder / "new").exists()
        # With what this machine remembers, and without: the log goes back to its beginning.
        for number in range(2):
            to = h.folder / f"new {number}"
            done = recover(h, to, "--json").expect().json
            assert done["complete"] and done["keys"] == len(values) and done["sequence"] == told["sequence"], done
            check_copy(h, values, to)
            assert listing(h, "--store", f"local:{to}") == before, "versions, times or attributes are others"
            h.run("--store", f"local:{to}", "check").expect()
            # It is a store like any other.
            h.run("--store", f"local:{to}", "put", "key 1", stdin=b"newer").expect()
            assert h.run("--store", f"local:{to}", "get", "key 1").expect().out == b"newer"
            h.forget_cache()
        assert content_of(h.store) == seen, "the damaged store was written to"


def test_whatever_record_of_the_index_is_damaged():
    with Home() as h:
        values = filled(h)
        saved = h.folder / "cache"
        shutil.copytree(h.home / "cache", saved)
        lossy = 0
        for number, copies in enumerate(index_records(h)):
            flip(copies, 160 + 40)
            for remembers in (True, False):
                shutil.rmtree(h.home / "cache")
                if remembers:
                    shutil.copytree(saved, h.home / "cache")
                to = h.folder / f"new {number} {remembers}"
                done = recover(h, to, "--json")
                assert done.code in (OK, INTEGRITY), done
                found = done.json
                there = {item["key"] for item in listing(h, "--store", f"local:{to}")}
                lost = found["lost_commits"]
                uncertain = {item["key"] for item in found["uncertain"]}
                assert (done.code == OK) == (not lost) == found["complete"], done
                lossy += bool(lost)
                for key in there - uncertain:
                    check_copy(h, {key: values[key]}, to)
                # A machine that has seen the last commit can prove all but the damaged one: what that put is lost, and what
                # was renamed later, for it may have been the one.
                if remembers and lost:
                    assert len(lost) == 1 and lost[0][0] == lost[0][1], found
                    missing = values.keys() - there
                    assert len(missing - {"renamed"}) <= 1, (missing, found)
                h.run("--store", f"local:{to}", "check").expect()
            flip(copies, 160 + 40)
        assert lossy > 8, lossy
        shutil.rmtree(h.home / "cache")
        assert h.run("ls", "--json").expect().json["keys"]


def test_lost_and_uncertain_values_are_named():
    with Home() as h:
        h.put("a", b"1")
        h.put("b", b"2")
        before = set(records(h.store))
        h.put("c", b"3")
        commit = [at for at, copies in records(h.store).items() if at not in before and copies[0].payload < 2000]
        h.put("d", b"4")
        h.run("mv", "c", "e").expect()
        assert len(commit) == 1
        flip(records(h.store)[commit[0]], 160 + 40)
        told = recover(h, None).expect(INTEGRITY, err="Nothing was written").out.decode()
        for text in ("whole until commit 2; lost: commit 3", "'e' version 5: it was renamed from c", "'a'", "'b'"):
            assert text in told, (text, told)
        new = h.folder / "new"
        recover(h, new).expect(INTEGRITY)
        assert [item["key"] for item in listing(h, "--store", f"local:{new}")] == ["a", "b", "d"]
        # It is another history from there on, and whoever knows the old one is told when it takes the old one's place.
        shutil.rmtree(h.store)
        shutil.copytree(new, h.store)
        h.run("ls").expect(INTEGRITY, err="sync --accept-rollback")
        h.run("sync", "--accept-rollback").expect()
        assert h.keys() == ["a", "b", "d"]


def test_missing_pads_of_values_are_named():
    with Home() as h:
        before = set(records(h.store)) if h.store.exists() else set()
        h.put("large", noise.randbytes(2 * CHUNK))
        chunks = [copies for at, copies in records(h.store).items() if at not in before and copies[0].payload > 65536]
        h.put("other", noise.randbytes(100_000))
        flip(index_records(h)[0], 160 + 100)
        flip(chunks[1], 160 + 5000)
        new = h.folder / "new"
        done = recover(h, new, "--json").expect(INTEGRITY).json
        assert done["lost_commits"] == [] and [item["key"] for item in done["incomplete"]] == ["large"], done
        bad = done["incomplete"][0]
        assert bad["last_byte"] - bad["first_byte"] == CHUNK - 1
        h.run("--store", f"local:{new}", "get", "large", "--range", f"{bad['first_byte']}-{bad['last_byte']}").expect(INTEGRITY)
        h.run("--store", f"local:{new}", "get", "other").expect()


def test_killed_at_any_point_it_is_done_again():
    with Home() as h:
        values = filled(h)
        for number in range(3):
            values[f"more {number}"] = noise.randbytes(2 * CHUNK)
            h.put(f"more {number}", values[f"more {number}"])
        flip(index_records(h)[0], 160 + 100)
        new = h.folder / "new"
        for tenths in range(1, 8):
            child = h.start("recover", "--index", f"local:{h.store}", f"local:{new}")
            try:
                child.wait(timeout=0.02 * tenths * PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            if child.returncode == 0:
                break
        if child.returncode != 0:
            recover(h, new).expect()
        check_copy(h, values, new)
        h.run("--store", f"local:{new}", "check").expect()
        h.run("--store", f"local:{new}", "purge").expect()
        check_copy(h, values, new)


def test_it_writes_to_a_new_store_alone():
    with Home() as h:
        filled(h)
        new = h.folder / "new"
        h.run("--store", f"local:{new}", "put", "mine", stdin=b"x").expect()
        seen = content_of(new)
        recover(h, new).expect(PRECONDITION, err="has an index of this identity already")
        assert content_of(new) == seen
        recover(h, h.store).expect(USAGE, err="both are the same place")
        h.run("recover", f"local:{h.store}").expect(USAGE, err="--index")
        h.run("recover", "--index", f"local:{h.folder / 'none'}").expect(UNAVAILABLE)
        h.run("recover", "--index", "memory:").expect(USAGE)
        # A whole index is recovered, too: a copy.
        whole = recover(h, h.folder / "whole", "--json").expect().json
        assert whole["complete"] and whole["damaged"] == []
    with Home() as h:
        h.run("init").expect()
        recover(h, None).expect(NOT_FOUND, err="nothing of this identity")


if __name__ == "__main__":
    main(globals())
