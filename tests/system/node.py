#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""The node and its clients as real processes over loopback: plain, TLS, several fronts, loss of nodes, orderly end."""
import contextlib, json, os, random, signal, socket, ssl, subprocess, threading, time

from mutant_system import *


class Node:
    """`mutant node` over a store, a directory or a URL; the port is known when the constructor returns."""

    def __init__(self, h, directory, *options, listen="127.0.0.1:0"):
        self.log = h.path(f"node-{random.randrange(10 ** 9)}.log")
        store = directory if str(directory).startswith(("rados:", "s3:")) else f"local:{directory}"
        words = ["--json", "node", "--listen", listen, "--store", store, "--log-json", *options]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env=h.environment())
        line = self.process.stdout.readline()
        assert line, f"the node did not start: {self.log.read_text()}"
        self.ready = json.loads(line)
        assert "port" in self.ready, f"the node did not start: {self.ready}"
        self.port = self.ready["port"]

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60 * PATIENCE)
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def nodes(h, count, *options):
    started = []
    try:
        for _ in range(count):
            started.append(Node(h, h.path("pads"), *options))
        yield started
    finally:
        for node in started:
            if node.process.poll() is None:
                node.kill()


def url_of(started, scheme="caf"):
    return f"{scheme}://" + ",".join(f"127.0.0.1:{n.port}" for n in started)


def test_every_command_works_through_a_node():
    with Home() as h, nodes(h, 1) as started:
        h.options = ["--store", url_of(started)]
        large = os.urandom(3 * CHUNK + 5)
        h.put("small", b"hello")
        h.put("large", large)
        assert h.get("small") == b"hello" and h.get("large") == large
        assert h.run("get", "large", "--range", f"{CHUNK - 2}-{CHUNK + 1}").expect().out == large[CHUNK - 2:CHUNK + 2]
        h.run("mv", "small", "moved").expect()
        assert sorted(h.keys()) == ["large", "moved"]
        h.run("rm", "--wipe", "large").expect()
        h.run("purge").expect()
        assert h.run("stats", "--json").expect().json
        assert started[0].stop() == 0
        h.run("--connect-timeout", "1", "get", "moved").expect(UNAVAILABLE, f"127.0.0.1:{started[0].port}")
        # What the node kept is a store like any other.
        h.options = ["--store", f"local:{h.path('pads')}"]
        assert h.get("moved") == b"hello"


def test_a_node_that_others_can_reach_wants_tls():
    with Home() as h:
        h.run("node", "--listen", "0.0.0.0:0", "--store", f"local:{h.path('pads')}").expect(USAGE, "--insecure")
        h.run("node", "--listen", "nowhere", "--store", f"local:{h.path('pads')}").expect(USAGE)


def test_tls_with_made_certificates_and_without():
    with Home() as h:
        certs = h.path("certs")
        h.run("node", "--make-certs", certs, "--names", "127.0.0.1").expect()
        tls = lambda who: ["--tls-cert", certs / f"{who}.pem", "--tls-key", certs / f"{who}-key.pem", "--tls-ca",
                           certs / "ca.pem"]
        node = Node(h, h.path("pads"), *tls("node"))
        try:
            url = url_of([node], "cafs")
            value = os.urandom(2 * CHUNK)
            h.path("value", value)
            h.run("--store", url, *tls("client"), "put", "key", h.path("value")).expect()
            assert h.run("--store", url, *tls("client"), "get", "key").expect().out == value
            # No certificate: told before anything is sent; foreign ones: refused by the other side, which says so.
            h.run("--store", url, "--connect-timeout", "1", "get", "key").expect(USAGE)
            foreign = h.path("foreign")
            h.run("node", "--make-certs", foreign, "--names", "127.0.0.1").expect()
            h.run("--store", url, "--connect-timeout", "1", "--tls-cert", foreign / "client.pem", "--tls-key",
                  foreign / "client-key.pem", "--tls-ca", certs / "ca.pem", "get", "key").expect(UNAVAILABLE)
            h.run("--store", url_of([node]), "--connect-timeout", "1", "get", "key").expect(UNAVAILABLE)
            wait_until(lambda: "refused" in node.log.read_text(), what="the node's log names a refused client")
            assert node.stop() == 0
        finally:
            if node.process.poll() is None:
                node.kill()


