"""What the system tests share: a home in a temporary folder, running the program, and running tests by name.

A test is a function called test_…; `main()` runs all of them, or those whose names contain one of the words given. Helper
module: no test itself (no #! line).
"""
import contextlib, hashlib, json, os, pathlib, shutil, signal, statistics, struct, subprocess, sys, tempfile, time, traceback

PROGRAM = os.environ["MUTANT"]
SANITIZED = bool(os.environ.get("MUTANT_SANITIZE"))
# Under a sanitizer everything takes several times as long.
PATIENCE = 10 if SANITIZED else 1
CHUNK = 4_190_208  # the default chunk of a value (core/limits.hpp)

NOBODY = 65534
OK, OTHER, USAGE, NOT_FOUND, PRECONDITION, INTEGRITY, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


class Skip(Exception):
    pass


class Outcome:
    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"mutant {' '.join(map(repr, self.words))}\n  exit {self.code}\n  stdout {self.out[:2000]!r}\n"
                f"  stderr {self.err[:2000]!r}")

    def expect(self, code=OK, err=None, out=None):
        """The exit code, and texts that must appear."""
        assert self.code == code, f"exit {self.code}, expected {code}:\n{self}"
        for text in [err] if isinstance(err, str) else err or []:
            assert text in self.err, f"{text!r} is not in the message:\n{self}"
        if out is not None:
            assert self.out == out, f"expected {out[:200]!r} ({len(out)} bytes) on standard output:\n{self}"
        return self


class Home:
    """A home with its own environment; `command` is how the program is called in it."""

    def __init__(self, folder=None, options=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="mutant-test-"))
        self.home = self.folder / "home"
        self.options = list(options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name, content=None):
        path = self.folder / name
        if content is not None:
            path.write_bytes(content)
        return path

    def secret(self, name, content):
        """A file that its owner alone may read."""
        path = self.path(name, content)
        path.chmod(0o600)
        return path

    def give_to(self, user):
        for path in [self.folder, *self.folder.rglob("*")]:
            os.lchown(path, user, user)

    @property
    def store(self):
        return self.home / "store"

    @property
    def data_file(self):
        return self.store / "data.mdb"

    def environment(self, extra=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MUTANT_HOME", "MUTANT_STORE",
                                                                                         "MUTANT_PASS", "XDG_"))}
        env.update(MUTANT_HOME=str(self.home), HOME=str(self.folder))
        env.update(extra or {})
        return {name: value for name, value in env.items() if value is not None}

    def start(self, *words, env=None, **popen):
        words = [os.fsencode(w) if isinstance(w, (str, pathlib.Path)) else w for w in (*self.options, *words)]
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([PROGRAM, *words], env=self.environment(env), **popen)

    def run(self, *words, stdin=None, env=None, timeout=120, **popen):
        if stdin is not None:
            popen["stdin"] = subprocess.PIPE
        child = self.start(*words, env=env, **popen)
        try:
            out, err = child.communicate(stdin, timeout=timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"no end after {timeout * PATIENCE} s: {Outcome(words, None, out or b'', err or b'')}")
        done = Outcome(words, child.returncode, out or b"", err or b"")
        # The program ends with a code when something in it aborts: that is never what a test wants.
        assert "an internal fault" not in done.err, f"the program aborted:\n{done}"
        return done

    # What most tests do most of the time.
    def put(self, key, value, *options):
        return self.run("put", *options, *(() if value else ("--allow-empty",)), "--", key, stdin=value).expect()

    def get(self, key):
        return self.run("get", "--", key).expect().out

    def keys(self):
        return [item["key"] for item in self.run("ls", "--json").expect().json["keys"] if "version" in item]

    def forget_cache(self):
        shutil.rmtree(self.home / "cache", ignore_errors=True)


# -- looking into a store -------------------------------------------------------------------------------------------------

BLOCK = 4096


