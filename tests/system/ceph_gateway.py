"""Ceph's S3 gateway in front of the small cluster of ceph_cluster.py, on loopback, for tests and measurements.

    with CephCluster(pg_count=4) as cluster, CephGateway(cluster) as gateway: …
    gateway.url("bucket", "prefix"), gateway.environment(), gateway.kill(), gateway.start(), gateway.admin("user", "info", …)
    ceph_gateway.py run COMMAND…        runs the command with $MUTANT_TEST_S3 (a store URL) and credentials set

`run` exits with 77, and one line, where Ceph's daemons are not installed. Helper module: no test itself (no #! line).
"""
import http.client, os, shutil, socket, subprocess, sys, time

from ceph_cluster import START_SECONDS, CephCluster, die_with_parent, missing

NEEDED = ("radosgw", "radosgw-admin")
NAME = "client.rgw.t"

# The gateway insists on encrypted messages to the monitor by default, and they need authentication, which is off here.
CONFIGURATION = """
[{name}]
ms_mon_client_mode = crc
ms_client_mode = crc
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 32
rgw_run_sync_thread = false
rgw_enable_lc_threads = false
rgw_enable_gc_threads = false
rgw_enable_usage_log = false
rgw_bucket_quota_ttl = 0
rgw_data = {folder}/rgw
log_file = {folder}/rgw.log
"""


def gateway_missing():
    return missing() + [name for name in NEEDED if shutil.which(name) is None]


class CephGateway:
    def __init__(self, cluster, access_key="AK", secret="SK"):
        self.cluster, self.access_key, self.secret = cluster, access_key, secret
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (cluster.folder / "rgw").mkdir()
        with open(cluster.conf, "a") as conf:
            conf.write(CONFIGURATION.format(name=NAME, port=self.port, folder=cluster.folder))
        self.process = None
        self.start()
        self.admin("user", "create", "--uid=t", "--display-name=t", f"--access-key={access_key}", f"--secret-key={secret}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def url(self, bucket, prefix=""):
        return f"s3:{bucket}{'/' + prefix if prefix else ''}?endpoint={self.endpoint}"

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_EC2_METADATA_DISABLED": "true"}

    def start(self):
        with open(self.cluster.folder / "out", "ab") as out:
            self.process = subprocess.Popen(["radosgw", "-f", "-n", NAME, "-c", str(self.cluster.conf)], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/")
                connection.getresponse().read()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"the gateway does not answer\n{self.cluster.log()}")
                time.sleep(0.1)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def admin(self, *words):
        done = subprocess.run(["radosgw-admin", "-c", str(self.cluster.conf), *words], capture_output=True, text=True,
                              timeout=START_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"radosgw-admin {' '.join(words)}: {done.stderr}")
        return done.stdout

    def make_bucket(self, name):
        """By a client of its own: the bucket is not made by what is tested."""
        self.request("PUT", "/" + name)

    def remove_bucket(self, name):
        self.admin("bucket", "rm", f"--bucket={name}", "--purge-objects")

    def request(self, method, path):
        """One signed request without a body or a query."""
        import datetime, hashlib, hmac
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        host, nothing = f"127.0.0.1:{self.port}", hashlib.sha256(b"").hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        lines = f"host:{host}\nx-amz-content-sha256:{nothing}\nx-amz-date:{stamp}\n"
        canonical = "\n".join([method, path, "", lines, names, nothing])
        scope = f"{day}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (day, "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        # A change to a bucket waits for every gateway that watches the cluster, and one that was killed counts among them until
        # its watch ends after 30 s.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, headers={
            "x-amz-date": stamp, "x-amz-content-sha256": nothing,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope},SignedHeaders={names},"
                             f"Signature={signature}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {path}: {answer.status} {body[:300]}")
        return body


def run(command):
    if gateway_missing():
        print(f"skipped: needs Ceph's gateway, and {', '.join(gateway_missing())} is not installed (scripts/test --all "
              f"installs it)")
        return 77
    begin = time.monotonic()
    with CephCluster(pg_count=4) as cluster, CephGateway(cluster) as gateway:
        gateway.make_bucket("conformance")
        print(f"a Ceph gateway is up after {time.monotonic() - begin:.1f} s", flush=True)
        environment = {**os.environ, **gateway.environment(), "MUTANT_TEST_S3": gateway.url("conformance")}
        return subprocess.run(command, env=environment, preexec_fn=die_with_parent).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: ceph_gateway.py run COMMAND…")
    sys.exit(run(sys.argv[2:]))
