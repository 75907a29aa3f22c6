#!/usr/bin/env python3
# ctest: TIMEOUT 600 LABELS system,ceph
"""A bucket of Ceph's gateway as the store, over a real small cluster: every command, several writers, the gateway killed and
started again and an OSD stopped under load, a bucket that is removed, a key that is revoked, a quota that is used up.

What every test of faults holds to: what was acknowledged is there, every value is whole, and nothing was made up.
"""
import json, os, subprocess, sys, threading, time

from ceph import Load, made_of
from ceph_cluster import CephCluster
from ceph_gateway import CephGateway, gateway_missing
from inject import wrong_clock
from mutant_system import *

cluster = gateway = None


class BucketHome(Home):
    """A home whose store is a prefix of a bucket that nobody else uses."""

    def __init__(self, bucket="films"):
        super().__init__()
        self.options = ["--store", gateway.url(bucket, self.folder.name)]

    def environment(self, extra=None):
        return super().environment({**gateway.environment(), **(extra or {})})


def test_every_command():
    with BucketHome() as h:
        big = os.urandom(2 * CHUNK + 5)
        film = h.path("film", big)
        h.run("put", "film", film).expect()
        h.put("note", b"hello")
        h.put("middle", b"m" * 50_000)
        h.run("get", "film", h.path("back")).expect()
        assert h.path("back").read_bytes() == big
        h.forget_cache()
        assert h.get("middle") == b"m" * 50_000
        h.run("mv", "middle", "centre").expect()
        h.run("rm", "film").expect()
        h.run("purge", "--wipe").expect()
        assert sorted(h.keys()) == ["centre", "note"]
        assert h.run("stats", "--json").expect().json["pads"]["count"] > 3


def test_writers_in_several_processes_lose_no_increment():
    with BucketHome() as h:
        h.put("counter", b"0")
        failures = []

        def add(times):
            try:
                while times:
                    version = h.run("stat", "counter", "--json").expect().json["version"]
                    value = int(h.get("counter"))
                    done = h.run("put", "counter", "--if-version", str(version), stdin=str(value + 1).encode())
                    assert done.code in (OK, PRECONDITION), done
                    times -= done.code == OK
            except BaseException as e:
                failures.append(e)

        threads = [threading.Thread(target=add, args=(4,)) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures, failures
        assert h.get("counter") == b"12"


def test_processes_that_are_killed_lose_nothing():
    chaos = os.path.join(os.path.dirname(__file__), "chaos.py")
    done = subprocess.run([sys.executable, chaos, "--rounds", "12", "--seed", "1"], capture_output=True,
                          env={**os.environ, **gateway.environment(), "MUTANT_STORE": gateway.url("films", "chaos")})
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_what_the_gateway_does_is_found_out_and_nothing_left():
    gateway.make_bucket("tried")
    with BucketHome("tried") as h:
        found = h.run("check-store", h.options[1], "--json").expect().json
        assert found["bucket"] == {"quoted_etags": False, "conditional_delete": False, "versioned": False,
                                   "region": "us-east-1", "left_behind": []}
        assert json.loads(gateway.admin("bucket", "list", "--bucket=tried")) == []


def test_the_gateway_is_killed_and_started_again_under_load():
    with BucketHome() as h:
        load = Load(h, sizes=(300, 60_000))
        for _ in range(3):
            time.sleep(1)
            gateway.kill()
            time.sleep(0.5)
            gateway.start()
        time.sleep(1)
        load.end()


def test_an_osd_stops_and_goes_on_under_load():
    with BucketHome() as h:
        load = Load(h, sizes=(300, 60_000))
        time.sleep(1)
        cluster.stop(2)
        time.sleep(6)
        cluster.go_on(2)
        wait_until(lambda: load.failure or load.commands > 10, 60, "commands that come through")
        load.end()
    cluster.wait_clean()


def test_a_wrong_clock_is_corrected_by_the_servers():
    for offset in (-5 * 3600, 26 * 3600):
        with BucketHome() as h:
            wrong = wrong_clock(offset)
            value = os.urandom(CHUNK + 9)
            h.run("put", "k", stdin=value, env=wrong).expect()
            h.forget_cache()
            assert h.run("get", "k", env=wrong).expect().out == value
            assert h.get("k") == value
            # The gateway does look at the time: what a wrong clock signs first is refused.
            refused = [h.run("stats", "--json", env=env).expect().json["traffic"]["retries"] for env in (wrong, None)]
            assert refused[0] >= 1 and refused[1] == 0, refused


def test_a_bucket_that_goes_is_named():
    gateway.make_bucket("short-lived")
    with BucketHome("short-lived") as h:
        h.put("k", b"v" * 5000)
        gateway.remove_bucket("short-lived")
        h.run("get", "k").expect(UNAVAILABLE, err="there is no bucket short-lived")
        h.run("put", "k", stdin=b"w").expect(UNAVAILABLE, err="there is no bucket short-lived")


def test_a_revoked_key_is_named():
    gateway.admin("user", "create", "--uid=guest", "--display-name=guest", "--access-key=GK", "--secret-key=GS")
    gateway.admin("key", "rm", "--uid=guest", "--access-key=GK", "--key-type=s3")
    with BucketHome() as h:
        h.put("k", b"v")
        keys = {"AWS_ACCESS_KEY_ID": "GK", "AWS_SECRET_ACCESS_KEY": "GS"}
        h.run("get", "k", env=keys).expect(OTHER, err="access key is not known")
        h.run("get", "k", env={"AWS_SECRET_ACCESS_KEY": "wrong"}).expect(OTHER, err="secret key")
        assert h.get("k") == b"v"


def test_a_quota_that_is_used_up_is_a_full_store():
    gateway.make_bucket("narrow")
    with BucketHome("narrow") as h:
        h.put("k", b"v" * 5000)
        gateway.admin("quota", "set", "--quota-scope=bucket", "--uid=t", "--bucket=narrow", "--max-objects=1")
        gateway.admin("quota", "enable", "--quota-scope=bucket", "--uid=t", "--bucket=narrow")
        h.run("put", "more", stdin=os.urandom(9000)).expect(UNAVAILABLE, err="quota")
        assert h.get("k") == b"v" * 5000


if __name__ == "__main__":
    if gateway_missing():
        print(f"skipped: needs Ceph's gateway, and {', '.join(gateway_missing())} is not installed (scripts/test --all "
              f"installs it)")
        sys.exit(77)
    with CephCluster(pg_count=4) as cluster, CephGateway(cluster) as gateway:
        gateway.make_bucket("films")
        main(globals())
