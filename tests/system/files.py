#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Files at both ends: what names lead to, files that are not what their size says, holes, commands, and names with anything in
them."""
import random

from mutant_system import *

noise = random.Random(20240712)


def shell(h, script, **popen):
    """With $MUTANT and the home set."""
    return subprocess.run(["bash", "-c", script], env={**h.environment(), "MUTANT": PROGRAM}, cwd=h.folder, timeout=120,
                          capture_output=True, **popen)


def test_a_get_follows_links_and_replaces_nothing_but_files():
    with Home() as h:
        h.put("x", b"new")
        real, link = h.path("real", b"old"), h.path("link")
        link.symlink_to("real")
        h.run("get", "x", link).expect()
        assert link.is_symlink() and real.read_bytes() == b"new"
        h.path("dangling").symlink_to("made")
        h.run("get", "x", h.path("dangling")).expect()
        assert h.path("dangling").is_symlink() and h.path("made").read_bytes() == b"new"
        h.path("round").symlink_to("round")
        h.run("get", "x", h.path("round")).expect(OTHER, err="symbolic links")
        # A device, under a name of its own: the machine's must not be what a test can break.
        h.path("null").symlink_to("/dev/null")
        h.run("get", "x", h.path("null")).expect()
        assert h.path("null").is_symlink() and not os.path.isfile("/dev/null")


def test_standard_output_by_its_names_is_standard_output():
    with Home() as h:
        value = noise.randbytes(2 * CHUNK + 5)
        h.put("x", value)
        h.path("stdout").symlink_to("/proc/self/fd/1")
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", h.path("stdout")):
            h.run("get", "x", name).expect(out=value)
            # To a file, behind what is there.
            out = h.path("out", b"before ")
            assert shell(h, f"$MUTANT get x {name} >>out").returncode == 0
            assert out.read_bytes() == b"before " + value, name
        done = shell(h, "exec 7>seven; $MUTANT get x /dev/fd/7 && $MUTANT get x /dev/fd/7")
        assert done.returncode == 0 and h.path("seven").read_bytes() == value + value, done
        assert h.path("stdout").is_symlink() and os.path.islink("/dev/stdout")


def test_owner_and_mode_of_a_file_are_kept_without_setuid():
    with Home() as h:
        h.put("x", b"new")
        for mode in (0o600, 0o640, 0o444, 0o755, 0o4755, 0o2755):
            target = h.path("target", b"old")
            os.chmod(target, mode)
            if os.geteuid() == 0:
                os.chown(target, 4321, 8765)
                os.chmod(target, mode)
            h.run("get", "x", target).expect()
            now = target.stat()
            assert now.st_mode & 0o7777 == mode & 0o777, oct(now.st_mode)
            assert os.geteuid() != 0 or (now.st_uid, now.st_gid) == (4321, 8765)
            assert target.read_bytes() == b"new"
            target.unlink()


def test_holes_come_back_as_holes():
    size = 40 * CHUNK + 1234
    with Home() as h:
        source, target = h.path("source"), h.path("target")
        with open(source, "wb") as file:
            file.truncate(size)
            for place in (0, 9 * CHUNK - 3, 20 * CHUNK, 30 * CHUNK + 5000):
                file.seek(place)
                file.write(noise.randbytes(10_000))
        if source.stat().st_blocks * 512 > size // 2:
            raise Skip("no holes on this file system")
        h.run("put", "sparse", source).expect()
        h.run("get", "sparse", target).expect()
        assert subprocess.run(["cmp", source, target]).returncode == 0
        assert target.stat().st_blocks * 512 <= source.stat().st_blocks * 512 + (64 << 10), target.stat()
        # Into a pipe they are zeros.
        assert shell(h, "$MUTANT get sparse | cmp - source").returncode == 0


def test_a_hole_of_any_length_costs_next_to_nothing():
    size = (1 if SANITIZED else 4) << 30
    with Home() as h:
        source, target = h.path("source", b"x"), h.path("target")
        os.truncate(source, size)
        if source.stat().st_blocks * 512 > 1 << 20:
            raise Skip("no holes on this file system")
        h.put("empty", b"x" * 2000)
        before = sum(path.stat().st_blocks * 512 for path in h.store.iterdir())
        h.run("put", "sparse", source).expect()
        taken = sum(path.stat().st_blocks * 512 for path in h.store.iterdir()) - before
        assert taken < 1500 * (size // CHUNK), f"{taken} bytes for {size // CHUNK} chunks"
        h.run("get", "sparse", target).expect()
        assert target.stat().st_size == size and target.stat().st_blocks * 512 <= 1 << 20, target.stat()


def test_files_that_are_not_what_their_size_says():
    with Home() as h:
        for name in ("/proc/version", "/proc/self/limits", "/sys/kernel/mm/transparent_hugepage/enabled",
                     "/sys/devices/system/cpu/online"):
            try:
                with open(name, "rb") as file:
                    content = file.read()
            except OSError:
                continue
            h.run("put", "x", name).expect()
            got = h.get("x")
            assert len(got) > 0 and (got == content or "self" in name), name


def test_a_file_that_grows_is_stored_as_it_was_or_says_what_to_do():
    with Home() as h:
        log = h.path("log", noise.randbytes(12 * CHUNK))
        start = log.read_bytes()
        # As long as a writer is there.
        writer = subprocess.Popen([sys.executable, "-c", "import sys\nf = open(sys.argv[1], 'ab', 0)\n"
                                   "while True: f.write(b'another line of the log')", str(log)])
        try:
            wait_until(lambda: log.stat().st_size > len(start), what="the log to grow")
            h.run("put", "log", log).expect(OTHER, err=["changed while it was read", "--snapshot", "pipe"])
            h.run("get", "log").expect(NOT_FOUND)
            h.run("put", "--snapshot", "log", log).expect()
        finally:
            writer.kill()
            writer.wait()
        stored, whole = h.get("log"), log.read_bytes()
        assert len(stored) > len(start) and whole.startswith(stored)
        h.run("put", "--snapshot", "log", stdin=b"1").expect(USAGE, err="--snapshot")


def test_a_command_counts_only_if_it_succeeds():
    with Home() as h:
        h.run("put", "db", "--from-command", "--", "printf", "%s-%s", "first", "value").expect()
        assert h.get("db") == b"first-value"
        big = ("head", "-c", str(3 * CHUNK), "/dev/zero")
        h.run("put", "big", "--from-command", "--", *big).expect()
        assert h.get("big") == bytes(3 * CHUNK)
        for script, say in (("exit 3", "exit code 3"), ("echo half; exit 1", "exit code 1"),
                            (f"head -c {3 * CHUNK} /dev/zero; exit 9", "exit code 9"), ("echo half; kill -9 $$", "signal 9"),
                            ("exec 1>&-; sleep 0.2; exit 4", "exit code 4"), ("true", "--allow-empty")):
            h.run("put", "db", "--from-command", "--", "sh", "-c", script).expect(
                USAGE if say == "--allow-empty" else OTHER, err=["'db'", say])
            assert h.get("db") == b"first-value"
        h.run("put", "db", "--from-command", "--", "no such program").expect(USAGE, err=["no such program"])
        h.run("put", "db", "--from-command").expect(USAGE, err="wants a command")
        assert h.get("db") == b"first-value"
        h.run("put", "db", "--from-command", "--allow-empty", "--", "true").expect()
        assert h.get("db") == b""
        # The command has the signals of any program, and ends with the put.
        h.run("put", "signals", "--from-command", "--", "sh", "-c", "yes | head -1; kill -INT $$; echo not").expect(
            OTHER, err="signal 2")
        child = h.start("put", "db", "--from-command", "--", "sh", "-c", f"echo $$ >{h.path('pid')}; exec sleep 1000")
        wait_until(lambda: h.path("pid").exists() and h.path("pid").read_text().strip(), what="the command to start")
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == INTERRUPTED
        pid = int(h.path("pid").read_text())
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or " Z " in open(f"/proc/{pid}/stat").read(),
                   what="the command to be ended")


def test_nothing_at_all_is_no_value_unless_it_is_meant():
    with Home() as h:
        h.put("db", b"good")
        for script in ("false | $MUTANT put db", "$MUTANT put db </dev/null", "$MUTANT put db <(true)"):
            done = shell(h, script)
            assert done.returncode == USAGE and b"--allow-empty" in done.stderr, done
            assert h.get("db") == b"good"
        h.path("empty", b"")
        for script in ("$MUTANT put db empty", "$MUTANT put db <empty", "true | $MUTANT put --allow-empty db",
                       "$MUTANT put db /dev/null"):
            h.put("db", b"good")
            assert shell(h, script).returncode == 0, script
            assert h.get("db") == b""


def test_who_has_read_enough_is_no_failure_and_what_is_stored_is_said():
    with Home() as h:
        h.put("one", b"1")
        for i in range(60):
            h.put(f"{'k' * 4000}{i}", b"1")
        for words in ("ls", "ls -l", "ls --json", "ls -0"):
            done = shell(h, f"set -o pipefail; $MUTANT {words} | head -c 10")
            assert (done.returncode, done.stderr) == (0, b""), done
        for words, say in (("put new one", b"stored new"), ("--json put new one", b"stored new"), ("--quiet put n one", None),
                           ("mv new newer", b"renamed new"), ("rm newer", b"removed newer")):
            h.path("one", b"1")
            done = shell(h, f"$MUTANT {words} >/dev/full")
            if say is None:
                assert (done.returncode, done.stderr) == (0, b""), done
            else:
                assert done.returncode == OTHER and b"No space left" in done.stderr and say in done.stderr, done
        assert "newer" not in h.keys() and "n" in h.keys()


def test_any_name_goes_through_a_pipe():
    with Home() as h:
        names = ["a", "line\nfeed", "tab\t", " ", "-rf", b"\xff\xfe", "last\n"]
        for name in names:
            h.put(name, b"1")
        listed = h.run("ls", "-0").expect().out
        assert listed.endswith(b"\0")
        assert set(listed[:-1].split(b"\0")) == {n if isinstance(n, bytes) else n.encode() for n in names}
        h.run("ls", "-0", "--json").expect(USAGE)
        h.run("rm", "--stdin0", stdin=b"a\0line\nfe").expect(USAGE, err="cut off")
        h.run("rm", "--stdin0", "a", stdin=b"a\0").expect(USAGE)
        h.run("rm").expect(USAGE)
        h.run("rm", "--stdin0", stdin=b"").expect()
        assert h.run("ls", "-0").expect().out == listed
        done = shell(h, "$MUTANT ls -0 | $MUTANT rm --stdin0")
        assert done.returncode == 0, done
        h.run("ls").expect(out=b"")


def test_renaming_a_key_to_itself_is_done():
    with Home() as h:
        h.put("a", b"1")
        before = h.run("stat", "a", "--json").expect().json
        h.run("mv", "a", "a").expect()
        h.run("mv", "none", "none").expect(NOT_FOUND)
        assert h.run("stat", "a", "--json").expect().json == before


def test_unfinished_uploads_are_listed_when_asked_for():
    with Home() as h:
        h.put("whole", b"1")
        done = shell(h, f"$MUTANT put half --from-command -- sh -c 'head -c {30 * CHUNK} /dev/zero; exit 1'")
        assert done.returncode == OTHER, done
        h.run("ls").expect(out=b"whole\n")
        assert [i["key"] for i in h.run("ls", "--json").expect().json["keys"]] == ["whole"]
        assert b"half  (pending, " in h.run("ls", "--pending").expect().out
        assert [i["key"] for i in h.run("ls", "--json", "--pending").expect().json["keys"]] == ["half", "whole"]
        h.run("rm", "half").expect()
        h.run("ls", "--pending").expect(out=b"whole\n")


if __name__ == "__main__":
    main(globals())
