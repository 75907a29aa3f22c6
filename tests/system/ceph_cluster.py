"""A small real Ceph cluster on loopback, for tests and measurements: one monitor, three OSDs (bluestore on files), the pool
`data` with size 3 and min_size 2. No root, no systemd, no manager; its ports and its folder are its own.

    with CephCluster() as cluster: …           cluster.url(), cluster.kill(1), cluster.stop(1), cluster.revive(1)
    ceph_cluster.py run COMMAND…               runs the command with $CEPH_CONF and $MUTANT_TEST_RADOS (a store URL) set

Everything ends with the with-block, or with this process however that ends: the daemons are its children and die with it.
`run` exits with 77, and one line, where Ceph's daemons are not installed. Helper module: no test itself (no #! line).
"""
import ctypes, json, os, pathlib, random, shutil, signal, socket, subprocess, sys, tempfile, time, uuid

NEEDED = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool")
OSDS = 3
START_SECONDS = 90   # most for anything that is waited for here

CONFIGURATION = """\
[global]
fsid={fsid}
mon_host=[v2:127.0.0.1:{port}]
public_addr=127.0.0.1
cluster_addr=127.0.0.1
ms_bind_msgr1=false
ms_bind_port_min={first}
ms_bind_port_max={last}
auth_cluster_required={auth}
auth_service_required={auth}
auth_client_required={auth}
keyring={dir}/keyring
run_dir={dir}
crash_dir={dir}
osd_heartbeat_grace=4
osd_heartbeat_interval=1
osd_crush_chooseleaf_type=0
osd_pool_default_size=3
osd_pool_default_min_size=2
osd_pool_default_pg_autoscale_mode=off
osd_pool_default_pg_num={pg_count}
[mon]
mon_data={dir}/mon
log_file={dir}/mon.log
mon_cluster_log_file={dir}/cluster.log
mon_data_avail_crit=1
paxos_propose_interval=0.1
paxos_min_wait=0.01
mon_osd_min_down_reporters=1
mon_osd_reporter_subtree_level=osd
mon_osd_adjust_heartbeat_grace=false
[osd]
osd_data={dir}/osd.$id
log_file={dir}/osd.$id.log
osd_objectstore=bluestore
osd_crush_initial_weight=1
osd_op_num_shards=2
osd_op_num_threads_per_shard=1
bluestore_block_size={block_bytes}
bluestore_cache_autotune=false
bluestore_cache_size=67108864
[client]
log_file=
admin_socket=
{client}
"""


def missing():
    """What of Ceph is not installed here."""
    return [name for name in NEEDED if shutil.which(name) is None]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_ports(count):
    """The first of so many ports in a row, below those that the system hands out; the first one is free now."""
    while True:
        first = random.randrange(20_000, 32_000 - count)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first))
                return first
            except OSError:
                pass