class Record:
    """A record as it lies in a store (docs/format.md, "Records" and "Local store"): whole in LMDB's file, or only its header
    there, followed by the place of its payload in a segment file. LMDB's unused space has the remains of older records, partly
    overwritten by others: valid is only what matches its hash."""

    def __init__(self, store, offset, data):
        self.file, self.offset = store / "data.mdb", offset
        self.counter, self.kind, self.payload, _ = struct.unpack_from("<QQII", data, offset + 8)
        self.address = bytes(data[offset + 32:offset + 64])
        self.size = 160 + self.payload
        self.segment = None
        if self.payload >= BLOCK and offset + 176 <= len(data):
            number, block = struct.unpack_from("<II", data, offset + 160)
            segment = store / f"segment-{number:010}"
            if segment.exists() and block * BLOCK + self.payload <= segment.stat().st_size:
                self.segment, self.block = segment, block
        self.valid = (self.kind == 0 and self.counter > 0 and self.size <= 4_194_304
                      and hashlib.sha256(self.content(data)).digest() == data[offset + 64:offset + 96])

    def content(self, data):
        if self.segment is None:
            return data[self.offset + 160:self.offset + self.size]
        with open(self.segment, "rb") as segment:
            segment.seek(self.block * BLOCK)
            return segment.read(self.payload)

    def place(self, byte):
        if byte >= 160 and self.segment is not None:
            return self.segment, self.block * BLOCK + byte - 160
        return self.file, self.offset + byte


def records(store):
    """Every record in a store by (address, counter); LMDB leaves old copies behind, so there may be several of one."""
    data = (store / "data.mdb").read_bytes() if (store / "data.mdb").exists() else b""
    found, at = {}, data.find(b"MPAD\x02")
    while at >= 0:
        if at + 160 <= len(data):
            record = Record(store, at, data)
            if record.valid:
                found.setdefault((record.address, record.counter), []).append(record)
        at = data.find(b"MPAD\x02", at + 1)
    return found


def flip(copies, byte, bit=0):
    """Flips one bit at the same place of all copies of a record; the same again puts it back."""
    for file, offset in {record.place(byte) for record in copies}:
        with open(file, "r+b") as opened:
            opened.seek(offset)
            old = opened.read(1)[0]
            opened.seek(offset)
            opened.write(bytes([old ^ (1 << bit)]))


def content_of(folder):
    """All files in a folder, to see whether anything was written."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(pathlib.Path(folder).rglob("*"))
            if p.is_file() and p.name != "lock.mdb"}


# -- running --------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def unprivileged():
    """Skips what root cannot see: for root no file is unreadable."""
    if os.geteuid() == 0:
        raise Skip("needs a user other than root")
    yield


def as_nobody():
    """Options for Popen that drop root's rights, or none if there are none to drop."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def wait_until(condition, seconds=30, what="something that should happen"):
    end = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * PATIENCE} s for {what}")
        time.sleep(0.005)


def expect_soon(times, undisturbed, what):
    """The median of these is below a second; on a machine that has more to do than this, below four times the median of what
    `undisturbed` takes there now, which must be of the same kind."""
    median = statistics.median(times)
    if median < PATIENCE:
        return
    others = []
    for _ in times:
        begin = time.monotonic()
        undisturbed()
        others.append(time.monotonic() - begin)
    print(f"  the machine is busy: what nobody disturbs takes {statistics.median(others) * 1000:.0f} ms", flush=True)
    assert median < 4 * statistics.median(others), f"{what}: {times}, and undisturbed {others}"


def main(tests):
    chosen = [t for name, t in tests.items() if name.startswith("test_") and callable(t)
              and (not sys.argv[1:] or any(word in name for word in sys.argv[1:]))]
    failed = skipped = 0
    for test in chosen:
        begin = time.monotonic()
        try:
            test()
            result = "ok"
        except Skip as why:
            skipped += 1
            result = f"skipped: {why}"
        except Exception:
            failed += 1
            result = "FAILED\n" + traceback.format_exc()
        print(f"{test.__name__}: {result} ({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{len(chosen)} tests, {failed} failed, {skipped} skipped")
    if failed:
        sys.exit(1)
    sys.exit(77 if chosen and skipped == len(chosen) else 0)
