#!/usr/bin/env python3
# ctest: TIMEOUT 200
"""A local store that can only be read is read: from a read-only mount, from a directory and files of somebody else, while its
owner goes on writing. Writing to it says why not, and nothing is left behind."""
import contextlib, os, random, subprocess, threading

from mutant_system import *

noise = random.Random(20261129)


def fill(h, store):
    """A store outside of the home; returns what is in it."""
    values = {"small": b"1", "middling": noise.randbytes(20_000), "large": noise.randbytes(2 * CHUNK)}
    for key, value in values.items():
        h.run("put", key, "--store", f"local:{store}", stdin=value).expect()
    return values


def check_reading(h, url, values, forget, **popen):
    for again in range(2):  # with and without what the home remembers
        if forget:
            h.forget_cache()
        listed = h.run("ls", "--store", url, **popen).expect()
        assert listed.out.decode().split() == sorted(values) and listed.err == "", listed
        for key, value in values.items():
            h.run("get", key, "--store", url, **popen).expect(out=value)
        assert h.run("stat", "large", "--store", url, **popen).expect().err == ""
        h.run("stats", "--store", url, **popen).expect()
        h.run("sync", "--store", url, **popen).expect()
        h.run("get", "none", "--store", url, **popen).expect(NOT_FOUND)


def check_writing(h, url, reason, **popen):
    for words in (["put", "small"], ["put", "new"], ["rm", "small"], ["mv", "small", "moved"], ["rm", "--wipe", "large"]):
        h.run(*words, "--store", url, stdin=b"2", **popen).expect(OTHER, err=reason)


def check_copying(h, url, values):
    target = f"local:{h.folder}/copy"
    h.run("copy-store", url, target, "--read-back").expect()
    for key, value in values.items():
        h.run("get", key, "--store", target).expect(out=value)


@contextlib.contextmanager
def read_only_mount(folder, at):
    if os.geteuid() != 0:
        raise Skip("only root can mount")
    os.mkdir(at)
    for words in (["mount", "--bind", folder, at], ["mount", "-o", "remount,bind,ro", at]):
        done = subprocess.run(words, capture_output=True)
        if done.returncode != 0:
            subprocess.run(["umount", "-l", at], capture_output=True)
            raise Skip(f"mounting was refused: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", at], check=True)


def test_a_read_only_mount():
    with Home() as h:
        values = fill(h, h.folder / "disk")
        before = content_of(h.folder / "disk")
        for lock_file in (True, False):
            if not lock_file:
                (h.folder / "disk" / "lock.mdb").unlink()
            with read_only_mount(h.folder / "disk", h.folder / f"mounted {lock_file}"):
                url = f"local:{h.folder}/mounted {lock_file}"
                check_reading(h, url, values, forget=lock_file)
                check_writing(h, url, "Read-only file system")
                if lock_file:
                    check_copying(h, url, values)
        assert content_of(h.folder / "disk") == before


def test_a_store_of_somebody_else():
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    with Home() as h:
        values = fill(h, h.folder / "store")
        h.folder.chmod(0o755)
        for path in [h.home, *h.home.rglob("*")]:
            os.chown(path, 65534, 65534)
        for path in (h.folder / "store").iterdir():
            path.chmod(0o644)
        (h.folder / "store").chmod(0o755)
        before = content_of(h.folder / "store")
        url = f"local:{h.folder}/store"
        check_reading(h, url, values, forget=False, **as_nobody())
        check_writing(h, url, "Permission denied", **as_nobody())
        assert content_of(h.folder / "store") == before and sorted(os.listdir(h.folder / "store"))[-1].startswith("segment")


def test_reading_while_its_owner_writes():
    """Nobody waits for a reader that leaves no trace; what it reads is one state all the same."""
    with Home() as h:
        store = h.folder / "disk"
        fill(h, store)
        size = 3 * CHUNK // 2
        versions = [bytes([n]) * size for n in range(4)]
        h.run("put", "changing", "--store", f"local:{store}", stdin=versions[0]).expect()
        with read_only_mount(store, h.folder / "mounted"):
            done = threading.Event()
            wrong = []

            def write():
                for n in range(1, 13):
                    if h.run("put", "changing", "--store", f"local:{store}", stdin=versions[n % 4]).code != OK:
                        wrong.append(n)
                done.set()

            writer = threading.Thread(target=write)
            writer.start()
            reads = 0
            while not done.is_set() or reads == 0:
                got = h.run("get", "changing", "--store", f"local:{h.folder}/mounted").expect()
                assert got.out in versions, f"{len(got.out)} bytes of {set(got.out)}"
                reads += 1
            writer.join()
            assert not wrong, wrong
            print(f"   {reads} reads")


if __name__ == "__main__":
    main(globals())