class CephCluster:
    def __init__(self, auth="none", client="", block_bytes=4 << 30, pg_count=16):
        """`auth`: none or cephx. `client`: lines for the clients' part of the configuration. `pg_count`: placement groups of
        every pool; a gateway makes several pools."""
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # otherwise nobody would remove the folder
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mutant-ceph-"))
        self.conf = self.folder / "ceph.conf"
        self.daemons = {}
        self.uuids = [str(uuid.uuid4()) for _ in range(OSDS)]
        self.auth = auth
        self.pg_count = pg_count
        port = free_ports(100)
        fsid = str(uuid.uuid4())
        self.conf.write_text(CONFIGURATION.format(dir=self.folder, fsid=fsid, port=port, first=port + 1, last=port + 99,
                                                  auth=auth, client=client, block_bytes=block_bytes,
                                                  pg_count=pg_count))
        try:
            self.start(fsid, port)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def start(self, fsid, port):
        monmap, keyring = self.folder / "monmap", self.folder / "keyring"
        self.tool("ceph-authtool", "-C", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self.tool("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd",
                  "allow *")
        self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{port}]", monmap)
        self.tool("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
        self.daemon("mon", "ceph-mon", "-i", "a")
        for number, uid in enumerate(self.uuids):
            self.ceph("osd", "new", uid, str(number))
            data = self.folder / f"osd.{number}"
            data.mkdir()
            if self.auth != "none":
                key = self.ceph("auth", "get-or-create", f"osd.{number}", "mon", "allow profile osd", "osd", "allow *")
                (data / "keyring").write_text(key)
        making = [self.spawn("ceph-osd", "-i", str(n), "--mkfs", "--osd-uuid", uid, *self.osd_key(n))
                  for n, uid in enumerate(self.uuids)]
        for child in making:
            if child.wait(START_SECONDS) != 0:
                raise RuntimeError(f"making an OSD failed:\n{self.log()}")
        for number in range(OSDS):
            self.start_osd(number)
        self.wait_up(OSDS)
        self.ceph("osd", "pool", "create", "data", str(self.pg_count), str(self.pg_count), "replicated")
        self.ceph("osd", "pool", "application", "enable", "data", "mutant")

    def osd_key(self, number):
        return [] if self.auth == "none" else ["--keyring", str(self.folder / f"osd.{number}" / "keyring")]

    # -- what tests do with it ---------------------------------------------------------------------------------------------

    def environment(self):
        return {"CEPH_CONF": str(self.conf)}

    def url(self, pool="data", **options):
        words = [f"conf={self.conf}", *(f"{name}={value}" for name, value in options.items())]
        return f"rados:{pool}?" + "&".join(words)

    def ceph(self, *words):
        """One command of an administrator; its output."""
        done = subprocess.run(["ceph", "-c", self.conf, "--connect-timeout", str(START_SECONDS), *words], capture_output=True,
                              text=True, timeout=2 * START_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"ceph {' '.join(words)}: {done.stderr}\n{self.log()}")
        return done.stdout

    def kill(self, number):
        """kill -9. The cluster finds out by itself."""
        self.end_daemon(f"osd.{number}")

    def stop(self, number):
        """SIGSTOP: it keeps its connections, and says nothing more."""
        self.daemons[f"osd.{number}"].send_signal(signal.SIGSTOP)

    def go_on(self, number):
        self.daemons[f"osd.{number}"].send_signal(signal.SIGCONT)

    def start_osd(self, number):
        self.daemon(f"osd.{number}", "ceph-osd", "-i", str(number), *self.osd_key(number))

    def revive(self, number):
        self.start_osd(number)
        self.wait_up(sum(name.startswith("osd.") for name in self.daemons))

    def osds_up(self):
        return json.loads(self.ceph("osd", "stat", "--format", "json"))["num_up_osds"]

    def wait_up(self, count):
        end = time.monotonic() + START_SECONDS
        while self.osds_up() != count:
            if time.monotonic() > end:
                raise RuntimeError(f"waited {START_SECONDS} s for {count} OSDs to be up\n{self.log()}")
            time.sleep(0.1)

    def wait_clean(self):
        """Until every object has all its copies where it should. Asks the OSDs, as there is no manager."""
        end = time.monotonic() + START_SECONDS
        while True:
            states = [self.pg_state(f"{self.pool_id()}.{pg:x}") for pg in range(self.pg_count)]
            if all(state == "active+clean" for state in states):
                return
            if time.monotonic() > end:
                raise RuntimeError(f"the placement groups are not clean after {START_SECONDS} s: {states}")
            time.sleep(0.2)

    def pool_id(self):
        pools = json.loads(self.ceph("osd", "lspools", "--format", "json"))
        return next(pool["poolnum"] for pool in pools if pool["poolname"] == "data")

    def pg_state(self, pg):
        return json.loads(self.ceph("pg", pg, "query", "--format", "json"))["state"]

    # -- processes ----------------------------------------------------------------------------------------------------------

    def log(self):
        path = self.folder / "out"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def spawn(self, *words):
        with open(self.folder / "out", "ab") as out:
            return subprocess.Popen([*map(str, words), "-c", str(self.conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    preexec_fn=die_with_parent)

    def tool(self, *words):
        if self.spawn(*words).wait(START_SECONDS) != 0:
            raise RuntimeError(f"{words[0]} failed:\n{self.log()}")

    def daemon(self, name, *words):
        self.daemons[name] = self.spawn(*words, "-f")

    def end_daemon(self, name):
        child = self.daemons.pop(name)
        child.kill()
        child.wait()

    def end(self):
        for name in list(self.daemons):
            self.end_daemon(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def run(command):
    if missing():
        print(f"skipped: needs a Ceph cluster, and {', '.join(missing())} is not installed (scripts/test --all installs it)")
        return 77
    begin = time.monotonic()
    with CephCluster() as cluster:
        print(f"a Ceph cluster is up after {time.monotonic() - begin:.1f} s", flush=True)
        environment = {**os.environ, **cluster.environment(), "MUTANT_TEST_RADOS": cluster.url()}
        child = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda got, _: child.send_signal(got))
        return child.wait()


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: ceph_cluster.py run COMMAND…")
    sys.exit(run(sys.argv[2:]))
