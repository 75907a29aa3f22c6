#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Bad input gets a clear error and loses nothing: identities, stores, keys, ranges, usage, sources, full disks."""
import os, random, stat, subprocess, threading, time

from mutant_system import *

noise = random.Random(20240502)


# -- identity ---------------------------------------------------------------------------------------------------------------

def test_a_wrong_passphrase():
    with Home() as h:
        secret = h.secret("secret", b"correct horse\nsecond line\n")
        h.run("init", "--passphrase-file", secret).expect()
        assert b"correct horse" not in (h.home / "identity").read_bytes()
        h.run("put", "x", "--passphrase-file", secret, stdin=b"1").expect()
        before = content_of(h.folder)
        h.run("get", "x", env={"MUTANT_PASSPHRASE": "wrong"}).expect(OTHER, err="does not open with this passphrase", out=b"")
        h.run("put", "x", env={"MUTANT_PASSPHRASE": "wrong"}, stdin=b"2").expect(OTHER, err="passphrase")
        # Without a terminal to ask at.
        asked = h.run("get", "x", start_new_session=True).expect(OTHER, err=["--passphrase-file", "$MUTANT_PASSPHRASE"])
        assert asked.out == b""
        h.run("get", "x", "--passphrase-file", h.path("none")).expect(OTHER, err="none")
        assert content_of(h.folder) == before
        h.run("get", "x", "--passphrase-file", h.secret("empty", b"\n")).expect(USAGE, err="empty")
        h.run("get", "x", env={"MUTANT_PASSPHRASE": "correct horse"}).expect(out=b"1")


def test_what_is_set_but_empty_is_not_taken_for_nothing():
    with Home() as h:
        nothing = h.path("nothing")
        for name in ("MUTANT_PASSPHRASE", "MUTANT_HOME", "MUTANT_STORE", "MUTANT_TLS_CERT", "MUTANT_TLS_KEY", "MUTANT_TLS_CA"):
            for words in (["init"], ["put", "x"], ["put", "x", "--store", "local:" + str(h.folder / "store")]):
                if name == "MUTANT_STORE" and "--store" in words:
                    continue  # an option goes before the environment
                h.run(*words, stdin=b"1", env={name: ""}).expect(USAGE, err=["$" + name, "empty"], out=b"")
        for option in ("--passphrase-file", "--home", "--store", "--tls-cert", "--tls-key", "--tls-ca", "--threads",
                       "--connect-timeout"):
            for words in (["init"], ["put", "x"]):
                h.run(*words, option, "", stdin=b"1").expect(USAGE, err=option, out=b"")
                h.run(*words, option + "=", stdin=b"1").expect(USAGE, err=option, out=b"")
        for option in ("--listen", "--max-bytes", "--max-pending", "--max-connections", "--log-level", "--make-certs",
                       "--names"):
            h.run("node", "--listen", "127.0.0.1:0", option, "").expect(USAGE, err=option, out=b"")
        assert os.listdir(h.folder) == [], "something was made"
        # And once there is something under a passphrase.
        secret = h.secret("secret", b"word\n")
        h.run("put", "x", "--passphrase-file", secret, stdin=b"1").expect()
        h.run("ls", env={"MUTANT_PASSPHRASE": ""}).expect(USAGE, err="$MUTANT_PASSPHRASE")
        h.run("ls", env={"MUTANT_PASSPHRASE": "word"}).expect(out=b"x\n")


def test_a_passphrase_file_that_others_may_use():
    with Home() as h:
        secret = h.secret("secret", b"word\n")
        for mode in (0o644, 0o640, 0o604, 0o602, 0o660):
            secret.chmod(mode)
            h.run("init", "--passphrase-file", secret).expect(OTHER, err=["chmod 600", str(secret)])
        assert not (h.home / "identity").exists()
        secret.chmod(0o600)
        h.run("init", "--passphrase-file", secret).expect()
        secret.chmod(0o644)
        h.run("ls", "--passphrase-file", secret).expect(OTHER, err="chmod 600")
        # From a pipe of the shell's own.
        done = subprocess.run(["bash", "-c", '"$0" ls --passphrase-file <(echo word)', PROGRAM], env=h.environment(),
                              capture_output=True, timeout=60 * PATIENCE)
        assert done.returncode == OK, done


