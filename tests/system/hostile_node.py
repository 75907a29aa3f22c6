#!/usr/bin/env python3
# ctest: TIMEOUT 180
"""What a node says is a claim: whatever code and text it answers with, exit codes stay the program's own, and nothing that it
wrote reaches the terminal as anything but text."""
import contextlib, socket, struct, threading

from mutant_system import *
from node import nodes

HEADER = struct.Struct(">BHBIQQQ")   # kind, zero, flags, payload bytes, data, source, target
RESPONSE = 1 << 63
# Colours, a window's title, a cleared screen, a faked prompt; C1 as UTF-8 and as bytes; what turns text around.
TEXT = b"\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x07\r\nuser@host:~$ \xc2\x9b31m\x9d0;x\x9c\xe2\x80\xae\x7f" + b"A" * 5000
CODES = ["key_not_found", "key_exists", "version_mismatch", "pad_not_found", "stale_counter", "pad_conflict", "bad_signature",
         "corrupt_record", "decrypt_failed", "too_large", "store_full", "overloaded", "timeout", "unreachable",
         "access_denied", "rollback_detected", "index_corrupt", "invalid_argument", "io_error", "unsupported", "cancelled",
         "store_damaged"]
# What a client tries again for as long as it has patience.
PASSING = {"overloaded", "timeout", "unreachable"}
# With no word of ours in it: damage, an unavailable store, or a failure. A store in which nothing is found is an empty one.
ALLOWED = {"pad_not_found": {OK, NOT_FOUND}, "corrupt_record": {INTEGRITY}, "bad_signature": {INTEGRITY},
           "store_damaged": {INTEGRITY}}


def text(x):
    length, out = len(x), b""
    while length >= 0x80:
        out += bytes([length & 0x7F | 0x80])
        length >>= 7
    return out + bytes([length]) + x


def atom(name):
    value = 0xF
    for letter in name:   # small letters are all that is needed
        value = value << 6 | (ord(letter) - ord("a") + 38)
    return value


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def failure(code, message):
    return (text(b"") + struct.pack(">H", 0) + text(b"@<>+@error") + struct.pack(">BQH", code, atom("mutant"), 0)
            + text(b"@<>+@str+@u64") + text(message) + struct.pack(">Q", 7))


class HostileNode:
    """Greets like a node, and answers every request with one error."""

    def __init__(self, greeting):
        self.greeting, self.code, self.socket = greeting, 1, socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError, ConnectionError):
            connection.sendall(self.greeting)
            while True:
                kind, _, _, size, data, source, target = HEADER.unpack(receive(connection, HEADER.size))
                receive(connection, size)
                if kind == 2:
                    answer = failure(self.code, TEXT)
                    connection.sendall(HEADER.pack(2, 0, 0, len(answer), data | RESPONSE, target, source) + answer)


def greeting_of_a_node(h):
    with nodes(h, 1) as started, socket.create_connection(("127.0.0.1", started[0].port)) as connection:
        head = receive(connection, HEADER.size)
        return head + receive(connection, HEADER.unpack(head)[3])


def assert_harmless(what, outcome):
    for name, stream in (("stdout", outcome.out), ("stderr", outcome.raw)):
        shown = stream.decode()   # it is UTF-8
        bad = [c for c in shown if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f" or c in "\u202e\u2028\u2029"]
        assert not bad, f"{what}: {bad[:5]} on {name}:\n{outcome}"
        assert len(stream) < 8000, f"{what}: {len(stream)} bytes on {name}"
        assert all(line.startswith(("mutant: ", "{")) for line in shown.splitlines()), f"{what}: a faked line\n{outcome}"


def run(h, *words):
    child = h.start(*words)
    out, err = child.communicate(timeout=100 * PATIENCE)
    outcome = Outcome(words, child.returncode, out, err)
    outcome.raw = err
    return outcome


def test_no_code_and_no_text_of_a_node_is_taken_for_the_programs_own():
    with Home() as h:
        h.run("init", "--store", f"local:{h.path('pads')}").expect()
        node = HostileNode(greeting_of_a_node(h))
        h.options = ["--store", f"caf://127.0.0.1:{node.port}", "--connect-timeout", "1"]
        for number, name in [*enumerate(CODES, 1), (0, "none"), (99, "unknown")]:
            if name in PASSING:
                continue
            node.code = number
            for words in (["get", "key"], ["--json", "ls"]):
                h.forget_cache()
                outcome = run(h, *words)
                allowed = ALLOWED.get(name, {OTHER, INTEGRITY, UNAVAILABLE})
                assert outcome.code in allowed, f"{name}: exit {outcome.code}\n{outcome}"
                assert_harmless(name, outcome)


if __name__ == "__main__":
    main(globals())
