#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Several hosts: three nodes over one shared store and two clients, each in a network namespace of its own.

While both clients put, a link is cut and mended, a node is killed and brought back, another one is stopped, and one becomes
slow (tc netem). Everything that was acknowledged must be found at the end. Needs root and iproute2; says so and is skipped
where namespaces are not allowed.
"""
import json, os, pathlib, random, shutil, signal, subprocess, sys, threading, time

from mutant_system import *

PORT = 4370


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """Hosts on one switch. Everything has this process' number in its name, and is gone at the end."""

    def __init__(self, hosts):
        self.tag = f"m{os.getpid() % 100000}"
        self.hub = f"{self.tag}-hub"
        self.names = hosts
        self.made = []

    def __enter__(self):
        try:
            self.add(self.hub)
            ip("-n", self.hub, "link", "add", "switch", "type", "bridge")
            ip("-n", self.hub, "link", "set", "switch", "up")
            for number, host in enumerate(self.names, 1):
                space, port = self.space(host), f"port{number}"
                self.add(space)
                ip("-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", "net", "netns", space)
                ip("-n", self.hub, "link", "set", port, "master", "switch", "up")
                ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "net")
                ip("-n", space, "link", "set", "net", "up")
                ip("-n", space, "link", "set", "lo", "up")
        except (subprocess.CalledProcessError, FileNotFoundError) as why:
            self.__exit__()
            said = getattr(why, "stderr", b"") or str(why).encode()
            raise Skip("network namespaces cannot be made here: " + said.decode(errors="replace").strip())
        return self

    def __exit__(self, *_):
        for space in self.made:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)

    def add(self, space):
        ip("netns", "add", space)
        self.made.append(space)

    def space(self, host):
        return f"{self.tag}-{host}"

    def address(self, host):
        return f"10.77.0.{self.names.index(host) + 1}"

    def on(self, host, *words):
        return ["ip", "netns", "exec", self.space(host), *map(str, words)]

    def link(self, host, state):
        ip("-n", self.space(host), "link", "set", "net", state)

    def slow(self, host):
        """How, or nothing when this kernel has neither way."""
        for how in ("netem delay 100ms 20ms loss 1%", "tbf rate 8mbit burst 64kb latency 400ms"):
            change = ["tc", "qdisc", "add", "dev", "net", "root", *how.split()]
            if subprocess.run(self.on(host, *change), capture_output=True).returncode == 0:
                return how
        return None

    def quick(self, host):
        subprocess.run(self.on(host, "tc", "qdisc", "del", "dev", "net", "root"), check=True, capture_output=True)


def start_node(net, h, host):
    log = open(h.path(f"{host}.log"), "ab")
    node = subprocess.Popen(net.on(host, PROGRAM, "--json", "node", "--listen", f"{net.address(host)}:{PORT}", "--insecure",
                                   "--store", f"local:{h.path('pads')}"), stdout=subprocess.PIPE, stderr=log,
                            stdin=subprocess.DEVNULL, env=h.environment())
    log.close()
    line = node.stdout.readline()
    assert line and "port" in json.loads(line), f"{host}: {line} {h.path(f'{host}.log').read_text()}"
    return node


class Client(threading.Thread):
    """Puts until it is told to end; knows what was acknowledged, and what may have happened."""

    def __init__(self, net, h, host, url):
        super().__init__()
        self.net, self.h, self.host, self.url = net, h, host, url
        self.over = threading.Event()
        self.random = random.Random(host)
        self.acknowledged, self.tried, self.puts, self.errors = {}, {}, 0, []

    def mutant(self, *words, stdin=None):
        command = self.net.on(self.host, PROGRAM, "--store", self.url, *words)
        return subprocess.run(command, input=stdin, capture_output=True, env=self.h.environment(), timeout=120 * PATIENCE)

    def run(self):
        n = 0
        while not self.over.is_set():
            key = f"{self.host}/{n % 12}"
            value = self.random.randbytes(self.random.choice([20, 3000, 70_000, CHUNK + 9]))
            n += 1
            self.tried.setdefault(key, []).append(value)
            done = self.mutant("put", key, stdin=value)
            if done.returncode == OK:
                self.acknowledged[key] = value
                self.tried[key] = [value]
                self.puts += 1
            elif done.returncode != UNAVAILABLE:
                self.errors.append(f"exit {done.returncode}: {done.stderr!r}")


