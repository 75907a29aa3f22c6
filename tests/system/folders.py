#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Whole folders: in and out again with all that is in them, unchanged ones not read, mirrors, patterns, what cannot be read or
written is named, and a get never writes outside of its folder."""
import os, pathlib, random, shutil, stat, subprocess

from mutant_system import *

noise = random.Random(20260301)


def tree(folder):
    """All that is in a folder: path to what it is, with mode and time."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        info = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[os.fsencode(path.relative_to(folder))] = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode),
                                                        info.st_mtime_ns, what)
    return found


def contents(folder):
    return {path: what[3] for path, what in tree(folder).items()}


def write(path, content=b"", mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def a_folder(home):
    """Something of everything."""
    top = home.path("source")
    for size in (0, 1, 1024, 1025, 16_384, 70_000, 300_000, CHUNK + 1):
        write(top / "sizes" / str(size), noise.randbytes(size))
    write(top / "modes" / "run", b"#!", 0o755)
    write(top / "modes" / "secret", b"s", 0o600)
    write(top / ("n" * 255), b"long")
    write(top / os.fsdecode(b"not \xff UTF-8"), b"bytes")
    write(top / "a\nb [c]* 'd'", b"odd")
    for name in ("o-", "o/in", "o0"):   # '/' sorts between the others
        write(top / "order" / name, name.encode())
    (top / "empty/deep").mkdir(parents=True)
    (top / "link").symlink_to("modes/run")
    (top / "out").symlink_to("../../etc/passwd")
    (top / "loop").symlink_to("loop")
    os.utime(top / "link", ns=(1, 10**18 + 7), follow_symlinks=False)
    os.utime(top / "sizes/1", ns=(1, -5))
    (top / "empty").chmod(0o711)
    os.utime(top / "empty", ns=(1, 10**18 + 1))
    return top


def test_a_folder_comes_back_as_it_was():
    with Home() as h:
        source, target = a_folder(h), h.path("target")
        os.utime(source, ns=(1, 10**18 + 3))
        stored = h.run("put", "-r", source, "docs", "--json").expect().json
        assert (stored["files"], stored["links"], stored["failed"]) == (16, 3, 0), stored
        fetched = h.run("get", "-r", "docs", target, "--json").expect().json
        assert {**fetched, "bytes": 0} == {**stored, "bytes": 0} and fetched["bytes"] == stored["bytes"], (stored, fetched)
        assert tree(source) == tree(target)
        assert target.stat().st_mtime_ns == 10**18 + 3
        assert not [name for name in os.listdir(target) if name.startswith(".mutant-")]
        # A key of it is a value like any other; a prefix with its '/' is the same folder.
        h.run("get", "docs/modes/run").expect(out=b"#!")
        h.run("get", "-r", "docs/modes/", h.path("modes")).expect()
        assert contents(h.path("modes")) == {b"run": b"#!", b"secret": b"s"}
        # Without a prefix: the store itself.
        h.run("get", "-r", "", h.path("all")).expect()
        assert tree(source) == tree(h.path("all/docs"))


def test_what_is_unchanged_is_not_read():
    with Home() as h:
        source, target = a_folder(h), h.path("target")
        h.run("put", "-r", source, "docs").expect()
        h.run("get", "-r", "docs", target).expect()
        for words in (("put", "-r", source, "docs"), ("get", "-r", "docs", target)):
            again = h.run(*words, "--json").expect().json
            assert again["files"] == again["links"] == again["folders"] == 0 and again["unchanged"] > 20, again
        before = h.run("stats", "--json").expect().json["index"]["sequence"]
        # The same size and time, other bytes: only who reads it can know. All else is kept, not stored once more.
        for name in ("modes/run", "sizes/70000"):
            file = source / name
            times = file.stat()
            file.write_bytes(file.read_bytes()[::-1])
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert h.run("put", "-r", source, "docs", "--json").expect().json["files"] == 0
        assert h.run("stats", "--json").expect().json["index"]["sequence"] == before
        assert h.get("docs/modes/run") == b"#!"
        checked = h.run("put", "-r", source, "docs", "--checksum", "--json").expect().json
        assert checked["files"] == 2, checked
        assert h.get("docs/modes/run") == b"!#"
        h.run("get", "-r", "docs", target).expect()
        assert contents(target) != contents(source)
        h.run("get", "-r", "docs", target, "--checksum").expect()
        assert tree(target) == tree(source)
        # A mode alone.
        (source / "modes/run").chmod(0o700)
        (source / "empty").chmod(0o755)
        assert h.run("put", "-r", source, "docs", "--json").expect().json["unchanged"] == again["unchanged"] - 2
        h.run("get", "-r", "docs", target).expect()
        assert tree(target) == tree(source)


def test_mirrors():
    with Home() as h:
        source, target = a_folder(h), h.path("target")
        (source / os.fsdecode(b"not \xff UTF-8")).unlink()
        h.put("docsx", b"beside")
        h.put("docs", b"above")
        h.run("put", "-r", source, "docs").expect()
        h.run("get", "-r", "docs", target).expect()
        shutil.rmtree(source / "sizes")
        (source / "modes/run").unlink()
        shutil.rmtree(source / "order")
        write(source / "order", b"a file now")
        (source / "link").unlink()
        write(source / "link/x", b"a folder now")
        write(source / "keep.o", b"o")
        before = set(h.keys())
        told = h.run("put", "-r", source, "docs", "--delete", "--dry-run", "--exclude", "1024").expect()
        assert b"would remove " in told.out and set(h.keys()) == before
        h.run("put", "-r", source, "docs").expect()
        assert before < set(h.keys())   # nothing goes without --delete
        h.run("put", "-r", source, "docs", "--delete", "--exclude", "1024").expect()
        assert "docs/sizes/1024" in h.keys() and "docs/sizes/1" not in h.keys()   # what is excluded stays
        assert h.get("docs") == b"above" and h.get("docsx") == b"beside"
        h.run("put", "-r", source, "docs", "--delete").expect()
        write(target / "extra/deep/file")
        write(target / "keep.o/x")
        h.run("get", "-r", "docs", target, "--delete", "--exclude", "extra", "--exclude", "*.o").expect()
        assert (target / "extra/deep/file").exists() and (target / "keep.o/x").exists()
        h.run("get", "-r", "docs", target, "--delete").expect()
        assert tree(target) == tree(source)
        for words in (("put", "-r", source, "", "--delete"), ("rm", "-r", "")):
            h.run(*words).expect(USAGE, err="store")
        assert h.get("docs") == b"above"


def test_excludes():
    with Home() as h:
        top = h.path("source")
        for name in ("a.c", "a.o", "build/a.c", "src/build/b.c", "src/top", "top", "src/x.tmp"):
            write(top / name, b"1")
        rules = h.path("rules", b"# what is built\nbuild/\n\n/top\n")
        h.run("put", "-r", top, "s", "--exclude", "*.o", "--exclude-from", rules, "--exclude", "src/*.tmp").expect()
        assert h.keys() == ["s/", "s/a.c", "s/src/", "s/src/top"]
        h.run("get", "-r", "s", h.path("target"), "--exclude", "src").expect()
        assert contents(h.path("target")) == {b"a.c": b"1"}
        for words, message in ((["--exclude", "[a"], "without its ']'"), (["--exclude-from", h.path("none")], "No such file"),
                               (["--exclude-from", h.path("bad", b"ok\n!a\n")], "line 2")):
            code = OTHER if "none" in str(words) else USAGE
            h.run("put", "-r", top, "s", *words).expect(code, err=message)
        h.run("put", "x", top / "a.c", "--exclude", "a").expect(USAGE, err="--exclude goes with -r")


def test_patterns():
    with Home() as h:
        for key in ("d/a.txt", "d/b.txt", "d/e/c.txt", "d/*.txt", "x"):
            h.put(key, key.encode())
        h.run("get", "d/*.txt").expect(out=b"d/*.txt")   # a key, unless --glob says otherwise
        h.run("get", "--glob", "d/[ab].txt", h.path("one")).expect()
        assert set(contents(h.path("one"))) == {b"a.txt", b"b.txt"}
        h.run("get", "--glob", "**.txt", h.path("all")).expect()
        assert set(contents(h.path("all"))) == {b"d", b"d/a.txt", b"d/b.txt", b"d/*.txt", b"d/e", b"d/e/c.txt"}
        h.run("rm", "d/*.txt").expect()
        assert h.keys() == ["d/a.txt", "d/b.txt", "d/e/c.txt", "x"]
        h.run("rm", "--glob", "d/*.txt", "--dry-run").expect()
        assert len(h.keys()) == 4
        h.run("rm", "--glob", "d/*.txt").expect()
        assert h.keys() == ["d/e/c.txt", "x"]
        h.run("rm", "--glob", "d/*.txt").expect(NOT_FOUND, err="no key matches")
        h.run("rm", "-r", "d", "nothing").expect(NOT_FOUND, err="'nothing/'")
        assert h.keys() == ["x"]
        h.run("get", "-r", "nothing", h.path("none")).expect(NOT_FOUND)
        assert not h.path("none").exists()


def test_one_that_cannot_be_read_is_named_and_the_rest_goes_on():
    if os.geteuid() != 0:
        raise Skip("it takes root to be somebody else")
    with Home() as h:
        top = h.path("source")
        for name in ("a", "b/c", "d/e", "z"):
            write(top / name, name.encode())
        h.give_to(NOBODY)
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        h.run("put", "-r", top, "t", **as_nobody).expect()
        (top / "a").chmod(0)
        (top / "b").chmod(0)
        write(top / "new", b"new", 0o644)
        os.mkfifo(top / "pipe")
        os.utime(top / "a")
        h.give_to(NOBODY)
        done = h.run("put", "-r", top, "t", "--delete", "--json", **as_nobody)
        done.expect(OTHER, err=[f"put '{top}/a': opening it: Permission denied", f"{top}/b/", "is a pipe"])
        assert (done.json["failed"], done.json["left_out"], done.json["removed"]) == (2, 1, 0), done
        assert [f["path"] for f in done.json["failures"]] == ["a", "b/"]
        # What could not be seen is not taken for removed.
        keys = [item["key"] for item in h.run("ls", "--json", **as_nobody).expect().json["keys"]]
        assert keys == ["t/", "t/a", "t/b/", "t/b/c", "t/d/", "t/d/e", "t/new", "t/z"], keys
        # And the other way round: a place that may not be written to.
        target = h.path("target")
        write(target / "d/e", b"theirs")
        os.chown(target, NOBODY, NOBODY)
        (target / "d").chmod(0o755)
        h.run("get", "-r", "t", target, **as_nobody).expect(OTHER, err=["t/d/e", "Permission denied"])
        assert contents(target) == {b"a": b"a", b"b": None, b"b/c": b"b/c", b"d": None, b"d/e": b"theirs", b"new": b"new",
                                    b"z": b"z"}


def test_a_get_writes_nothing_outside():
    with Home() as h:
        outside = h.path("outside")
        write(outside / "kept", b"kept")
        before = tree(h.folder / "outside")
        source, target = h.path("source"), h.path("target")
        source.mkdir()
        (source / "way").symlink_to("../outside")
        write(source / "good", b"good")
        h.run("put", "-r", source, "t").expect()
        hostile = ["t/../outside/x", f"t/{outside}/x", "t//x", "t/./x", "t/a/../../outside/x", "t/way/kept", "t/way/x",
                   "t/way/sub/x", "t/there/kept", "t/there/sub/x", "t/..", "t/."]
        for key in hostile:
            h.put(key, b"hostile")
        h.put("t/slash/", b"a value with a slash at its end")
        target.mkdir()
        (target / "there").symlink_to(outside)
        for options in ([], ["--checksum"], ["--owner"] if os.geteuid() == 0 else []):
            done = h.run("get", "-r", "t", target, *options, "--json").expect(OTHER)
            assert done.json["failed"] == len(hostile) + 1, done
            for key in hostile:
                assert f"get '{key}': " in done.err, done
            assert tree(outside) == before
            assert contents(target) == {b"good": b"good", b"way": "../outside", b"there": str(outside)}
        # Of a mirror the link that is in the way goes; what it led to does not.
        h.run("get", "-r", "t", target, "--delete").expect(OTHER)
        assert (target / "there").is_dir() and not (target / "there").is_symlink()
        assert contents(target / "there") == {b"kept": b"hostile", b"sub": None, b"sub/x": b"hostile"}
        assert tree(outside) == before
        # The folder itself may be one.
        h.path("door").symlink_to(target)
        h.run("get", "t/good", h.path("one")).expect()
        h.run("rm", "-r", "t").expect()
        h.run("put", "-r", source, "t").expect()
        h.run("get", "-r", "t", h.path("door"), "--delete").expect()
        assert contents(target) == {b"good": b"good", b"way": "../outside"} and tree(outside) == before


def in_mounts(home, script, *words):
    """Runs a script where mounts are its own."""
    return subprocess.run(["unshare", "--mount", "sh", "-ec", script, "sh", *map(str, words)], env=home.environment(),
                          capture_output=True, timeout=120 * PATIENCE)


def test_mounts_and_full_disks():
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        raise Skip("mounts of our own take root and a namespace")
    with Home() as h:
        source, target = h.path("source"), h.path("target")
        write(source / "a", b"a")
        (source / "mounted").mkdir()
        target.mkdir()
        mount = "mount -t tmpfs -o size=1m none \"$1/mounted\"; echo in > \"$1/mounted/file\"; exec \"$2\" put -r \"$1\" t $3"
        done = in_mounts(h, mount, source, PROGRAM, "--one-file-system")
        assert done.returncode == 0, done
        assert h.keys() == ["t/", "t/a", "t/mounted/"]
        assert in_mounts(h, mount, source, PROGRAM, "--delete").returncode == 0
        assert h.get("t/mounted/file") == b"in\n"
        # What was not entered is not taken for empty.
        assert in_mounts(h, mount, source, PROGRAM, "--one-file-system --delete").returncode == 0
        assert h.get("t/mounted/file") == b"in\n"
        shutil.rmtree(source)
        values = {f"f{i:02}": noise.randbytes(100_000 if i % 3 else 400_000) for i in range(20)}
        for name, value in values.items():
            write(source / name, value)
        h.run("put", "-r", source, "full").expect()
        kept = h.path("kept")
        done = in_mounts(h, "mount -t tmpfs -o size=1m none \"$1\"; code=0; \"$2\" get -r full \"$1\" || code=$?; "
                         "cp -r \"$1\" \"$3\"; exit $code", target, PROGRAM, kept)
        assert done.returncode == OTHER and b"No space left" in done.stderr, done
        there = contents(kept)
        assert 2 <= len(there) < len(values)
        for name, value in there.items():
            assert value == values[name.decode()], f"{name} is not whole"
        missing = set(values) - {name.decode() for name in there}
        assert all(f"get 'full/{name}': ".encode() in done.stderr for name in missing), done


def test_a_damaged_value_does_not_stop_the_rest():
    with Home() as h:
        source, target = h.path("source"), h.path("target")
        for name in "abc":
            write(source / name, noise.randbytes(100_000))
        h.run("put", "-r", source, "t").expect()
        values = [copies for copies in records(h.store).values() if copies[0].payload > 90_000]
        assert len(values) == 3
        flip(values[1], 160 + 5000)
        done = h.run("get", "-r", "t", target, "--json").expect(INTEGRITY)
        assert done.json["failed"] == 1 and done.json["files"] == 2, done
        assert len(contents(target)) == 2


def test_what_is_in_a_folder():
    with Home() as h:
        source = h.path("source")
        write(source / "a/x", bytes(1000), 0o751)
        write(source / "a/b/y", bytes(2000))
        (source / "link").symlink_to("a")
        h.run("put", "-r", source, "t").expect()
        h.put("tx", b"beside")
        used = h.run("du", "t", "--json").expect().json["folders"]
        assert used == [{"prefix": "t/a/b/", "values": 1, "bytes": 2000}, {"prefix": "t/a/", "values": 2, "bytes": 3000},
                        {"prefix": "t/", "values": 3, "bytes": 3001}], used
        assert h.run("du", "t", "--depth", "1", "--json").expect().json["folders"] == used[1:]
        assert h.run("du", "-s", "--json").expect().json["folders"] == [{"prefix": "", "values": 4, "bytes": 3007}]
        assert h.run("du", "-s", "t").expect().out.split() == b"2.9 KiB 3 values t/".split()
        h.run("du", "nothing").expect(NOT_FOUND)
        h.run("du", "-s", "--depth", "1").expect(USAGE)
        assert h.run("ls", "-R", "t").expect().out.split() == [b"t/", b"t/a/", b"t/a/b/", b"t/a/b/y", b"t/a/x", b"t/link"]
        modes = [line.split()[0] for line in h.run("ls", "-lR", "t").expect().out.splitlines()]
        assert modes == [b"drwxr-xr-x"] * 3 + [b"-rw-r--r--", b"-rwxr-x--x", b"lrwxrwxrwx"], modes


def test_usage():
    with Home() as h:
        source = h.path("source")
        write(source / "a", b"a")
        h.run("put", "-r", source).expect(USAGE, err="put -r DIR PREFIX")
        h.run("put", "key", source).expect(USAGE, err="put -r DIR PREFIX")
        h.run("put", "-r", h.path("none"), "t").expect(NOT_FOUND, err="there is no folder")
        h.run("put", "-r", source / "a", "t").expect(USAGE, err="is not a folder")
        h.run("put", "-r", source, "t", "--if-absent").expect(USAGE, err="--if-absent does not go with -r")
        h.run("put", "-r", source, "p" * 4095).expect(OTHER, err="more than 4096")
        h.run("put", "-r", source, "t").expect()
        h.run("get", "-r", "t").expect(USAGE, err="get -r PREFIX DIR")
        h.run("get", "-r", "--glob", "t", source).expect(USAGE, err="exclude each other")
        h.run("get", "-r", "t", source / "a").expect(OTHER)
        h.run("rm", "x", "--dry-run").expect(USAGE, err="--dry-run goes with -r")


if __name__ == "__main__":
    main(globals())
