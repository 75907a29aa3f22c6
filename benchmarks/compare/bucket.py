"""One large random file into a bucket and out again: mutant, rclone crypt and restic, each on the same bucket of Ceph's gateway
over a small cluster that this starts on loopback, and a bare libcurl loop with objects of the same size.

Whole commands are timed, from process start to exit. All keep 4 MiB and more in one object; how many requests each has under
way is its own default. "get" is to /dev/null; a file that mutant gets is synced when it returns, those of the others are not.
After each round the objects of everybody are removed.
"""

import json
import os
import pathlib
import sys

from large import digest, make_file
from peers import PASSWORD, Mutant, Peer
from tools import Failed, output

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "system"))
from ceph_cluster import CephCluster  # noqa: E402
from ceph_gateway import CephGateway, gateway_missing  # noqa: E402


class BucketMutant(Mutant):
    def __init__(self, directory, gateway):
        super().__init__(directory)
        self.gateway = gateway
        self.env.update(gateway.environment())

    def command(self, *words):
        return super().command("--store", self.gateway.url(self.bucket, "pads"), *words)

    def prepare(self):
        self.round += 1
        self.run(*self.command("put", "--allow-empty", "first", "/dev/null"))   # tries the bucket, as restic's init does


class BucketRclone(Peer):
    name = "rclone"
    packages = programs = ["rclone"]

    def __init__(self, directory, gateway):
        super().__init__(directory)
        self.gateway = gateway

    def prepare(self):
        self.config = self.directory + "/rclone.conf"
        password = output(["rclone", "obscure", PASSWORD]).strip()
        with open(self.config, "w") as f:
            f.write(f"[there]\ntype = s3\nprovider = Ceph\naccess_key_id = {self.gateway.access_key}\n"
                    f"secret_access_key = {self.gateway.secret}\nendpoint = {self.gateway.endpoint}\n"
                    f"[vault]\ntype = crypt\nremote = there:{self.bucket}/rclone\npassword = {password}\n")

    def put(self, source):
        return self.run("rclone", "--config", self.config, "copyto", source, "vault:value")

    def get(self, target):
        return self.run("rclone", "--config", self.config, "copyto", "vault:value", target)

    def show(self):
        return self.to_null("rclone", "--config", self.config, "cat", "vault:value")


class BucketRestic(Peer):
    name = "restic"
    packages = programs = ["restic"]

    def __init__(self, directory, gateway):
        super().__init__(directory)
        self.gateway = gateway
        self.env.update(gateway.environment(), RESTIC_PASSWORD=PASSWORD)

    def prepare(self):
        self.env.update(RESTIC_REPOSITORY=f"s3:{self.gateway.endpoint}/{self.bucket}/restic")
        self.run("restic", "--quiet", "init")

    def put(self, source):
        self.source = source
        return self.run("restic", "--quiet", "backup", "--compression", "off", source)

    def get(self, target):
        with open(target, "wb") as out:
            return self.run("restic", "--quiet", "dump", "latest", self.source, stdout=out)

    def show(self):
        return self.to_null("restic", "--quiet", "dump", "latest", self.source)


PEERS = [BucketRclone, BucketRestic]


def one_round(peer, source, want, directory, rates, size):
    out = os.path.join(directory, "out")
    peer.prepare()
    rates.setdefault((peer.name, "put"), []).append(size / peer.put(source))
    rates.setdefault((peer.name, "get to a file"), []).append(size / peer.get(out))
    rates.setdefault((peer.name, "get"), []).append(size / peer.show())
    if digest(out) != want:
        raise Failed(f"{peer.name}: the copy differs from the source")
    os.remove(out)


def tell(rates, names, figures):
    for (name, what), values in rates.items():
        figures.add(f"{name}: {what}", [v / 1e6 for v in values], "MB/s")
    for what in ("put", "get"):
        figures.ratio(f"mutant against a bare libcurl loop: {what}", rates["mutant", what], rates["bare libcurl", what], 0.85)
    for what in ("put", "get", "get to a file"):
        for name in names[1:]:
            figures.ratio(f"mutant against {name}: {what}", rates["mutant", what], rates[name, what], 1)


def compare(options, directory, figures, lock):
    if gateway_missing():
        return figures.say(f"bucket: skipped, {', '.join(gateway_missing())} not installed (scripts/install-dependencies ceph)")
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]   # of other buckets
    size = options.size_mib << 20
    source = os.path.join(directory, "source")
    make_file(source, size)
    want = digest(source)
    bare = os.path.join(os.path.abspath(options.build), "benchmarks/bench_bucket")
    BucketMutant.program = options.mutant
    rates = {}
    with CephCluster(pg_count=4, block_bytes=max(16 * size, 4 << 30)) as cluster, CephGateway(cluster) as gateway:
        peers = [BucketMutant(directory, gateway)]
        for kind in PEERS:
            if options.peers and kind.name not in options.peers:
                continue
            if why := kind.missing():
                figures.say(f"{kind.name}: skipped, {why}")
            else:
                peers.append(kind(directory, gateway))
        environment = {**os.environ, **gateway.environment()}
        for r in range(options.rounds):
            bucket = f"round-{r}"
            gateway.make_bucket(bucket)
            with lock():
                for peer in peers[r % len(peers):] + peers[:r % len(peers)]:  # nobody always comes after the same one
                    peer.bucket = bucket
                    one_round(peer, source, want, directory, rates, size)
                now = json.loads(output([bare, "--json", "--size-mib", str(options.size_mib), "--store", gateway.url(bucket)],
                                        env=environment))
            for what in ("put", "get"):
                rates.setdefault(("bare libcurl", what), []).append(now[f"{what}_bytes_per_second"])
            gateway.admin("bucket", "rm", f"--bucket={bucket}", "--purge-objects", "--bypass-gc")
            figures.say(f"  round {r + 1}: " + ", ".join(f"{n} {w} {v[-1] / 1e6:.0f} MB/s" for (n, w), v in rates.items()))
    figures.say(f"\n{options.size_mib} MiB of random bytes, source in the page cache; three OSDs, size 3, on the same machine")
    tell(rates, [p.name for p in peers], figures)
