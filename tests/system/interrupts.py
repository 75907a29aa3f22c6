#!/usr/bin/env python3
# ctest: TIMEOUT 200
"""Ctrl-C and its relatives, the progress bar, and questions on a terminal."""
import contextlib, fcntl, json, os, pty, random, select, signal, struct, subprocess, termios, time

from mutant_system import *

noise = random.Random(20240504)
SIZE = (10 if SANITIZED else 60) * CHUNK


class Terminal:
    """A command whose standard error, or everything, is a terminal."""

    def __init__(self, h, *words, everything=False, env=None, **popen):
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        streams = {"stdin": slave, "stdout": slave} if everything else {}
        streams.update(popen)
        self.child = h.start(*words, stderr=slave, preexec_fn=own_terminal, env={"TERM": "xterm", **(env or {})}, **streams)
        self.slave = slave
        self.shown = b""

    def read(self, seconds=0.1):
        if select.select([self.master], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self.shown += os.read(self.master, 65536)
        return self.shown

    def expect(self, text):
        wait_until(lambda: text in self.read(0.05), what=f"{text!r} on the terminal; it shows {self.shown!r}")

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def type(self, text):
        os.write(self.master, text)

    def end(self):
        while self.child.poll() is None:
            self.read()
        while select.select([self.master], [], [], 0.05)[0]:
            self.read()
        return self.child.returncode


def big_source(h):
    """Zeros that are written, not holes: those would not be read."""
    source = h.path("source")
    with open(source, "wb") as file:
        file.write(b"beginning" + bytes(SIZE - 9))
    return source


def pads(h):
    return h.run("stats", "--json").expect().json


def bytes_read(pid):
    try:
        with open(f"/proc/{pid}/io") as counters:
            return int(next(line for line in counters if line.startswith("rchar")).split()[1])
    except (OSError, StopIteration):
        return 0


def test_a_put_is_interrupted():
    with Home() as h:
        h.put("other", b"1")
        source = big_source(h)
        interrupted = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            h.put("x", b"old")
            child = h.start("put", "x", source, "--json")
            wait_until(lambda: child.poll() is not None or bytes_read(child.pid) > 8 * CHUNK, what="the put to get going")
            child.send_signal(number)
            out, err = child.communicate(timeout=60 * PATIENCE)
            if child.returncode == 0:
                continue
            assert child.returncode == INTERRUPTED, (child.returncode, err)
            assert json.loads(out)["error"]["code"] == "cancelled", out
            assert h.get("x") == b"old"
            interrupted += 1
            pending = h.run("stat", "x", "--json").expect().json.get("pending")
            if pending:
                assert b"pending" in h.run("ls", "-l", "--pending").expect().out
                done = h.run("put", "x", source, "--json").expect().json
                assert done["resumed"] and done["chunks_kept"] > 0, done
                assert h.get("x") == b"beginning" + bytes(SIZE - 9)
                assert "pending" not in h.run("stat", "x", "--json").expect().json
            print(f"   {number.name}: pending {pending}")
        assert interrupted > 0 and h.get("other") == b"1"


def test_a_put_from_a_silent_pipe_is_interrupted():
    with Home() as h:
        h.put("x", b"old")
        child = h.start("put", "x", stdin=subprocess.PIPE)
        child.stdin.write(b"some bytes")
        child.stdin.flush()
        time.sleep(0.3)
        begin = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30 * PATIENCE) == INTERRUPTED, child.stderr.read()
        assert time.monotonic() - begin < 3 * PATIENCE
        assert h.get("x") == b"old"
        # Not even its other end is there.
        pipe = h.path("pipe")
        os.mkfifo(pipe)
        child = h.start("put", "x", pipe, "--json")
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=30 * PATIENCE)
        assert child.returncode == INTERRUPTED and json.loads(out)["error"]["code"] == "cancelled"


