#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""The identity on its own: as 24 words and back, under another passphrase, exported and imported; and a lost machine's
successor."""
import shutil

from mutant_system import *

ALL_ZERO = "abandon " * 23 + "art"


def test_a_lost_machines_successor_needs_the_words_and_the_store():
    with Home() as first, Home() as second:
        value = bytes(range(256)) * 500
        first.put("key", value)
        store = f"local:{first.store}"
        name = first.run("identity", "show", "--json").expect().json["name"]
        words = first.run("identity", "words").expect(err="whoever has these words").out
        assert len(words.split()) == 24
        shutil.rmtree(first.home / "cache")
        (first.home / "identity").unlink()
        second.run("--store", store, "init", "--from-words", stdin=words).expect()
        second.run("--store", store, "get", "key").expect(out=value)
        assert second.run("identity", "show", "--json").expect().json["name"] == name
        # And by way of the identity alone, in capitals and on lines.
        first.run("identity", "from-words", stdin=words.upper().replace(b" ", b"\r\n")).expect()
        assert first.get("key") == value


def test_words_that_are_wrong_make_nothing():
    with Home() as h:
        good = ALL_ZERO.split()
        for words, message in ((good[:-1], "24 words, these are 23"), (good + ["art"], "24 words, these are 25"),
                               ([], "these are 0"),
                               (["abandom"] + good[1:], "word 1 of the 24, 'abandom', is not in the list; did you mean"),
                               (good[:22] + ["ar\x1b", "art"], "word 23"), (good[1:] + good[:1], "do not fit together")):
            text = " ".join(words).encode()
            for how in (["identity", "from-words"], ["init", "--from-words"]):
                done = h.run(*how, stdin=text).expect(USAGE, err=message)
                assert "\x1b" not in done.err
            assert not (h.home / "identity").exists()
        h.run("identity", "from-words", stdin=b"x" * 100_000).expect(USAGE)
        h.run("identity", "from-words", stdin=ALL_ZERO.encode()).expect()
        assert h.run("identity", "words").expect().out.decode().split() == good
        before = (h.home / "identity").read_bytes()
        for how in (["identity", "from-words"], ["init", "--from-words"]):
            h.run(*how, stdin=ALL_ZERO.encode()).expect(PRECONDITION, err="left as it is")
        assert (h.home / "identity").read_bytes() == before


def test_another_passphrase():
    with Home() as h:
        h.put("key", b"value")
        one, two = h.secret("one", b"first\n"), h.secret("two", b"second\n")
        h.run("identity", "passwd", "--new-passphrase-file", one).expect()
        assert b"kdf argon2id" in (h.home / "identity").read_bytes()
        assert (h.home / "identity").stat().st_mode & 0o777 == 0o600
        h.run("get", "key", env={"MUTANT_PASSPHRASE": "wrong"}).expect(OTHER, err="does not open")
        h.run("get", "key", "--passphrase-file", one).expect(out=b"value")
        before = (h.home / "identity").read_bytes()
        h.run("identity", "passwd", "--passphrase-file", two, "--new-passphrase-file", one).expect(OTHER, err="does not open")
        assert (h.home / "identity").read_bytes() == before
        h.run("identity", "passwd", "--passphrase-file", one, "--new-passphrase-file", two).expect()
        h.run("get", "key", "--passphrase-file", one).expect(OTHER)
        assert h.run("identity", "show", "--json", "--passphrase-file", two).expect().json["passphrase"] is True
        h.run("identity", "passwd", "--passphrase-file", two, "--remove").expect()
        assert h.get("key") == b"value"
        assert sorted(os.listdir(h.home)) == ["cache", "identity", "store"]


def test_a_passphrase_change_killed_anywhere_leaves_the_old_or_the_new():
    inject = os.environ["MUTANT_INJECT"]
    with Home() as h:
        h.put("key", b"value")
        new = h.secret("new", b"new\n")
        old = (h.home / "identity").read_bytes()
        outcomes = set()
        for kind in ("write", "truncate", "sync", "name"):
            for at in (1, 2):
                (h.home / "identity").write_bytes(old)
                env = {"LD_PRELOAD": inject, "MUTANT_INJECT_CALLS": kind, "MUTANT_INJECT_BELOW": str(h.home),
                       "MUTANT_INJECT_AT": str(at), "MUTANT_INJECT_FAULT": "torn" if kind == "write" else "kill"}
                h.run("identity", "passwd", "--new-passphrase-file", new, env=None if SANITIZED else env)
                now = (h.home / "identity").read_bytes()
                if (now == old) in outcomes:
                    continue   # the passphrase costs a second, on purpose
                outcomes.add(now == old)
                h.run("get", "key", *([] if now == old else ["--passphrase-file", new])).expect(out=b"value")
        assert outcomes == {True, False} or SANITIZED


def test_export_and_import():
    with Home() as first, Home() as second:
        first.put("key", b"value")
        word = first.secret("word", b"travelling\n")
        out = first.path("exported")
        first.run("identity", "export").expect(USAGE, err="FILE")
        first.run("identity", "export", out, "--new-passphrase-file", word).expect()
        assert b"kdf argon2id" in out.read_bytes() and out.stat().st_mode & 0o777 == 0o600
        first.run("identity", "export", out, "--new-passphrase-file", word).expect(PRECONDITION, err="already")
        second.run("identity", "import", out, env={"MUTANT_PASSPHRASE": "wrong"}).expect(OTHER, err="does not open")
        assert not (second.home / "identity").exists()
        second.run("identity", "import", out, "--passphrase-file", word).expect()
        assert (second.home / "identity").read_bytes() == out.read_bytes()
        second.run("--store", f"local:{first.store}", "get", "key", "--passphrase-file", word).expect(out=b"value")
        second.run("identity", "import", out, "--passphrase-file", word).expect(PRECONDITION)
        h = second.path("broken", out.read_bytes()[:-5])
        h.chmod(0o600)
        first.run("--home", first.path("third"), "identity", "import", h, "--passphrase-file", word).expect(INTEGRITY)
        for words in (["dance"], ["show", "x"], ["words", "--remove"], ["show", "--new-passphrase-file", word]):
            first.run("identity", *words).expect(USAGE)


if __name__ == "__main__":
    main(globals())