def test_links_are_cut_nodes_die_and_one_is_slow():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        raise Skip("needs root and iproute2")
    names = ["node1", "node2", "node3", "client1", "client2"]
    with Home() as h, Network(names) as net:
        # The identity comes first: two clients must not make one each.
        h.run("--store", f"local:{h.path('pads')}", "init").expect()
        nodes = {host: start_node(net, h, host) for host in names[:3]}
        url = "caf://" + ",".join(f"{net.address(host)}:{PORT}" for host in names[:3])
        clients = [Client(net, h, host, url) for host in names[3:]]
        try:
            for c in clients:
                c.start()
            wait_until(lambda: all(c.puts >= 2 for c in clients), what="the first puts")
            net.link("node1", "down")                        # its packets vanish
            time.sleep(1.5)
            net.link("node1", "up")
            nodes["node2"].kill()
            nodes["node2"].wait()
            time.sleep(1)
            nodes["node2"] = start_node(net, h, "node2")
            slowed = net.slow("node3")
            print(f"  node3 was slow: {slowed or 'no, this kernel has neither netem nor tbf'}")
            time.sleep(1.5)
            nodes["node1"].send_signal(signal.SIGTERM)
            assert nodes["node1"].wait(60 * PATIENCE) == 0
            before = [c.puts for c in clients]
            wait_until(lambda: all(c.puts >= b + 2 for c, b in zip(clients, before)), 90, "puts with a dead and a slow node")
            if slowed:
                net.quick("node3")
            nodes["node1"] = start_node(net, h, "node1")
            time.sleep(0.5)
        finally:
            for c in clients:
                c.over.set()
            for c in clients:
                c.join()
        try:
            for c in clients:
                assert not c.errors, c.errors
                assert c.acknowledged, f"{c.host} got nothing through"
                for key, value in c.acknowledged.items():
                    got = c.mutant("get", key)
                    assert got.returncode == OK and got.stdout in c.tried[key], f"{key}: exit {got.returncode} {got.stderr!r}"
            print(f"  {[c.puts for c in clients]} puts acknowledged, all found")
        finally:
            for node in nodes.values():
                node.kill()
                node.wait()
                node.stdout.close()


def test_strangers_of_several_hosts_do_not_keep_an_honest_client_waiting():
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise Skip("needs root and iproute2")
    attackers = ["stranger1", "stranger2", "stranger3"]
    attack = pathlib.Path(__file__).with_name("strangers.py")
    with Home() as h, Network(["node1", "client1", *attackers]) as net:
        h.run("--store", f"local:{h.path('quiet')}", "put", "key", stdin=b"value").expect()
        node = start_node(net, h, "node1")
        url = f"caf://{net.address('node1')}:{PORT}"
        try:
            for kind in ("greeted-and-silent", "never-greeting", "puts-that-stop", "large-puts-that-stop", "connection-flood"):
                words = [sys.executable, attack, "--attack", kind, net.address("node1"), PORT, 60]
                strangers = [subprocess.Popen(net.on(host, *words), stdout=subprocess.PIPE, env=h.environment())
                             for host in attackers]
                try:
                    for s in strangers:
                        assert s.stdout.readline() == b"ready\n"
                    times = []
                    for _ in range(20):
                        begin = time.monotonic()
                        done = subprocess.run(net.on("client1", PROGRAM, "--store", url, "ls"), capture_output=True,
                                              env=h.environment(), timeout=60 * PATIENCE)
                        times.append(time.monotonic() - begin)
                        assert done.returncode == OK, done.stderr
                    expect_soon(times, lambda: h.run("--store", f"local:{h.path('quiet')}", "ls").expect(), kind)
                finally:
                    for s in strangers:
                        s.kill()
                        s.wait()
                        s.stdout.close()
                median = sorted(times)[len(times) // 2]
                print(f"  {kind} from three hosts: ls median {median * 1000:.0f} ms, most {max(times) * 1000:.0f}", flush=True)
        finally:
            node.kill()
            node.wait()
            node.stdout.close()


if __name__ == "__main__":
    main(globals())