def test_a_passphrase_does_not_stay_in_the_environment():
    with Home() as h:
        h.run("put", "x", "--passphrase-file", h.secret("secret", b"the word\n"), stdin=b"1").expect()
        child = h.start("put", "x", env={"MUTANT_PASSPHRASE": "the word"}, stdin=subprocess.PIPE)
        try:
            # It has opened its store when it takes what it is given: more than a pipe holds.
            child.stdin.write(bytes(1 << 20))
            child.stdin.flush()
            try:
                environment = pathlib.Path(f"/proc/{child.pid}/environ").read_bytes()
            except PermissionError:
                raise Skip("only root may look at it")
            assert b"MUTANT_HOME" in environment and b"the word" not in environment
        finally:
            child.communicate(timeout=60 * PATIENCE)
        assert child.returncode == OK


def test_an_identity_of_another_user():
    if os.geteuid() != 0:
        raise Skip("only root can give a file to another user")
    with Home() as h:
        h.put("x", b"1")
        identity = h.home / "identity"
        os.chown(identity, NOBODY, NOBODY)
        for words in (["get", "x"], ["put", "x"], ["ls"], ["stats"]):
            h.run(*words, stdin=b"2").expect(OTHER, err=["another user", "chown 0", str(identity)], out=b"")
        os.chown(identity, 0, 0)
        assert h.get("x") == b"1"


def test_root_does_not_spoil_the_home_of_a_user():
    if os.geteuid() != 0:
        raise Skip("needs root")
    with Home() as h:
        h.folder.chmod(0o755)
        h.put("x", b"1")
        h.give_to(NOBODY)
        before = content_of(h.folder)
        store = "local:" + str(h.store)
        with Home() as own:
            for words in (["ls"], ["get", "x"], ["put", "x"], ["put", "y"], ["rm", "x"], ["sync"], ["purge"], ["init"],
                          ["copy-store", "local:" + str(own.folder / "copy"), store],
                          ["node", "--listen", "127.0.0.1:0"]):
                h.run(*words, stdin=b"2").expect(OTHER, err=["sudo -u", "nobody"], out=b"")
            own.put("x", b"0")
            for words in (["ls"], ["put", "x"], ["node", "--listen", "127.0.0.1:0"]):
                own.run(*words, "--store", store, stdin=b"2").expect(OTHER, err=["sudo -u", "the store"], out=b"")
        for place in ("new", "new/deeper"):  # below a folder of theirs
            h.run("put", "x", "--home", h.folder / place, stdin=b"2").expect(OTHER, err="sudo -u")
        assert content_of(h.folder) == before
        for path in [h.folder, *h.folder.rglob("*")]:
            assert path.lstat().st_uid == NOBODY, f"{path} is not theirs any more"
        for words in (["ls"], ["put", "y"], ["get", "x"], ["rm", "y"], ["sync"]):
            h.run(*words, stdin=b"3", **as_nobody()).expect()


def test_a_damaged_identity():
    with Home() as h:
        h.put("x", b"1")
        identity = h.home / "identity"
        whole = identity.read_bytes()
        for damaged in (b"", whole[:10], whole[:-20], whole[:-1], whole.replace(b"none", b"nine"), whole + b"x", b"\xff" * 200,
                        b"x" * 100_000, whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]):
            identity.write_bytes(damaged)
            before = content_of(h.folder)
            for words in (["get", "x"], ["ls"], ["put", "x"]):
                h.run(*words, stdin=b"").expect(INTEGRITY, err=[str(identity)], out=b"")
            assert content_of(h.folder) == before
        identity.write_bytes(whole)
        assert h.get("x") == b"1"


def test_an_identity_that_others_may_use():
    with Home() as h:
        h.put("x", b"1")
        identity = h.home / "identity"
        for mode in (0o644, 0o640, 0o604, 0o620):
            identity.chmod(mode)
            h.run("get", "x").expect(OTHER, err=["chmod 600", str(identity)])
            h.run("put", "x", stdin=b"2").expect(OTHER, err="chmod 600")
        identity.chmod(0o600)
        assert h.get("x") == b"1"


def test_an_identity_that_is_unreadable_or_no_file():
    with Home() as h:
        h.put("x", b"1")
        os.chmod(h.folder, 0o755)
        os.chmod(h.home, 0o755)
        identity = h.home / "identity"
        if os.geteuid() == 0:
            h.run("get", "x", **as_nobody()).expect(OTHER, err=[str(identity), "Permission denied"])
        else:
            identity.chmod(0)
            h.run("get", "x").expect(OTHER, err=[str(identity), "Permission denied"])
        identity.unlink()
        identity.mkdir()
        h.run("get", "x").expect(INTEGRITY, err="not a regular file")


