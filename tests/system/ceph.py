#!/usr/bin/env python3
# ctest: TIMEOUT 600 LABELS system,ceph
"""A Ceph pool as the store, on a real small cluster: every command, OSDs that are killed, stopped and brought back under
writers and readers, nodes in front of the pool, a pool that cannot be written, keys with few rights, moving a store.

What every test of faults holds to: what was acknowledged is there, every value is whole, and nothing was made up.
"""
import hashlib, json, os, random, subprocess, sys, threading, time

from ceph_cluster import CephCluster, missing
from mutant_system import *
from node import Node, url_of

cluster = None


def pool_home(h, **options):
    """A home whose store is a part of the pool that nobody else uses."""
    h.options = ["--store", cluster.url(namespace=h.folder.name, **options)]
    return h


def made_of(key, number, size):
    """A value that says whose it is, which, and whether it is whole."""
    rng = random.Random(f"{key} {number}")
    body = f"{key} {number} ".encode() + rng.randbytes(size)
    return hashlib.sha256(body).digest() + body


def number_in(key, value):
    """Which value of the key this is; fails if it is not one of them."""
    assert hashlib.sha256(value[32:]).digest() == value[:32], f"{key}: torn, {len(value)} bytes"
    owner, number = value[32:].split(b" ", 2)[:2]
    assert owner == key.encode(), f"{key} holds a value of {owner}"
    return int(number)


class Load:
    """Writers with a key each and readers of all keys, until end(); every command must succeed."""

    def __init__(self, h, writers=2, readers=1, sizes=(300, 60_000, CHUNK + 100)):
        self.h, self.sizes = h, sizes
        self.over = threading.Event()
        self.acknowledged = {f"key{w}": 0 for w in range(writers)}   # the number that is known to be stored
        self.sent = dict(self.acknowledged)
        self.longest, self.commands, self.failure = 0.0, 0, None
        for key in self.acknowledged:
            h.put(key, made_of(key, 0, 10))
        self.threads = [threading.Thread(target=self.guard, args=(self.write, key)) for key in self.acknowledged]
        self.threads += [threading.Thread(target=self.guard, args=(self.read, r)) for r in range(readers)]
        for t in self.threads:
            t.start()

    def guard(self, work, which):
        try:
            work(which)
        except BaseException as e:
            self.failure = e
            self.over.set()

    def timed(self, work, *words):
        begin = time.monotonic()
        out = work(*words)
        self.longest = max(self.longest, time.monotonic() - begin)
        self.commands += 1
        return out

    def write(self, key):
        n = 0
        while not self.over.is_set():
            n += 1
            self.sent[key] = n
            self.timed(self.h.put, key, made_of(key, n, self.sizes[n % len(self.sizes)]))
            self.acknowledged[key] = n

    def read(self, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            key = rng.choice(list(self.acknowledged))
            least = self.acknowledged[key]
            number = number_in(key, self.timed(self.h.get, key))
            assert least <= number <= self.sent[key], f"{key}: read {number}, acknowledged {least}, sent {self.sent[key]}"

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join()
        if self.failure:
            raise self.failure
        for key, number in self.acknowledged.items():
            assert number_in(key, self.h.get(key)) == number, key
        assert self.commands > 10, f"only {self.commands} commands came through"


def test_every_command_works_on_a_pool():
    with Home() as home:
        h = pool_home(home)
        large = os.urandom(3 * CHUNK + 5)
        h.put("small", b"hello")
        h.put("large", large)
        assert h.get("small") == b"hello" and h.get("large") == large
        assert h.run("get", "large", "--range", f"{CHUNK - 2}-{CHUNK + 1}").expect().out == large[CHUNK - 2:CHUNK + 2]
        h.run("mv", "small", "moved").expect()
        assert sorted(h.keys()) == ["large", "moved"]
        h.run("put", "moved", "--if-absent", h.path("x", b"x")).expect(PRECONDITION)
        stats = h.run("stats", "--json").expect().json
        assert stats["pads_in_use"] == 4 and stats["pads"]["count"] >= 6, stats
        assert stats["pads"]["record_bytes"] > len(large), stats
        h.run("rm", "--wipe", "large").expect()
        h.run("purge").expect()
        assert h.run("stats", "--json").expect().json["pads"]["record_bytes"] < 100_000
        # Another machine: nothing is remembered there.
        h.forget_cache()
        assert h.get("moved") == b"hello"


def test_what_is_not_there_is_named():
    with Home() as h:
        h.run("--store", "rados:", "ls").expect(USAGE)
        h.run("--store", "rados:data?colour=red", "ls").expect(USAGE, "colour")
        h.run("--store", cluster.url("nopool"), "put", "k", stdin=b"").expect(UNAVAILABLE, "nopool")
        h.run("--store", f"rados:data?conf={h.path('none.conf')}", "put", "k", stdin=b"").expect(UNAVAILABLE, "none.conf")
        h.run("--store", cluster.url(id="nobody"), "put", "k", stdin=b"").expect(OTHER, "client.nobody")


def test_a_key_with_few_rights_is_enough_and_does_no_more():
    with Home() as h:
        key = cluster.ceph("auth", "get-or-create", "client.pads", "mon", "allow r", "osd",
                           "allow rwx pool=data namespace=mine")
        keyring = h.path("pads.keyring", key.encode())
        text = cluster.conf.read_text().replace("[client]", f"[client.pads]\nkeyring={keyring}\n[client]")
        conf = h.path("pads.conf", text.encode())
        h.options = ["--store", f"rados:data?conf={conf}&id=pads&namespace=mine"]
        value = os.urandom(CHUNK + 1)
        h.put("key", value)
        assert h.get("key") == value
        h.run("rm", "--wipe", "key").expect()
        h.run("stats").expect()
        h.options = ["--store", f"rados:data?conf={conf}&id=pads&namespace=other"]
        h.run("put", "key", stdin=b"value").expect(OTHER, "key does not allow")


def test_puts_and_gets_go_on_while_an_osd_is_killed_and_brought_back():
    with Home() as home:
        load = Load(pool_home(home))
        time.sleep(1)
        cluster.kill(0)
        time.sleep(5)
        killed = load.longest
        cluster.revive(0)
        time.sleep(1)
        load.end()
        print(f"  {load.commands} commands; the longest took {load.longest:.1f} s, {killed:.1f} s with the OSD just killed")


def test_puts_and_gets_go_on_while_an_osd_is_stopped_and_goes_on():
    with Home() as home:
        load = Load(pool_home(home))
        time.sleep(1)
        cluster.stop(1)
        time.sleep(12)
        cluster.go_on(1)
        cluster.wait_up(3)
        time.sleep(1)
        load.end()
        print(f"  {load.commands} commands; the longest took {load.longest:.1f} s")


def test_random_commands_with_kills_keep_every_promise_while_an_osd_goes_and_comes():
    """chaos.py, which says what it checks, with the pool as its store."""
    with Home() as home:
        words = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos.py"), "--rounds", "15",
                 "--seed", "5", "--processes", "4"]
        env = {**os.environ, "MUTANT_STORE": cluster.url(namespace=home.folder.name)}
        chaos = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(3)
        cluster.kill(1)
        time.sleep(4)
        cluster.revive(1)
        out, _ = chaos.communicate(timeout=200 * PATIENCE)
        assert chaos.returncode == 0, out.decode(errors="replace")
        print("  " + out.decode().strip().splitlines()[-1])


