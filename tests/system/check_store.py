#!/usr/bin/env python3
# ctest: TIMEOUT 180 LABELS system
"""mutant check-store: what it says of every kind of store, that it leaves nothing behind, and what it refuses."""
import json, os, signal

from mutant_system import *
from node import Node, url_of
from small_s3 import SmallS3

os.environ.update(AWS_EC2_METADATA_DISABLED="true")
for name in [n for n in os.environ if n.startswith("AWS_") and n != "AWS_EC2_METADATA_DISABLED"]:
    del os.environ[name]


def expect_kept(found, bucket=None):
    assert (found["write_rule"], found["races"], found["reads"]) == ("kept", "kept", "kept"), found
    for kind in ("put", "get", "header"):
        latency = found["latency"][kind]
        assert latency["count"] >= 1 and 0 < latency["p50_ns"] <= latency["p99_ns"], found
    assert all(rate > 0 for rate in found["rate"].values()), found
    assert found.get("bucket") == bucket, found


def pads_of(h):
    return h.run("stats", "--json").expect().json["pads"]["count"]


def test_a_directory_and_memory():
    with Home() as h:
        h.put("k", b"v" * 5000)
        before = pads_of(h)
        expect_kept(h.run("check-store", f"local:{h.store}", "--json").expect().json)
        assert pads_of(h) == before
        expect_kept(h.run("check-store", "memory:", "--json").expect().json)
        text = h.run("check-store", f"local:{h.store}").expect().out.decode()
        for word in ("write rule", "races", "latency", "p99", "4 MiB", "puts/s"):
            assert word in text, text
        assert h.get("k") == b"v" * 5000


def test_a_node():
    with Home() as h, Home() as client:
        h.put("k", b"v")
        node = Node(h, h.store)
        try:
            expect_kept(client.run("check-store", url_of([node]), "--json").expect().json)
        finally:
            node.stop()
        assert pads_of(h) == 2      # the root and a commit
        assert not client.home.exists()


def test_a_bucket_of_every_kind():
    for quoted, conditional in ((True, False), (False, True)):
        with SmallS3(quoted_etags=quoted, conditional_delete=conditional) as s3, Home() as h:
            h.options = ["--store", s3.url("a")]
            h.run("put", "k", stdin=b"v", env=s3.environment()).expect()
            before = dict(s3.objects)
            asked = sum(s3.requests.values())
            found = h.run("check-store", s3.url("a"), "--json", env=s3.environment()).expect().json
            expect_kept(found, {"quoted_etags": quoted, "conditional_delete": conditional, "versioned": False,
                                "region": "us-east-1", "left_behind": []})
            assert s3.objects == before
            counted = sum(found["traffic"]["requests"].values())
            assert counted <= sum(s3.requests.values()) - asked, (found, s3.requests)
            assert found["traffic"]["sent_bytes"] > 4 * CHUNK


def test_the_probe_is_made_again_and_its_outcome_remembered():
    with SmallS3() as s3, Home() as h:
        h.options = ["--store", s3.url()]
        h.run("put", "k", stdin=b"1", env=s3.environment()).expect()
        s3.quoted = False       # the server was replaced by one with other ways
        h.run("check-store", s3.url(), env=s3.environment()).expect()
        s3.requests.clear()
        h.run("put", "k", stdin=b"2", env=s3.environment()).expect()
        assert sum(s3.requests.values()) < 10, s3.requests     # no probe
        memory, = (json.loads(path.read_bytes()) for path in (h.home / "cache").glob("bucket-*"))
        assert memory["quoted_etags"] is False


def test_a_bucket_that_breaks_the_rule_is_named():
    for ignored, words in (("none-match", "If-None-Match"), ("match", "If-Match")):
        with SmallS3(ignore_conditions=[ignored]) as s3, Home() as h:
            done = h.run("check-store", s3.url(), "--json", env=s3.environment()).expect(OTHER)
            assert done.json["error"]["code"] == "unsupported" and words in done.json["error"]["message"], done
            assert not s3.objects
    with SmallS3() as s3, Home() as h:
        # It keeps conditions while it is probed, and later no more: found by the rule itself.
        def later(handler):
            if handler.command == "PUT" and ".mutant-probe" not in handler.path:
                s3.ignored = {"none-match", "match"}
        s3.respond = later
        h.run("check-store", s3.url(), env=s3.environment()).expect(OTHER, err="breaks the write rule")
        assert not s3.objects


def test_what_may_not_be_removed_is_named():
    with SmallS3(conditional_delete=True) as s3, Home() as h:
        s3.denied = {"DELETE"}
        found = h.run("check-store", s3.url("a"), "--json", env=s3.environment()).expect().json["bucket"]
        assert sorted(found["left_behind"]) == sorted(s3.objects), (found, s3.objects.keys())
        assert not found["conditional_delete"], found
        done = h.run("check-store", s3.url("a"), env=s3.environment()).expect()
        assert b"left behind" in done.out and b"may not remove" in done.out, done


def test_an_interrupted_check_leaves_nothing():
    with SmallS3(delay=0.05) as s3, Home() as h:
        child = h.start("check-store", s3.url(), env=s3.environment())
        wait_until(lambda: len(s3.objects) > 12, what="some records of the check")
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60 * PATIENCE)
        assert child.returncode == INTERRUPTED
        assert not s3.objects


def test_what_goes_wrong_is_said():
    with Home() as h:
        h.run("check-store", f"local:{h.folder}/none").expect(UNAVAILABLE, err="there is no store")
        assert not (h.folder / "none").exists() and not h.home.exists()
        h.run("check-store", "film:x").expect(OTHER, err="film")
        h.run("check-store", "s3:x").expect(USAGE, err="bucket")
        h.run("check-store").expect(USAGE, err="URL")
        h.run("check-store", "caf://127.0.0.1:1", "--connect-timeout", "1").expect(UNAVAILABLE, err="127.0.0.1:1")
    with SmallS3() as s3, Home() as h:
        s3.denied = {"DELETE", "PUT"}
        h.run("check-store", s3.url(), env=s3.environment()).expect(OTHER, err="policy")
        h.run("check-store", s3.url().replace("bucket", "other"), env=s3.environment()).expect(UNAVAILABLE, err="no bucket")
        h.run("check-store", s3.url()).expect(OTHER, err="AWS_ACCESS_KEY_ID")


if __name__ == "__main__":
    main(globals())
