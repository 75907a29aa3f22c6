#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Any file of a local store truncated, missing or damaged anywhere: every command gives what is right, or exit code 5 with one
message and one JSON document. Nothing crashes, hangs, or gives wrong bytes for right ones.

Damages are drawn from a seed: `corruption.py --seed N --rounds N [test…]` runs others, and more of them."""
import argparse, os, random, shutil, signal, socket, subprocess

from mutant_system import *

arguments = argparse.ArgumentParser()
arguments.add_argument("--seed", type=int, default=20261128)
arguments.add_argument("--rounds", type=int, default=12 if SANITIZED else 60)
options, sys.argv[1:] = arguments.parse_known_args()

noise = random.Random(options.seed)
PAGE = 4096
READING = (["ls"], ["get", "small"], ["get", "middling"], ["get", "large"], ["stat", "large"], ["sync"])
WRITING = (["put", "new"], ["put", "middling"], ["rm", "small"], ["mv", "large", "moved"], ["purge"])


class Example:
    """A store with values of all sizes, of which copies are damaged."""

    def __init__(self, keys=40):
        self.home = Home()
        self.values = {"small": b"in the index", "middling": noise.randbytes(30_000), "large": noise.randbytes(2 * CHUNK)}
        for key, value in self.values.items():
            self.home.put(key, value)
        for i in range(keys):
            self.home.put(f"key {i}", noise.randbytes(1100))
        for i in range(keys // 4):
            self.home.run("rm", f"key {i}").expect()
        self.keys = self.home.keys()
        self.whole = self.home.folder / "whole"
        shutil.copytree(self.home.store, self.whole)
        self.files = sorted(p.name for p in self.whole.iterdir())
        self.cache = self.home.folder / "whole-cache"
        shutil.copytree(self.home.home / "cache", self.cache)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.home.__exit__()

    def restore(self, with_cache=False):
        shutil.rmtree(self.home.store, ignore_errors=True)
        shutil.copytree(self.whole, self.home.store)
        self.home.forget_cache()
        if with_cache:
            shutil.copytree(self.cache, self.home.home / "cache")

    def check(self, words, damage):
        """One command on what is there: 0 and right, or 5; returns the code."""
        value = b"a new value"
        try:
            done = self.home.run(*words, "--json", *([self.home.folder / "target"] if words[0] == "get" else []), stdin=value,
                                 timeout=30)
            assert done.code in (OK, INTEGRITY), f"exit {done.code}"
            document = done.json  # exactly one
            if done.code == INTEGRITY:
                assert document["error"]["code"] in done.err or document["error"]["message"] in done.err
                assert len([line for line in done.err.splitlines() if line.startswith("mutant: " + words[0])]) <= 1
                assert "accept-rollback" not in done.err, "a damaged store is to be accepted"
            elif words[0] == "get":
                assert (self.home.folder / "target").read_bytes() == self.values[words[1]], "another value"
            elif words[0] == "ls":
                assert [item["key"] for item in document["keys"] if "version" in item] == self.keys, "other keys"
            return done.code
        except Exception as wrong:
            raise AssertionError(f"{damage}, then {words}: {wrong}\n{done if 'done' in dir() else ''}") from wrong


def truncated_sizes(size):
    sizes = {0, 1, 15, 16, 100, PAGE - 1, PAGE, PAGE + 16, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE, size // 2, size - PAGE, size - 1}
    return sorted(s for s in sizes if 0 <= s < size)


def test_truncated_files():
    with Example() as e:
        seen = set()
        for name in e.files:
            size = (e.whole / name).stat().st_size
            for to in truncated_sizes(size):
                for words in noise.sample(READING, 2) + noise.sample(WRITING, 1):
                    e.restore(with_cache=noise.random() < 0.5)
                    os.truncate(e.home.store / name, to)
                    code = e.check(words, f"{name} of {size} bytes cut to {to}")
                    seen.add((name, code))
                    if name == "data.mdb" and to < size - PAGE:
                        assert code == INTEGRITY, f"{name} cut to {to} of {size}: {words} saw nothing"
        print("  ", sorted(seen))


def test_missing_files():
    with Example() as e:
        for name in e.files:
            for words in READING + WRITING:
                e.restore(with_cache=noise.random() < 0.5)
                (e.home.store / name).unlink()
                code = e.check(words, f"{name} missing")
                if name == "data.mdb":
                    assert code == INTEGRITY, words
                    assert not e.home.data_file.exists(), "a new store was made in its place"


def spoil(path, kind):
    """Damages a file at a place of its own; returns what was done."""
    size = path.stat().st_size
    pages = size // PAGE
    with open(path, "r+b") as file:
        def write(at, data, what):
            file.seek(at)
            file.write(data)
            return f"{path.name}: {what} at {at}"
        if kind == "bit":
            at = noise.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            return write(at, bytes([byte ^ 1 << noise.randrange(8)]), "a bit flipped")
        if kind == "head":  # page headers and the tables of entries behind them: what is believed most
            at = noise.randrange(pages) * PAGE + noise.randrange(64)
            return write(at, noise.randbytes(noise.choice((1, 2, 4, 8))), "bytes in a page's head")
        if kind == "zeros":
            return write(noise.randrange(pages) * PAGE, bytes(PAGE), "a page of zeros")
        if kind == "noise":
            return write(noise.randrange(pages) * PAGE, noise.randbytes(PAGE), "a page of noise")
        if kind == "moved":
            file.seek(noise.randrange(pages) * PAGE)
            return write(noise.randrange(pages) * PAGE, file.read(PAGE), "another page")
        if kind == "ones":
            return write(noise.randrange(pages) * PAGE + noise.randrange(PAGE - 8), b"\xff" * 8, "ones")
    raise ValueError(kind)


def test_damaged_pages():
    with Example() as e:
        codes = {OK: 0, INTEGRITY: 0}
        for round in range(options.rounds):
            name = noise.choice(["data.mdb"] * 8 + e.files)
            kind = noise.choice(("bit", "head", "head", "head", "zeros", "noise", "moved", "ones"))
            e.restore(with_cache=noise.random() < 0.3)
            damage = spoil(e.home.store / name, kind)
            for words in noise.sample(READING, 2) + noise.sample(WRITING, 1):
                code = e.check(words, f"round {round}, {damage}")
                codes[code] += 1
                if words[0] in ("put", "rm", "mv", "purge") and code == OK:
                    break  # now it is another store
        print("  ", codes)


def test_each_page_lost():
    """Every page of the data file in turn: what uses it says so, nothing else is wrong."""
    with Example(keys=12) as e:
        pages = (e.whole / "data.mdb").stat().st_size // PAGE
        chosen = range(pages) if pages <= 60 else sorted({0, 1, *noise.sample(range(pages), 40)})
        for page in chosen:
            e.restore()
            with open(e.home.data_file, "r+b") as file:
                file.seek(page * PAGE)
                file.write(bytes(PAGE))
            e.check(["ls"], f"page {page} zero")
            code = e.check(["put", "new"], f"page {page} zero")
            if page < 2:
                assert code == INTEGRITY
            if code == OK:
                assert e.home.get("new") == b"a new value"


def test_a_store_that_is_cut_off_under_a_node():
    with Example() as e:
        e.restore()
        node = e.home.start("node", "--listen", "127.0.0.1:0", "--json")
        try:
            port = json.loads(node.stdout.readline())["port"]
            url = ["--store", f"caf://127.0.0.1:{port}"]
            e.home.run("get", "middling", *url).expect(out=e.values["middling"])
            size = e.home.data_file.stat().st_size
            for to in (size // 2, 3 * PAGE, 0):
                os.truncate(e.home.data_file, to)
                e.home.forget_cache()
                e.home.run("get", "middling", *url, timeout=60).expect(INTEGRITY, err="data.mdb")
                e.home.run("put", "new", *url, stdin=b"1", timeout=60).expect(INTEGRITY)
                assert node.poll() is None, "the node has died"
        finally:
            node.terminate()
            out, err = node.communicate(timeout=60)
        assert node.returncode == 0, (node.returncode, err)


# -- what is no damage ----------------------------------------------------------------------------------------------------

def test_a_first_put_that_was_cut_off():
    """Nothing was stored: looking says so, and the next put goes on, whatever is left of LMDB's first pages."""
    with Home() as h:
        h.run("init").expect()
        h.store.mkdir(parents=True, exist_ok=True)
        h.put("first", b"1")
        head = h.data_file.read_bytes()[:2 * PAGE]
        # As LMDB makes them: no transaction yet, nothing in the databases.
        fresh = bytearray()
        for page in range(2):
            meta = bytearray(head[page * PAGE:page * PAGE + PAGE])
            for database in (40, 88):
                meta[database + 6:database + 8] = bytes(2)
                meta[database + 8:database + 40] = bytes(32)
                meta[database + 40:database + 48] = b"\xff" * 8
            meta[136:144] = (1).to_bytes(8, "little")
            meta[144:152] = bytes(8)
            fresh += meta
        fresh = bytes(fresh)
        lefts = [None, b"", fresh[:1], fresh[:100], fresh[:PAGE], fresh[:PAGE + 50], fresh, bytes(PAGE), bytes(2 * PAGE),
                 bytes(5 * PAGE), fresh + bytes(3 * PAGE), bytes(PAGE) + fresh[PAGE:], fresh[:PAGE] + bytes(PAGE)]
        for left in lefts:
            for lock in (None, b"", bytes(64 * 1024)):
                shutil.rmtree(h.store)
                h.forget_cache()
                h.store.mkdir()
                if left is not None:
                    h.data_file.write_bytes(left)
                if lock is not None:
                    (h.store / "lock.mdb").write_bytes(lock)
                begun = left is not None or lock is not None
                h.run("ls").expect(UNAVAILABLE, err="nothing is stored yet" if begun else "no store")
                h.put("x", b"2")
                assert h.get("x") == b"2" and h.keys() == ["x"]


def test_a_lock_file_of_any_content():
    """It holds nothing that is worth anything: LMDB makes it anew."""
    with Example(keys=4) as e:
        for content in (b"", b"x", noise.randbytes(100), noise.randbytes(64 * 1024), b"\xff" * 200_000):
            e.restore()
            (e.home.store / "lock.mdb").write_bytes(content)
            for words in (["ls"], ["put", "new"], ["get", "large"]):
                assert e.check(words, "a lock file of noise") == OK or words == ["ls"]


if __name__ == "__main__":
    main(globals())
