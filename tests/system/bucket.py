#!/usr/bin/env python3
# ctest: TIMEOUT 300 LABELS system
"""A bucket as the store: every command against a small S3 server with the ways that servers have (small_s3.py), with seeded
faults, with credentials of every kind, and with all that goes wrong between a client and a bucket."""
import datetime, json, os, socket, subprocess, sys, threading, time

from mutant_system import *
from small_s3 import Faults, SmallS3

os.environ.update(AWS_EC2_METADATA_DISABLED="true")
for name in [n for n in os.environ if n.startswith("AWS_") and n != "AWS_EC2_METADATA_DISABLED"]:
    del os.environ[name]


class BucketHome(Home):
    """A home whose store is a prefix of the bucket."""

    def __init__(self, s3, prefix="", environment=None, **options):
        super().__init__()
        self.s3 = s3
        self.options = ["--store", s3.url(prefix, **options)]
        self.given = s3.environment() if environment is None else environment

    def environment(self, extra=None):
        return super().environment({**self.given, **(extra or {})})


def test_every_command_on_every_kind_of_server():
    for how in ({}, {"quoted_etags": False, "absent_if_match": 412}, {"conditional_delete": True}):
        with SmallS3(page=7, **how) as s3, BucketHome(s3, "a/b") as h:
            big = os.urandom(2 * CHUNK + 5)
            film = h.path("film", big)
            h.run("put", "film", film).expect()
            h.put("note", b"hello")
            h.put("middle", b"m" * 50_000)
            assert sorted(h.keys()) == ["film", "middle", "note"]
            h.run("get", "film", h.path("back")).expect()
            assert h.path("back").read_bytes() == big
            assert h.get("middle") == b"m" * 50_000
            h.run("get", "film", "--range", f"{CHUNK - 3}-{CHUNK + 3}").expect(out=big[CHUNK - 3:CHUNK + 4])
            changed = big[:CHUNK] + b"x" + big[CHUNK + 1:]
            film.write_bytes(changed)
            h.run("put", "film", film).expect()
            h.forget_cache()
            assert h.get("film") == changed
            h.run("mv", "middle", "centre").expect()
            h.run("rm", "film").expect()
            h.run("purge").expect()
            stats = h.run("stats", "--json").expect().json
            assert stats["pads"]["count"] == len([n for n, (content, *_) in s3.objects.items() if len(content) >= 160])
            # Seven objects to a page; the first request reads the root.
            asked = stats["traffic"]["requests"]
            assert asked["list"] == -(-len(s3.objects) // 7) and asked["get"] >= 1 and "put" not in asked, stats
            assert "made again" not in h.run("stats").expect().out.decode()
            assert all(name.startswith("a/b/") for name in s3.objects)
            h.run("get", "film").expect(NOT_FOUND)
            assert h.get("centre") == b"m" * 50_000


def test_faults_of_every_kind_lose_nothing():
    for seed, share in enumerate(({"conflict": 0.2}, {"before": 0.15}, {"after": 0.15}, {"slow": 0.2}, {"drop": 0.15},
                                  {"short": 0.2}, {"late": 0.4},
                                  {kind: 0.04 for kind in Faults.KINDS})):
        with SmallS3() as s3, BucketHome(s3) as h:
            h.put("first", b"1")     # with the probe behind it
            s3.faults = Faults(seed, **share)
            acknowledged = {}
            for number in range(6):
                key, value = f"k{number % 3}", os.urandom((40, 60_000, CHUNK + 9)[number % 3])
                done = h.run("put", key, stdin=value)
                if done.code == OK:
                    acknowledged[key] = value
                else:
                    assert done.code == UNAVAILABLE, done
                    acknowledged.pop(key, None)     # the old or the new one; told apart below would be a guess
            happened = dict(s3.faults.done)
            s3.faults = Faults()
            h.forget_cache()
            for key, value in acknowledged.items():
                assert h.get(key) == value, (share, happened)
            assert happened and acknowledged, (share, happened)


def test_writers_at_once_lose_no_increment():
    with SmallS3() as s3, BucketHome(s3) as h:
        h.put("counter", b"0")
        s3.faults = Faults(5, conflict=0.05, after=0.03)

        def add(times):
            while times:
                at = h.run("stat", "counter", "--json")
                got = h.run("get", "counter")
                if at.code or got.code:
                    continue
                done = h.run("put", "counter", "--if-version", str(at.json["version"]), stdin=str(int(got.out) + 1).encode())
                if done.code == OK:
                    times -= 1
                elif done.code == UNAVAILABLE:
                    raise AssertionError(f"unknown outcome: {done}")

        failures = []

        def guarded():
            try:
                add(3)
            except BaseException as e:
                failures.append(e)

        threads = [threading.Thread(target=guarded) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures, failures
        assert h.get("counter") == b"9"


def test_a_server_that_ignores_conditions_is_refused_and_named():
    for ignored, words in (("none-match", "If-None-Match"), ("match", "If-Match")):
        with SmallS3(ignore_conditions=[ignored]) as s3, BucketHome(s3) as h:
            h.run("put", "k", stdin=b"v").expect(OTHER, err=["cannot keep a store", words])
            assert not [n for n in s3.objects if not n.startswith(".mutant-probe")], s3.objects.keys()


def test_the_probe_is_made_once():
    with SmallS3() as s3, BucketHome(s3) as h:
        h.put("k", b"1")
        s3.requests.clear()
        h.put("k", b"2")
        # The probe makes four writes, and more than ten requests.
        assert s3.requests["PUT"] == 1 and sum(s3.requests.values()) < 10, s3.requests


def test_a_commit_is_one_write_and_a_small_pad_two():
    with SmallS3() as s3, BucketHome(s3) as h:
        h.put("k", b"1")
        s3.requests.clear()
        h.put("small", b"s" * 500)
        assert s3.requests["PUT"] == 1, s3.requests
        s3.requests.clear()
        h.put("pad", b"p" * 5000)
        assert s3.requests["PUT"] == 2, s3.requests


def test_credentials_come_from_everywhere():
    with SmallS3() as s3:
        s3.keys = {"AK": "SK", "FILE": "FS", "PROC": "PS", "CONT": "CS", "ROLE": "RS"}

        def works(environment, **options):
            with BucketHome(s3, environment=environment, **options) as h:
                (h.folder / ".aws").mkdir()
                (h.folder / ".aws/credentials").write_text("[default]\naws_access_key_id = FILE\naws_secret_access_key = FS\n"
                                                           "[bad]\naws_access_key_id = FILE\naws_secret_access_key = wrong\n")
                give = h.path("give", b'#!/bin/sh\necho \'{"Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": "PS"}\'\n')
                give.chmod(0o755)
                (h.folder / ".aws/config").write_text(f"[profile proc]\ncredential_process = {give}\n"
                                                      f"[profile broken]\ncredential_process = false\n")
                return h.run("put", "k", stdin=b"v")

        works({}).expect()
        works({"AWS_PROFILE": "proc"}).expect()
        works({}, profile="proc").expect()
        works({"AWS_PROFILE": "bad"}).expect(OTHER, err="secret key")
        works({"AWS_PROFILE": "none"}).expect(OTHER, err="'none'")
        works({"AWS_PROFILE": "broken"}).expect(OTHER, err="credential_process")
        works({"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "x"}).expect(OTHER, err="access key is not known")
        works({"AWS_ACCESS_KEY_ID": "AK"}).expect(OTHER, err="only one is set")


def test_metadata_services_give_credentials():
    import http.server

    class Metadata(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def give(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            self.give(b"TOKEN")

        def do_GET(self):
            keys = json.dumps({"AccessKeyId": "AK", "SecretAccessKey": "SK", "Token": "T1",
                               "Expiration": "2099-01-01T00:00:00Z"}).encode()
            if self.path == "/container" and self.headers["Authorization"] == "let me":
                return self.give(keys)
            if self.headers.get("X-aws-ec2-metadata-token") != "TOKEN":
                return self.send_error(401)
            self.give(b"role" if self.path.endswith("/security-credentials/") else keys)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    there = f"http://127.0.0.1:{server.server_address[1]}"
    with SmallS3() as s3:
        s3.tokens = {"T1"}
        for environment in ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": there + "/container",
                             "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me"},
                            {"AWS_EC2_METADATA_SERVICE_ENDPOINT": there, "AWS_EC2_METADATA_DISABLED": "false"}):
            with BucketHome(s3, environment=environment) as h:
                h.put("k", b"v")
    server.shutdown()


def test_each_right_that_is_missing_is_named_and_reading_needs_no_other():
    with SmallS3() as s3, BucketHome(s3) as h:
        value = os.urandom(CHUNK + 9)
        h.run("put", "k", stdin=value).expect()
        for fresh in (True, False):     # what the probe meets, and what a store meets that was probed
            def with_rights(denied, *words, **run):
                if fresh:
                    h.forget_cache()
                s3.denied = denied
                before = dict(s3.objects)
                done = h.run(*words, **run)
                s3.denied = set()
                assert s3.objects == before or done.code == OK, done
                return done

            read_only = {"PUT", "DELETE"}
            assert with_rights(read_only, "get", "k").expect().out == value
            assert with_rights(read_only, "ls").expect().out == b"k\n"
            for words in (("put", "k"), ("put", "new", "--if-absent"), ("rm", "k"), ("mv", "k", "l")):
                with_rights(read_only, *words, stdin=b"w").expect(OTHER, err=["PUT", "policy", "Buckets"])
            with_rights({"LIST"}, "get", "k").expect(OTHER, err=["policy", "s3:ListBucket"])
            with_rights({"LIST"}, "put", "new", stdin=b"w").expect(OTHER, err=["policy", "s3:ListBucket"])
            with_rights({"GET"}, "get", "k").expect(OTHER, err=["GET", "policy"])
            # Removing objects is a convenience.
            with_rights({"DELETE"}, "put", "new", stdin=b"w" * 9000).expect()
            with_rights({"DELETE"}, "rm", "new").expect()
            with_rights({"DELETE"}, "purge").expect()
        # A read-only key's outcome is not remembered: with the right to write it is probed.
        h.forget_cache()
        with_rights(read_only, "get", "k").expect()
        s3.requests.clear()
        h.put("k", b"w")
        assert s3.requests["PUT"] > 5, s3.requests
        assert h.get("k") == b"w"


def test_a_token_that_expires_in_the_middle_is_renewed():
    with SmallS3() as s3, BucketHome(s3, environment={}) as h:
        s3.tokens = {"T1"}
        token = h.path("token", b"T1")
        give = h.path("give", b'#!/bin/sh\nprintf \'{"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK", '
                              b'"SessionToken": "%s"}\' "$(cat "$(dirname "$0")/token")"\n')
        give.chmod(0o755)
        (h.folder / ".aws").mkdir()
        (h.folder / ".aws/config").write_text(f"[default]\ncredential_process = {give}\n")
        h.put("k", b"v")
        seen = []

        def expire(handler):
            seen.append(handler.command)
            if len(seen) == 5:
                s3.tokens = {"T2"}
                token.write_bytes(b"T2")
            return False

        s3.respond = expire
        big = h.path("big", os.urandom(6 * CHUNK))
        h.run("put", "big", big).expect()
        assert len(seen) > 5
        assert h.get("big") == big.read_bytes()


def test_a_wrong_clock_and_another_region_are_learned():
    with SmallS3(region="eu-west-3") as s3, BucketHome(s3) as h:
        s3.clock_offset = datetime.timedelta(hours=5)
        h.put("k", b"v")
        assert h.get("k") == b"v"
    with SmallS3(region="eu-west-3") as s3, BucketHome(s3, region="eu-west-1") as h:
        h.put("k", b"v")


def test_what_goes_wrong_is_said_within_bounded_time():
    def outcome(prepare, code, err, **options):
        with SmallS3() as s3, BucketHome(s3, **options) as h:
            h.put("k", b"v" * 5000)
            h.forget_cache()
            prepare(s3)
            begin = time.monotonic()
            h.run("get", "k").expect(code, err=err)
            h.run("put", "k", stdin=b"w").expect(code, err=err)
            assert time.monotonic() - begin < 120 * PATIENCE

    page = lambda handler: handler.answer(404, b"<html>no such page</html>") or True
    elsewhere = lambda handler: handler.answer(302, b"", [("Location", "http://127.0.0.1:1/")]) or True
    outcome(lambda s3: setattr(s3, "bucket", "other"), UNAVAILABLE, "there is no bucket")
    outcome(lambda s3: s3.denied.update(("GET", "PUT")), OTHER, "policy")
    outcome(lambda s3: s3.keys.clear(), OTHER, "access key is not known")
    outcome(lambda s3: setattr(s3, "respond", page), UNAVAILABLE, "proxy")
    outcome(lambda s3: setattr(s3, "respond", elsewhere), UNAVAILABLE, "sends us elsewhere")

    with SmallS3() as s3, BucketHome(s3) as h:
        h.put("k", b"v")
        s3.full = True
        h.run("put", "k", stdin=b"w" * 9000).expect(UNAVAILABLE, err="quota")
        assert h.get("k") == b"v"

    with Home() as h:
        env = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        for url, code, err in ((f"s3:films?endpoint=http://127.0.0.1:{port}", UNAVAILABLE, "127.0.0.1"),
                               ("s3:films?endpoint=http://no-such-host.invalid", UNAVAILABLE, "no-such-host.invalid"),
                               (f"s3:films?endpoint=https://127.0.0.1:{port}", UNAVAILABLE, "127.0.0.1"),
                               ("s3:films?endpoint=films", USAGE, "endpoint"), ("s3:x", USAGE, "bucket"),
                               ("s3:films?colour=red", USAGE, "colour")):
            h.run("--store", url, "put", "k", stdin=b"v", env=env).expect(code, err=err)
        h.run("--store", "s3:films?endpoint=http://127.0.0.1:1", "put", "k", stdin=b"v").expect(OTHER, err="AWS_ACCESS_KEY_ID")


def test_a_server_is_believed_by_its_certificate_alone():
    with Home() as maker:
        certs, others = maker.path("certs"), maker.path("others")
        for folder, name in ((certs, "127.0.0.1"), (others, "somewhere.example")):
            maker.run("node", "--make-certs", folder, "--names", name).expect()
        ours, elsewheres = ((folder / "node.pem", folder / "node-key.pem") for folder in (certs, others))
        with SmallS3(certificate=ours) as s3, BucketHome(s3) as h:
            trusting = {"AWS_CA_BUNDLE": str(certs / "ca.pem")}
            value = os.urandom(CHUNK + 9)
            h.run("put", "k", stdin=value, env=trusting).expect()
            assert h.run("get", "k", env=trusting).expect().out == value
            writes = s3.writes
            for bundle in (None, str(others / "ca.pem"), str(certs / "none.pem")):
                # The probe's outcome is remembered, and then it is the store that meets it.
                for fresh in (False, True):
                    if fresh:
                        h.forget_cache()
                    begin = time.monotonic()
                    h.run("put", "k", stdin=b"v", env={"AWS_CA_BUNDLE": bundle}).expect(
                        OTHER, err=["certificate", "AWS_CA_BUNDLE"])
                    assert time.monotonic() - begin < 15 * PATIENCE
            assert s3.writes == writes
        with SmallS3(certificate=elsewheres) as s3, BucketHome(s3) as h:
            h.run("put", "k", stdin=b"v", env={"AWS_CA_BUNDLE": str(others / "ca.pem")}).expect(OTHER, err="certificate")
        with SmallS3() as s3, BucketHome(s3) as h:
            h.options[1] = h.options[1].replace("http:", "https:")
            h.run("put", "k", stdin=b"v").expect(UNAVAILABLE, err=["127.0.0.1", "TLS"])


def test_many_clients_far_away_share_commits():
    # 20 ms each way. How long it took is for a quiet machine to say; how many requests it took is not.
    with SmallS3(delay=0.04) as s3, BucketHome(s3) as h:
        done = subprocess.run([os.environ["MUTANT_LOAD"], "--store", s3.url(), "--clients", "64", "--workload", "update=100",
                               "--keys", "own", "--size", "100", "--records", "64", "--warmup", "0s", "--operations", "2000",
                               "--json", "-"], env=h.environment(), capture_output=True, timeout=120 * PATIENCE)
        assert done.returncode == 0, done
        store = json.loads(done.stdout)["store"]
        assert store["commit_requests"] >= 2000 and store["commit_requests"] >= 20 * store["commits"], store
        assert store["traffic"]["requests"]["put"] <= store["commits"] + 10, store


def test_the_log_far_away_costs_one_round_trip_a_commit_lap_after_lap():
    # A ring has 1024 slots. The second process has seen none of them.
    with SmallS3() as s3, BucketHome(s3) as h:
        identity = h.run("init").expect() and h.home / "identity"
        for lap in range(2):
            words = [os.environ["MUTANT_LOAD"], "--store", s3.url(), "--identity", str(identity), "--clients", "1",
                     "--workload", "update=100", "--size", "100", "--records", "1", "--warmup", "0s", "--operations",
                     "1100" if lap == 0 else "100", "--json", "-"]
            done = subprocess.run(words, env=h.environment(), capture_output=True, timeout=120 * PATIENCE)
            assert done.returncode == 0, done
        store = json.loads(done.stdout)["store"]
        asked = store["traffic"]["requests"]
        # No write was refused or had to wait for a look: each slot was looked at once, beforehand.
        assert asked["put"] <= store["commits"] + 10 * (1 + store["snapshots"]), store
        assert store["commits"] - 5 <= asked["get_header"] <= store["commits"] + 5, store


def test_processes_that_are_killed_lose_nothing():
    with SmallS3() as s3:
        s3.faults = Faults(3, conflict=0.02)
        chaos = os.path.join(os.path.dirname(__file__), "chaos.py")
        done = subprocess.run([sys.executable, chaos, "--rounds", "20", "--seed", "3"], capture_output=True,
                              env={**os.environ, **s3.environment(), "MUTANT_STORE": s3.url("chaos")})
        assert done.returncode == 0 and s3.faults.done["conflict"] > 0, (done.stdout, done.stderr, s3.faults.done)


def test_an_endpoint_that_never_answers_is_given_up():
    # Libcurl waits 20 seconds for a byte: twice for a write, and once more to take away what may have been written.
    with socket.create_server(("127.0.0.1", 0)) as silent, Home() as h:
        begin = time.monotonic()
        url = f"s3:films?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        h.run("--store", url, "put", "k", stdin=b"v", env={"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}).expect(
            UNAVAILABLE, err="127.0.0.1")
        assert time.monotonic() - begin < 80 * PATIENCE


def test_no_secret_is_ever_shown():
    with SmallS3() as s3, BucketHome(s3, environment={"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "wrong-hush",
                                                      "AWS_SESSION_TOKEN": "token-hush"}) as h:
        for words in (("put", "k"), ("ls", "--json"), ("stats",)):
            done = h.run(*words, stdin=b"v")
            assert b"hush" not in done.out and "hush" not in done.err, done
        assert not any(b"hush" in content for content in content_of(h.folder).values())


def test_a_node_in_front_of_a_bucket():
    from node import Node, url_of
    with SmallS3() as s3, BucketHome(s3) as h, Home() as client:
        h.options = []
        node = Node(h, s3.url("pads"))
        try:
            client.options = ["--store", url_of([node])]
            client.put("k", b"v" * 5000)
            assert client.get("k") == b"v" * 5000
        finally:
            node.stop()
        assert any(name.startswith("pads/") for name in s3.objects)


def test_a_store_moves_into_a_bucket():
    with SmallS3() as s3, BucketHome(s3) as h:
        local = f"local:{h.folder}/pads"
        h.options = ["--store", local]
        h.put("k", b"v" * 9000)
        h.options = []
        h.run("copy-store", local, s3.url("moved")).expect()
        h.options = ["--store", s3.url("moved")]
        assert h.get("k") == b"v" * 9000


if __name__ == "__main__":
    main(globals())