def made_certificates(h, *names):
    """A folder with them, and the options that use those of `who`."""
    certs = h.path("certs")
    h.run("node", "--make-certs", certs, "--names", ",".join(names or ["127.0.0.1"])).expect()
    return certs, lambda who: ["--tls-cert", certs / f"{who}.pem", "--tls-key", certs / f"{who}-key.pem", "--tls-ca",
                               certs / "ca.pem"]


def test_tls_is_1_3_or_1_2_with_ephemeral_keys_and_authenticated_encryption():
    with Home() as h:
        certs, tls = made_certificates(h)
        node = Node(h, h.path("pads"), *tls("node"))

        def connect(versions, ciphers="ALL:@SECLEVEL=0"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(certs / "ca.pem")
            context.load_cert_chain(certs / "client.pem", certs / "client-key.pem")
            context.minimum_version = context.maximum_version = versions
            context.set_ciphers(ciphers)
            with socket.create_connection(("127.0.0.1", node.port), timeout=20) as plain, \
                    context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                return secured.cipher()[0], secured.recv(1)

        try:
            assert connect(ssl.TLSVersion.TLSv1_3)[1] == b"\0"   # the node's greeting begins
            assert connect(ssl.TLSVersion.TLSv1_2)[0].startswith("ECDHE-")
            for good in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
                assert connect(ssl.TLSVersion.TLSv1_2, good)[0] == good
            refused = [(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),     # CBC
                       (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"),
                       (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"),             # no ephemeral keys
                       (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-CCM"),
                       (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")]
            for version, cipher in refused:
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    raise AssertionError(f"{version.name} {cipher}: {connect(version, cipher)}")
            assert node.stop() == 0
        finally:
            if node.process.poll() is None:
                node.kill()


def test_sighup_reads_certificates_again_and_a_list_says_who_gets_in():
    with Home() as h:
        certs, tls = made_certificates(h)
        h.run("node", "--make-certs", certs, "--client", "alice").expect()
        h.run("node", "--make-certs", certs, "--client", "alice").expect(USAGE, "--renew")
        node = Node(h, h.path("pads"), *tls("node"), "--tls-allow", "alice,bob")
        try:
            ls = lambda who: h.run("--store", url_of([node], "cafs"), "--connect-timeout", "1", *tls(who), "ls")
            h.run("--store", url_of([node], "cafs"), *tls("alice"), "init").expect()
            ls("alice").expect()
            ls("client").expect(UNAVAILABLE)
            assert any("--tls-allow" in line.get("reason", "") for line in node.lines())

            said = lambda text: sum(text in line["message"] for line in node.lines())
            before = (certs / "node.pem").read_bytes()
            h.run("node", "--make-certs", certs, "--renew").expect()
            assert (certs / "node.pem").read_bytes() != before
            node.process.send_signal(signal.SIGHUP)
            wait_until(lambda: said("read again") == 1, what="the new certificates")
            (certs / "node.pem").write_bytes(b"not a certificate")
            node.process.send_signal(signal.SIGHUP)
            wait_until(lambda: said("could not be read again") == 1, what="a word about bad certificates")
            ls("alice").expect()
            assert node.stop() == 0
        finally:
            if node.process.poll() is None:
                node.kill()


def test_a_client_says_that_a_network_without_tls_is_one():
    with Home() as h:
        h.run("init").expect()
        for url, warned in (("caf://127.0.0.1:1", False), ("caf://[::1]:1", False), ("caf://localhost:1", False),
                            ("caf://192.0.2.1:1", True), ("caf://127.0.0.1:1,node.invalid:1", True)):
            done = h.run("--store", url, "--connect-timeout", "1", "ls").expect(UNAVAILABLE)
            assert ("without TLS" in done.err) == warned, done


def test_puts_go_on_while_nodes_are_killed_and_come_back():
    with Home() as h, nodes(h, 3) as started:
        h.options = ["--store", url_of(started)]
        rng = random.Random(7)
        acknowledged, over = {}, threading.Event()

        def put_on():
            n = 0
            while not over.is_set():
                key, value = f"key{n % 20}", rng.randbytes(rng.choice([10, 5000, CHUNK + 100]))
                h.put(key, value)
                acknowledged[key] = value
                n += 1

        writer = threading.Thread(target=put_on)
        writer.start()
        try:
            for round_ in range(6):
                time.sleep(0.4)
                victim = round_ % 3
                port = started[victim].port
                if round_ % 2:
                    started[victim].kill()
                else:
                    assert started[victim].stop() == 0
                time.sleep(0.3)
                started[victim] = Node(h, h.path("pads"), listen=f"127.0.0.1:{port}")
        finally:
            over.set()
            writer.join()
        assert len(acknowledged) >= 5, f"only {len(acknowledged)} puts came through"
        for key, value in acknowledged.items():
            assert h.get(key) == value, key
        for node in started:
            assert node.stop() == 0
            assert node.lines()[-1]["message"] == "stopped"


def anonymous_bytes(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def test_a_flood_from_eight_clients_stays_within_what_may_be_pending():
    pending = 32 << 20
    with Home() as h, nodes(h, 1, "--max-pending", str(pending)) as started:
        source = h.path("source", os.urandom((16 if SANITIZED else 48) << 20))
        words = lambda i: ["--store", url_of(started), "--home", h.path(f"owner{i}"), "put", "key", source]
        clients = [h.start(*words(i)) for i in range(8)]
        peak = 0
        while any(c.poll() is None for c in clients):
            peak = max(peak, anonymous_bytes(started[0].process.pid))
            time.sleep(0.005)
        for c in clients:
            err = c.communicate()[1]
            assert c.returncode == OK, err
        print(f"  peak {peak >> 20} MiB of anonymous memory, {pending >> 20} MiB may be pending")
        if not SANITIZED:
            assert peak < pending + (200 << 20), f"{peak >> 20} MiB"
        assert started[0].stop() == 0


def test_what_a_node_may_keep_is_bounded_and_a_put_that_failed_there_takes_none_of_it():
    with Home() as h, nodes(h, 1, "--max-bytes", "18M") as started:  # four chunks
        h.options = ["--store", url_of(started)]
        two, four = (h.path(f"{chunks}", os.urandom(chunks * CHUNK)) for chunks in (2, 4))
        h.run("put", "two", two).expect()
        for number in range(2):
            # It finds room for half of its chunks; what comes next is another process.
            h.run("put", "four", four).expect(UNAVAILABLE, "may keep")
            h.run("put", f"other {number}", four).expect(UNAVAILABLE, "may keep")
            assert h.get("two") == two.read_bytes()
            h.run("rm", "two").expect()
            h.run("put", "four", four).expect()
            h.run("put", "two", two).expect(UNAVAILABLE, "may keep")
            h.run("rm", "four").expect()
            h.run("put", "two", two).expect()
        # A value is replaced again and again, by what is left and what it leaves.
        small = h.path("small")
        for _ in range(4):
            small.write_bytes(os.urandom(CHUNK))
            h.run("put", "small", small).expect()
            assert h.get("small") == small.read_bytes()
        assert h.get("two") == two.read_bytes()
        assert "0 left by unfinished puts" in h.run("purge", "--dry-run").expect().out.decode()


if __name__ == "__main__":
    main(globals())