def test_several_writers_of_one_key_lose_nothing():
    with Home() as home:
        h = pool_home(home)
        h.put("counter", b"0")
        wanted, failure = 6, []

        def add():
            try:
                for _ in range(wanted):
                    while True:
                        item = h.run("stat", "--json", "counter").expect().json
                        now = int(h.get("counter"))
                        done = h.run("put", "--if-version", str(item["version"]), "counter", stdin=str(now + 1).encode())
                        if done.code == OK:
                            break
                        done.expect(PRECONDITION)
            except BaseException as e:
                failure.append(e)

        writers = [threading.Thread(target=add) for _ in range(3)]
        for w in writers:
            w.start()
        time.sleep(1)
        cluster.kill(2)
        for w in writers:
            w.join()
        cluster.revive(2)
        assert not failure, failure
        assert h.get("counter") == str(3 * wanted).encode()


def test_nodes_in_front_of_the_pool_are_interchangeable_and_one_may_die_in_mid_put():
    with Home() as home:
        store = cluster.url(namespace=home.folder.name)
        nodes = [Node(home, store) for _ in range(2)]
        try:
            home.options = ["--store", url_of(nodes)]
            value = random.Random(3).randbytes(24 * CHUNK)
            source = home.path("value", value)
            put = home.start("put", "--json", "large", source)
            straight = Home(home.folder, ["--store", store])
            wait_until(lambda: json.loads(straight.run("stats", "--json").out)["pads"]["record_bytes"] > 4 * CHUNK,
                       what="the put is under way")
            nodes[0].kill()
            out, err = put.communicate(timeout=120 * PATIENCE)
            assert put.returncode == OK, err
            assert home.get("large") == value
            # The nodes held nothing: without them it is all there, and a new one serves it.
            assert straight.get("large") == value
            assert nodes[1].stop() == 0
            nodes.append(Node(home, store))
            home.options = ["--store", url_of(nodes[-1:])]
            assert home.get("large") == value
        finally:
            for node in nodes:
                if node.process.poll() is None:
                    node.kill()


def test_a_put_that_was_killed_is_gone_on_with():
    with Home() as home:
        h = pool_home(home)
        value = random.Random(4).randbytes(40 * CHUNK)
        source = h.path("value", value)
        h.put("large", b"old")
        put = h.start("put", "large", source)
        wait_until(lambda: any("pending" in i for i in h.run("ls", "--json", "--pending").expect().json["keys"]),
                   what="the put has recorded some progress")
        put.kill()
        put.communicate()
        assert h.get("large") in (b"old", value)
        again = h.run("put", "--json", "large", source).expect().json
        assert again["resumed"] or h.get("large") == value, again
        assert h.get("large") == value


