#!/usr/bin/env python3
# ctest: TIMEOUT 900
"""A node under strangers who hold or flood its connections: from one address, from several, and from the honest client's own.

Under each attack an `ls` of an honest client answers within a second (median of 20), and nothing of the node grows beyond its
bounds: memory, log, descriptors. Attackers come back at once when they are shown out. Loopback only; `--attack KIND HOST PORT
SECONDS [SOURCE…]` is one attacker by itself, for tests on other networks.
"""
import contextlib, os, random, selectors, socket, ssl, statistics, sys, threading, time

from mutant_system import *
from hostile_node import HEADER, atom, receive, text
from node import Node, anonymous_bytes

RECORD = 4_194_304
MAX_CONNECTIONS = 256
RUNS = 20


def greet(connection):
    """Reads a node's greeting and answers it; the actor that requests go to."""
    head = receive(connection, HEADER.size)
    greeting = receive(connection, HEADER.unpack(head)[3])
    me = atom("default").to_bytes(8, "big") + random.randbytes(24)
    connection.sendall(HEADER.pack(1, 0, 0, len(me), 0, 0, 0) + me)
    applications_end = 32 + 1 + 1 + len("generic-caf-app")
    return int.from_bytes(greeting[applications_end:applications_end + 8], "big")


def begin_put(connection, sent):
    """A put of a whole record, of which so many bytes are sent, as far as the kernel takes them."""
    target = greet(connection)
    size, length = RECORD, b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    front = text(b"") + b"\0\0" + text(b"@<>+@atom+mutant::bytes") + atom("put").to_bytes(8, "big") + length + bytes([size])
    connection.sendall(HEADER.pack(2, 0, 0, len(front) + RECORD, 1 << 60 | 1, 1, target) + front)
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.send(bytes(sent))


# What an attacker does with a connection, and how many it holds; none: it lets go of each at once.
ATTACKS = {
    "greeted-and-silent": (greet, 256),
    "never-greeting": (lambda connection: None, 300),
    "puts-that-stop": (lambda connection: begin_put(connection, 100_000), 200),
    "large-puts-that-stop": (lambda connection: begin_put(connection, 3_500_000), 33),
    "connection-flood": (lambda connection: None, 0),
}


class Attack(threading.Thread):
    def __init__(self, kind, host, port, sources=("127.0.0.1",)):
        super().__init__(daemon=True)
        (self.act, self.held), self.target, self.sources = ATTACKS[kind], (host, port), sources
        self.over, self.ready, self.made, self.open = threading.Event(), threading.Event(), 0, set()
        self.closed = selectors.DefaultSelector()

    def __enter__(self):
        self.start()
        self.ready.wait(20 * PATIENCE)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        for connection in self.open:
            connection.close()

    def run(self):
        while not self.over.is_set():
            if self.held == 0 or len(self.open) < self.held:
                self.connect()
            if self.made >= (self.held or 200):
                self.ready.set()
            wait = 0.005 if self.held and len(self.open) >= self.held else 0
            for key, _ in self.closed.select(wait) if self.open else ():
                with contextlib.suppress(BlockingIOError):
                    try:
                        gone = not key.fileobj.recv(65536)
                    except ConnectionError:
                        gone = True
                    if gone:
                        self.drop(key.fileobj)

    def connect(self):
        connection = None
        self.made += 1
        try:
            source = self.sources[self.made % len(self.sources)]
            connection = socket.create_connection(self.target, timeout=2, source_address=(source, 0) if source else None)
            self.act(connection)
        except (OSError, ConnectionError):
            if connection:
                connection.close()
            return
        if self.held == 0:
            connection.close()
            return
        connection.setblocking(False)
        self.open.add(connection)
        self.closed.register(connection, selectors.EVENT_READ)

    def drop(self, connection):
        self.closed.unregister(connection)
        self.open.discard(connection)
        connection.close()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def measure(h, node, kind, sources, *options):
    """An honest client while strangers are at it, and what the node takes meanwhile."""
    times, memory, most_descriptors = [], 0, 0
    h.run("--store", f"local:{h.path('quiet')}", "put", "key", stdin=b"value").expect()
    with Attack(kind, "127.0.0.1", node.port, sources) as attack:
        for _ in range(RUNS):
            begin = time.monotonic()
            h.run(*options, "ls").expect()
            times.append(time.monotonic() - begin)
            memory = max(memory, anonymous_bytes(node.process.pid))
            most_descriptors = max(most_descriptors, descriptors(node.process.pid))
        made = attack.made
        expect_soon(times, lambda: h.run("--store", f"local:{h.path('quiet')}", "ls").expect(), kind)
    log = node.log.stat().st_size
    print(f"  {kind} from {len(sources)} ({sources[0]}…): ls median {statistics.median(times) * 1000:.0f} ms, most "
          f"{max(times) * 1000:.0f}; {made} connections made; {memory >> 20} MiB, {most_descriptors} descriptors, "
          f"{log >> 10} KiB of log", flush=True)
    if not SANITIZED:
        assert memory < 300 << 20, f"{kind}: {memory >> 20} MiB"
    # Places, newcomers, what is being closed, and the node's own.
    assert most_descriptors < MAX_CONNECTIONS + 128 + 200, f"{kind}: {most_descriptors} descriptors"
    assert log < 256 << 10, f"{kind}: {log} bytes of log"