def test_a_get_is_interrupted():
    with Home() as h:
        h.run("put", "x", big_source(h)).expect()
        target = h.path("target", b"old")
        interrupted = 0
        for twice in (False, True, False):
            child = h.start("get", "x", target)
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
            if twice:
                child.send_signal(signal.SIGINT)
            code = child.wait(timeout=60 * PATIENCE)
            assert code in (OK, INTERRUPTED), (code, child.stderr.read())
            if code == INTERRUPTED:
                interrupted += 1
                # Old, or whole: the signal may come when the new file has its name.
                assert target.read_bytes() in (b"old", (h.folder / "source").read_bytes())
            target.write_bytes(b"old")
            assert sorted(os.listdir(h.folder)) == ["home", "source", "target"], os.listdir(h.folder)
        print(f"   {interrupted} interrupted")


def test_a_get_into_a_pipe_that_nobody_reads_is_interrupted():
    with Home() as h:
        h.put("x", noise.randbytes(2 * CHUNK))
        child = h.start("get", "x")
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30 * PATIENCE) == INTERRUPTED


def test_a_second_signal_ends_it_at_once():
    with Home() as h:
        h.put("x", b"old")
        child = h.start("put", "x", stdin=subprocess.PIPE)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert child.wait(timeout=30 * PATIENCE) == INTERRUPTED
        assert time.monotonic() - begin < 2 * PATIENCE


def test_ignored_signals_stay_ignored():
    with Home() as h:
        child = h.start("put", "x", stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        time.sleep(0.3)
        child.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        child.stdin.write(b"value")
        child.communicate(timeout=30 * PATIENCE)
        assert child.returncode == OK and h.get("x") == b"value"


def test_the_progress_bar():
    with Home() as h:
        h.run("init", "-q").expect()
        feed, source = os.pipe()
        t = Terminal(h, "put", "film", stdin=feed)
        os.close(feed)
        with open(source, "wb") as pipe:
            for _ in range(12):
                pipe.write(noise.randbytes(CHUNK))
                pipe.flush()
                t.read(0.08)
        assert t.end() == OK
        assert b"film" in t.shown and b"MiB/s" in t.shown, t.shown
        assert t.shown.endswith(b"\r\x1b[K"), t.shown[-100:]
        assert t.shown.count(b"\r") < 60
        # Of a known size: a share and the time left; slowed down by whoever reads.
        child = Terminal(h, "get", "film", stdout=subprocess.PIPE)
        for _ in range(13):
            child.child.stdout.read(CHUNK)
            child.read(0.1)
        child.child.stdout.close()
        assert child.end() == OK
        assert b" % " in child.shown and b" left" in child.shown and b"[#" in child.shown, child.shown
        for option in ("--quiet", "--json"):
            quiet = Terminal(h, "get", "film", h.path("target"), option)
            assert quiet.end() == OK and quiet.shown == b"", quiet.shown
        dumb = Terminal(h, "get", "film", h.path("target"), env={"TERM": "dumb"})
        assert dumb.end() == OK and dumb.shown == b"", dumb.shown


def test_a_passphrase_is_asked_for():
    with Home() as h:
        t = Terminal(h, "init", everything=True)
        t.expect(b"Passphrase for the new identity")
        wait_until(lambda: not t.echoes(), what="the echo to be off")
        t.type(b"secret\n")
        t.expect(b"again")
        t.type(b"different\n")
        assert t.end() == USAGE and b"not the same" in t.shown and b"secret" not in t.shown, t.shown
        assert not (h.home / "identity").exists() and t.echoes()
        t = Terminal(h, "init", everything=True)
        for question in (b"new identity", b"again"):
            t.expect(question)
            wait_until(lambda: not t.echoes(), what="the echo to be off")
            t.type(b"secret\n")
        assert t.end() == OK and b"secret" not in t.shown, t.shown
        t = Terminal(h, "ls", everything=True)
        t.expect(b"Passphrase for")
        wait_until(lambda: not t.echoes(), what="the echo to be off")
        t.type(b"\x03")
        assert t.end() == INTERRUPTED and t.echoes(), t.shown
        t = Terminal(h, "put", "x", "--allow-empty", stdin=subprocess.DEVNULL)
        t.expect(b"Passphrase for")
        wait_until(lambda: not t.echoes(), what="the echo to be off")
        t.type(b"secret\n")
        assert t.end() == OK, t.shown
        h.run("get", "x", env={"MUTANT_PASSPHRASE": "secret"}).expect(out=b"")


if __name__ == "__main__":
    main(globals())