def test_a_store_whose_identity_is_gone():
    with Home() as h:
        h.put("x", b"1")
        saved = (h.home / "identity").read_bytes()
        (h.home / "identity").unlink()
        before = content_of(h.folder)
        h.run("put", "x", stdin=b"2").expect(NOT_FOUND, err=["put the identity back", "mutant init"])
        assert content_of(h.folder) == before
        h.run("init").expect()
        h.run("put", "x", stdin=b"2").expect()  # a second owner in the same store
        (h.home / "identity").write_bytes(saved)
        assert h.get("x") == b"1"


# -- store ------------------------------------------------------------------------------------------------------------------

def test_a_store_directory_that_is_missing():
    with Home() as h:
        refused = h.run("put", "x", "--store", f"local:{h.folder}/none/store", stdin=b"1")
        refused.expect(UNAVAILABLE, err=[f"{h.folder}/none", "mkdir"])
        assert not (h.folder / "none").exists() and not (h.home / "identity").exists()
        h.run("init", "--store", f"local:{h.folder}/none/store/").expect(UNAVAILABLE)
        h.put("x", b"1")
        h.run("get", "x", "--store", f"local:{h.folder}/other").expect(UNAVAILABLE, err=["no store", "other"])
        h.run("ls", "--store", f"local:{h.folder}/other").expect(UNAVAILABLE)
        assert not (h.folder / "other").exists()
        h.run("put", "x", "--store", f"local:{h.folder}/other", stdin=b"2").expect()  # its parent is there
        assert h.get("x") == b"1"


def test_a_store_directory_that_is_no_store():
    with Home() as h:
        h.put("x", b"1")
        foreign = h.folder / "foreign"
        foreign.mkdir()
        (foreign / "thesis.tex").write_bytes(b"important")
        lmdb = h.folder / "lmdb"
        lmdb.mkdir()
        (lmdb / "data.mdb").write_bytes(noise.randbytes(8192))
        file = h.path("file", b"a file")
        for place in (foreign, lmdb, file):
            before = content_of(h.folder)
            for words in (["put", "x"], ["ls"]):
                code = UNAVAILABLE if place == foreign and words == ["ls"] else INTEGRITY if place == lmdb else USAGE
                h.run(*words, "--store", f"local:{place}", stdin=b"2").expect(code, err=str(place))
            assert content_of(h.folder) == before


def test_a_store_directory_that_is_not_writable():
    with Home() as h:
        h.put("x", b"1")
        for path in [h.folder, *h.folder.rglob("*")]:
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        h.store.chmod(0o500)
        h.data_file.chmod(0o400)
        (h.store / "lock.mdb").chmod(0o400)
        before = content_of(h.folder)
        h.run("put", "x", stdin=b"2", **as_nobody()).expect(OTHER, err=[str(h.store), "Permission denied"])
        assert content_of(h.folder) == before
        h.store.chmod(0o700)
        h.data_file.chmod(0o600)
        (h.store / "lock.mdb").chmod(0o600)
        h.run("get", "x", **as_nobody()).expect(out=b"1")
        # A home that cannot be made.
        h.folder.chmod(0o500)
        h.run("put", "x", "--home", h.folder / "new", stdin=b"2", **as_nobody()).expect(OTHER, err="Permission denied")
        h.folder.chmod(0o700)