def test_a_store_moves_from_a_directory_to_the_pool_while_it_is_in_use():
    with Home() as h:
        target = cluster.url(namespace=h.folder.name)
        for n in range(8):
            h.put(f"key{n}", made_of(f"key{n}", 0, CHUNK * (n % 3) + 400))
        source = f"local:{h.store}"
        copying = h.start("copy-store", "--json", source, target)
        n = 0
        while copying.poll() is None and n < 200:
            n += 1
            h.put("busy", made_of("busy", n, 5000))
        out, err = copying.communicate(timeout=120 * PATIENCE)
        assert copying.returncode == OK, err
        assert json.loads(out)["keys"] >= 8
        # What came in since, then the move.
        last = h.run("copy-store", "--json", "--read-back", source, target).expect().json
        assert last["kept_records"] >= 8 and last["read_back"] >= 12, last
        items = {i["key"]: i["version"] for i in h.run("ls", "--json").expect().json["keys"]}
        h.options = ["--store", target]
        assert {i["key"]: i["version"] for i in h.run("ls", "--json").expect().json["keys"]} == items
        for key in items:
            number_in(key, h.get(key))
        assert number_in("busy", h.get("busy")) == n
        # The pool is the store now: an old habit must not undo it.
        h.put("key0", b"new")
        h.options = []
        h.put("key0", b"written to the old place")
        h.run("copy-store", source, target).expect(PRECONDITION, "nobody has written to")
        h.options = ["--store", target]
        assert h.get("key0") == b"new"


def test_a_copy_that_was_killed_is_gone_on_with():
    with Home() as h:
        target = cluster.url(namespace=h.folder.name)
        value = random.Random(6).randbytes(30 * CHUNK)
        h.run("put", "large", h.path("value", value)).expect()
        copying = h.start("copy-store", f"local:{h.store}", target)
        there = Home(h.folder, ["--store", target])
        wait_until(lambda: copying.poll() is not None
                   or json.loads(there.run("stats", "--json").out)["pads"]["count"] > 5, what="some pads are copied")
        copying.kill()
        copying.communicate()
        rest = h.run("copy-store", "--json", f"local:{h.store}", target).expect().json
        assert rest["kept_records"] > 5, rest
        assert there.get("large") == value
        # And back again, into a directory.
        back = h.path("back")
        h.run("copy-store", target, f"local:{back}").expect()
        assert Home(h.folder, ["--store", f"local:{back}"]).get("large") == value


def test_below_min_size_is_unreachable_and_passes():
    with Home() as home:
        h = pool_home(home)
        h.put("key", b"acknowledged" * 1000)
        impatient = home.path("impatient.conf", (cluster.conf.read_text() + "\nrados_osd_op_timeout=1\n").encode())
        short = Home(home.folder, ["--store", f"rados:data?conf={impatient}&namespace={home.folder.name}"])
        cluster.kill(0)
        cluster.kill(1)
        wait_until(lambda: cluster.osds_up() == 1, what="two OSDs are known to be down")
        begin = time.monotonic()
        short.run("put", "key", stdin=b"n" * 2000).expect(UNAVAILABLE, "min_size")
        print(f"  told after {time.monotonic() - begin:.1f} s")
        short.run("get", "key").expect(UNAVAILABLE)
        cluster.start_osd(0)
        cluster.start_osd(1)
        cluster.wait_up(3)
        cluster.wait_clean()
        assert h.get("key") in (b"acknowledged" * 1000, b"n" * 2000)
        h.put("key", b"new")
        assert h.get("key") == b"new"


def pool_is_full():
    # A pool is nearfull and backfillfull first, and takes writes while it is no more than that.
    pools = json.loads(cluster.ceph("osd", "dump", "--format", "json"))["pools"]
    return any("full" in pool["flags_names"].split(",") for pool in pools if pool["pool_name"] == "data")


def test_a_full_cluster_is_store_full_and_can_be_read_and_emptied():
    with Home() as home:
        h = pool_home(home)
        value = os.urandom(3 * CHUNK)
        h.put("kept", value)
        for what in ("nearfull", "backfillfull", "full"):
            cluster.ceph("osd", f"set-{what}-ratio", "0.001")
        try:
            wait_until(pool_is_full, what="the cluster finds itself full")
            begin = time.monotonic()
            h.run("put", "more", h.path("more", os.urandom(3 * CHUNK))).expect(UNAVAILABLE, "full")
            assert time.monotonic() - begin < 30 * PATIENCE
            assert h.get("kept") == value
        finally:
            for what, ratio in (("full", "0.95"), ("backfillfull", "0.90"), ("nearfull", "0.85")):
                cluster.ceph("osd", f"set-{what}-ratio", ratio)
        wait_until(lambda: h.run("put", "more", h.path("more")).code == OK, what="there is room again")
        assert h.get("kept") == value


if __name__ == "__main__":
    if missing():
        print(f"skipped: {', '.join(missing())} not installed; scripts/test --all installs Ceph")
        sys.exit(77)
    with CephCluster(auth="cephx") as cluster:
        main(globals())