@contextlib.contextmanager
def attacked_node(h, *options):
    node = Node(h, h.path("pads"), *options)
    try:
        yield node
        assert node.stop() == 0
    finally:
        if node.process.poll() is None:
            node.kill()


ONE, SEVERAL, SAME = ("127.0.0.2",), tuple(f"127.0.0.{n}" for n in range(2, 10)), ("127.0.0.1",)


def under_plain_attack(kind):
    with Home() as h, attacked_node(h) as node:
        url = f"caf://127.0.0.1:{node.port}"
        h.run("--store", url, "put", "key", stdin=b"value").expect()
        for sources in (ONE, SEVERAL, SAME):
            measure(h, node, kind, sources, "--store", url)


def test_clients_that_greet_and_are_silent():
    under_plain_attack("greeted-and-silent")


def test_connections_that_never_greet():
    under_plain_attack("never-greeting")


def test_puts_that_begin_and_stop():
    under_plain_attack("puts-that-stop")


def test_large_puts_that_stop_before_their_end():
    under_plain_attack("large-puts-that-stop")


def test_a_flood_of_connections():
    under_plain_attack("connection-flood")


def test_half_open_tls_connections_and_a_flood_of_them():
    with Home() as h:
        certs = h.path("certs")
        h.run("node", "--make-certs", certs, "--names", "127.0.0.1").expect()
        tls = lambda who: ["--tls-cert", certs / f"{who}.pem", "--tls-key", certs / f"{who}-key.pem", "--tls-ca",
                           certs / "ca.pem"]
        with attacked_node(h, *tls("node")) as node:
            honest = ["--store", f"cafs://127.0.0.1:{node.port}", *tls("client")]
            h.run(*honest, "put", "key", stdin=b"value").expect()
            for kind in ("never-greeting", "connection-flood"):
                for sources in (ONE, SAME):
                    measure(h, node, kind, sources, *honest)


def test_a_node_without_descriptors_pauses_and_goes_on():
    """As many connections as the process has descriptors for: accepting pauses instead of spinning, it is said once, and an
    honest client still gets in."""
    with Home() as h:
        h.run("node", "--listen", "127.0.0.1:0", "--max-connections", "1000000000", "--store",
              f"local:{h.path('pads')}").expect(OTHER, "ulimit -n")
        with attacked_node(h) as node:
            url = f"caf://127.0.0.1:{node.port}"
            h.run("--store", url, "put", "key", stdin=b"value").expect()
            pid = node.process.pid
            have = descriptors(pid)
            subprocess.run(["prlimit", f"--nofile={have + 20}:{have + 20}", "--pid", str(pid)], check=True)
            with Attack("greeted-and-silent", "127.0.0.1", node.port, ONE):
                begin, busy = time.monotonic(), cpu_seconds(pid)
                for _ in range(5):
                    h.run("--store", url, "ls").expect()
                time.sleep(1)
                spent = (cpu_seconds(pid) - busy) / (time.monotonic() - begin)
            said = [line for line in node.lines() if "no more connections can be accepted" in line["message"]]
            print(f"  {spent:.2f} of a processor, said {len(said)} times")
            # Thirty at once, and one more in ten seconds.
            assert 1 <= len(said) <= 30 + (time.monotonic() - begin) / 10 + 1, said
            assert spent < 0.8, f"{spent} of a processor"


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--attack"]:
        kind, host, port, seconds, *sources = sys.argv[2:]
        with Attack(kind, host, int(port), sources or ("",)) as attack:
            print("ready", flush=True)
            time.sleep(float(seconds))
    else:
        main(globals())