def on_small_disk(work):
    """Runs work(folder) in a tmpfs of 24 MiB."""
    if os.geteuid() != 0:
        raise Skip("only root can mount a small disk")
    folder = tempfile.mkdtemp(prefix="mutant-disk-")
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", folder], capture_output=True)
        if mounted.returncode != 0:
            raise Skip(f"mounting a tmpfs was refused: {mounted.stderr.decode().strip()}")
        try:
            work(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        os.rmdir(folder)


def test_a_full_disk():
    def work(folder):
        with Home() as h:
            h.options = ["--store", f"local:{folder}/store"]
            kept = noise.randbytes(2 * CHUNK)
            h.put("kept", kept)
            h.put("small", b"1")
            for _ in range(3):
                h.run("put", "large", stdin=noise.randbytes(8 * CHUNK)).expect(UNAVAILABLE, err=["'large'", "full"])
                h.run("put", "kept", stdin=noise.randbytes(9 * CHUNK)).expect(UNAVAILABLE, err="full")
                assert h.get("kept") == kept and h.get("small") == b"1"
            assert h.keys() == ["kept", "small"]
            # Even with no room at all one can look, remove and go on.
            with open(f"{folder}/filler", "wb", buffering=0) as filler:
                try:
                    while True:
                        filler.write(bytes(65536))
                except OSError:
                    pass
            assert h.get("kept") == kept
            h.run("put", "new", stdin=noise.randbytes(6 * CHUNK)).expect(UNAVAILABLE, err="full")
            os.unlink(f"{folder}/filler")
            h.run("rm", "--wipe", "kept").expect()  # what is blanked gives its room back to the store
            h.run("put", "new", stdin=noise.randbytes(CHUNK)).expect()
            assert h.keys() == ["new", "small"] and h.get("small") == b"1"
    on_small_disk(work)


def test_a_full_disk_under_the_output_file():
    def work(folder):
        with Home() as h:
            h.put("large", os.urandom(8 * CHUNK))
            target = f"{folder}/target"
            with open(target, "wb") as file:
                file.write(b"old")
            h.run("get", "large", target).expect(OTHER, err=["'large'", "No space left"])
            assert open(target, "rb").read() == b"old" and os.listdir(folder) == ["target"]
    on_small_disk(work)


# -- keys, ranges, usage ----------------------------------------------------------------------------------------------------

def test_keys_that_are_none():
    with Home() as h:
        h.put("k" * 4096, b"1")
        for key, message in (("", "at least one byte"), ("k" * 4097, "4,096 bytes"), ("é" * 2049, "4,096 bytes")):
            for words in (["put", key], ["get", key], ["rm", key], ["stat", key], ["mv", key, "x"], ["mv", "x", key]):
                h.run(*words, stdin=b"").expect(USAGE, err=message)
        assert h.keys() == ["k" * 4096]


def test_values_given_twice():
    with Home() as h:
        h.put("x", b"1")
        h.run("rm", "x", "y", "x").expect(USAGE, err="given twice")
        h.run("put", "x", "--if-version", "1", "--if-version", "2", stdin=b"").expect(USAGE, err="--if-version")
        h.run("put", "x", "--if-absent", "--if-version", "2", stdin=b"").expect(USAGE, err="exclude each other")
        h.run("--home", "a", "ls", "--home", "b").expect(USAGE, err="--home")
        h.run("put", "x", h.path("a", b"a"), h.path("b", b"b")).expect(USAGE, err="not expected")
        h.run("rm", "x", "y", "--if-version", "1").expect(USAGE, err="one key")
        assert h.get("x") == b"1"


def test_ranges_that_are_none():
    with Home() as h:
        h.put("x", b"0123456789")
        for text in ("0-10", "10-10", "11-", "5-99999", "0-9223372036854775807"):
            h.run("get", "x", "--range", text).expect(USAGE, err="10 bytes", out=b"")
        for text in ("", "-", "5", "a-b", "1-2-3", "0x1-5", " 1-2", "1-99999999999999999999", "--", "1,2"):
            h.run("get", "x", "--range=" + text).expect(USAGE, out=b"")
        h.run("get", "x", "--range", "5-4").expect(USAGE, err="before it begins")
        target = h.path("target", b"old")
        h.run("get", "x", target, "--range", "0-10").expect(USAGE)
        assert target.read_bytes() == b"old"


def test_unknown_words():
    with Home() as h:
        h.run("frobnicate").expect(USAGE, err="no command 'frobnicate'")
        h.run().expect(USAGE, err="mutant --help")
        h.run("ls", "--frobnicate").expect(USAGE, err="--frobnicate")
        h.run("put").expect(USAGE, err="KEY")
        h.run("mv", "a").expect(USAGE, err="NEW")
        for url in ("ftp:x", "store", "local:", "memory:x", "caf://host", "caf://host:99999", "rados:", "http://x/"):
            h.run("put", "x", "--store", url, stdin=b"").expect(USAGE, err=url.split(":")[0])
            h.run("ls", env={"MUTANT_STORE": url}).expect(USAGE)
        for count in ("0", "-1", "x", "257", "1.5", "0x10", ""):
            h.run("ls", "--threads=" + count).expect(USAGE)
        for version in ("x", "-1", "1.0", "99999999999999999999", "0x1"):
            h.run("put", "x", "--if-version=" + version, stdin=b"").expect(USAGE, err="--if-version")
        assert not h.home.exists()
        assert b"Usage" in h.run("--help").expect().out and b"KEY" in h.run("put", "--help").expect().out
        assert h.run("--version").expect().out.startswith(b"mutant ")


# -- sources and targets ------------------------------------------------------------------------------------------------------

def in_shell(h, words):
    done = subprocess.run(["sh", "-c", 'exec "$0" ' + words, PROGRAM], env=h.environment(), capture_output=True,
                          timeout=60 * PATIENCE)
    return Outcome([words], done.returncode, done.stdout, done.stderr)


def test_sources_that_cannot_be_read():
    with Home() as h:
        h.put("x", b"1")
        h.run("put", "x", h.folder).expect(USAGE, err="is a directory")
        h.run("put", "x", h.folder / "none").expect(OTHER, err="none: No such file")
        h.run("put", "x", "/proc/self/mem").expect(OTHER, err=["'x'", "/proc/self/mem"])
        in_shell(h, f"put x <'{h.folder}'").expect(OTHER, err="standard input")
        in_shell(h, "put x <&-").expect(OTHER, err="standard input")
        assert h.get("x") == b"1"
        with open("/proc/version", "rb") as version:
            h.run("put", "proc", "/proc/version").expect()  # says it has 0 bytes, and has more
            assert h.get("proc") == version.read()
        unreadable = h.path("unreadable", b"2")
        unreadable.chmod(0)
        for path in [h.folder, *h.folder.rglob("*")]:
            if os.geteuid() == 0 and path != unreadable:
                os.chown(path, 65534, 65534)
        h.run("put", "x", unreadable, **as_nobody()).expect(OTHER, err="Permission denied")


def test_a_source_that_changes_while_it_is_read():
    size = (12 if SANITIZED else 60) * CHUNK
    seen = set()
    with Home() as h:
        h.put("x", b"old")
        for change in ("shrink", "grow", "shrink", "grow"):
            source = h.path("source")
            with open(source, "wb") as file:
                file.truncate(size)
                file.write(b"first")
            started = time.time_ns()
            child = h.start("put", "x", source)
            wait_until(lambda: child.poll() is not None or is_open(child.pid, source), what="the source to be opened")
            time.sleep(noise.uniform(0.01, 0.1))
            os.truncate(source, 1000 if change == "shrink" else size + 1000)
            out, err = child.communicate(timeout=120 * PATIENCE)
            value = h.get("x")
            if child.returncode == 0:  # it was faster, or began after the change: then it is one state, whole
                before = b"first" + bytes(size - 5)
                after = before[:1000] if change == "shrink" else before + bytes(1000)
                assert value in (before, after), f"{change}: {len(value)} bytes that the file never was"
                h.put("x", b"old")
            else:
                assert child.returncode == OTHER and b"source" in err, (child.returncode, err)
                assert value == b"old", "the old value is gone"
            seen.add((change, child.returncode))
    print("  ", seen)


def is_open(pid, path):
    try:
        return any(os.path.realpath(f"/proc/{pid}/fd/{n}") == str(path) for n in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def test_standard_output_closed_early():
    with Home() as h:
        h.put("large", noise.randbytes(3 * CHUNK))
        for i in range(3):
            h.put(f"{'k' * 4000}{i}", b"")
        reader, writer = os.pipe()
        os.close(reader)
        for words in (["get", "large"], ["put", "large", "/dev/null"], ["put", "large", "/dev/null", "--json"]):
            h.run(*words, stdout=writer, stdin=b"").expect(OTHER, err="standard output")
        # Who reads no further is no failure of what only prints.
        for words in (["ls"], ["ls", "-l"], ["ls", "--json"], ["stat", "large"], ["stats"], ["version"], ["--help"]):
            assert h.run(*words, stdout=writer, stdin=b"").expect().err == ""
        os.close(writer)
        # Closed altogether: nothing else may be opened in its place and be printed into.
        h.put("large", noise.randbytes(2 * CHUNK))
        before = content_of(h.store)
        for words in ("get large", "ls", "ls --json", "stats"):
            in_shell(h, words + " >&-").expect(OTHER, err="standard output")
        assert content_of(h.store) == before
        for _ in range(3):  # in the middle of it
            child = h.start("get", "large", stderr=subprocess.PIPE)
            child.stdout.read(100_000)
            child.stdout.close()
            err = child.stderr.read()
            assert child.wait(timeout=60) == OTHER and b"standard output" in err, err
        with open("/dev/full", "wb") as full:
            h.run("ls", stdout=full).expect(OTHER, err="No space left")


def test_targets_that_cannot_be_written():
    with Home() as h:
        h.put("x", b"1")
        h.run("get", "x", h.folder).expect(USAGE, err="is a directory")
        h.run("get", "x", h.folder / "none" / "file").expect(OTHER, err="No such file")
        h.run("get", "none", h.path("target", b"old")).expect(NOT_FOUND)
        assert h.path("target").read_bytes() == b"old"
        h.run("get", "x", "/dev/null").expect()
        os.chmod(h.path("target"), 0o640)
        h.run("get", "x", h.path("target")).expect()
        assert h.path("target").read_bytes() == b"1" and stat.S_IMODE(h.path("target").stat().st_mode) == 0o640
        assert sorted(os.listdir(h.folder)) == ["home", "target"]


if __name__ == "__main__":
    main(globals())
