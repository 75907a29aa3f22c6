#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Values of every shape, in and out again: sizes, names, pipes, overwriting, ranges, preconditions, renaming, removing."""
import json, os, random, subprocess, threading

from mutant_system import *

noise = random.Random(20240501)


def test_nothing_configured_simply_works():
    with Home() as h:
        file = h.path("hello.txt", b"hello\n")
        bare = {"MUTANT_HOME": None}
        first = h.run("put", "greeting", file, env=bare)
        first.expect(err=["/.local/share/mutant/identity", "/.local/share/mutant/store"])
        assert b"greeting" in first.out
        second = h.run("put", "greeting", file, env=bare).expect()
        assert second.err == "", second
        h.run("get", "greeting", env=bare).expect(out=b"hello\n")
        identity = h.folder / ".local/share/mutant/identity"
        assert identity.stat().st_mode & 0o777 == 0o600
        assert (h.folder / ".local/share/mutant").stat().st_mode & 0o777 == 0o700
        # A relative path counts as none; $XDG_DATA_HOME, $MUTANT_HOME and --home take over in this order.
        h.run("get", "greeting", env={"MUTANT_HOME": None, "XDG_DATA_HOME": "here"}).expect(out=b"hello\n")
        h.run("put", "x", file, env={"MUTANT_HOME": None, "XDG_DATA_HOME": str(h.folder / "xdg")}).expect()
        assert (h.folder / "xdg/mutant/identity").exists()
        h.run("put", "x", file, env={"XDG_DATA_HOME": str(h.folder / "xdg2")}).expect()
        assert (h.home / "identity").exists() and not (h.folder / "xdg2").exists()
        h.run("--home", h.folder / "third", "put", "x", file).expect()
        h.run("put", "x", file, "--home", h.folder / "fourth").expect()
        assert (h.folder / "third/store/data.mdb").exists() and (h.folder / "fourth/identity").exists()


def test_looking_at_a_fresh_home_makes_nothing():
    with Home() as h:
        h.run("ls").expect(out=b"", err="nothing is stored yet")
        h.run("ls", "--quiet").expect(out=b"")
        assert h.run("ls", "--json").expect().json == {"keys": []}
        h.run("get", "x").expect(NOT_FOUND, err=["'x'", "nothing is stored yet"])
        h.run("stat", "x").expect(NOT_FOUND)
        h.run("rm", "x").expect(NOT_FOUND)
        h.run("mv", "x", "y").expect(NOT_FOUND)
        assert h.run("stats", "--json").expect().json["keys"] == 0
        h.run("sync").expect()
        assert not h.home.exists()


def test_init():
    with Home() as h:
        made = h.run("init", "--json").expect().json
        assert made["passphrase"] is False and made["identity"] == str(h.home / "identity")
        before = (h.home / "identity").read_bytes()
        h.run("init").expect(PRECONDITION, err="left as it is")
        assert (h.home / "identity").read_bytes() == before
        h.run("ls").expect(out=b"")
        h.run("put", "x", stdin=b"1").expect()


def test_sizes_from_file_and_pipe():
    sizes = [0, 1, 1023, 1024, 1025, 70_000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 12345]
    with Home() as h:
        for size in sizes:
            value = noise.randbytes(size)
            chunks = 0 if size <= 1024 else -(-size // CHUNK)
            source = h.path("source", value)
            for key, how in ((f"file {size}", {"file": source}), (f"pipe {size}", {"stdin": value})):
                words = ["put", "--json", "--allow-empty", key] + ([how["file"]] if "file" in how else [])
                stored = h.run(*words, stdin=how.get("stdin")).expect().json
                assert (stored["size"], stored["chunks_written"], stored["chunks_kept"]) == (size, chunks, 0), stored
                assert h.get(key) == value, f"{key}: other bytes came back"
            target = h.path("target")
            fetched = h.run("get", "--json", f"file {size}", target).expect().json
            assert (fetched["size"], fetched["bytes_read"]) == (size, size)
            assert target.read_bytes() == value
            stat = h.run("stat", "--json", f"pipe {size}").expect().json
            assert (stat["size"], stat["chunks"]) == (size, chunks), stat
        assert len(h.keys()) == 2 * len(sizes)


def test_attributes():
    with Home() as h:
        for size in (10, 100_000):
            h.put("key", noise.randbytes(size), "--type", "text/plain", "--attribute", "x-empty=",
                  "--attribute", "x-two=a=b c", "--attribute", "x-raw=\udcff")
            stat = h.run("stat", "--json", "key").expect().json
            assert stat["attributes"] == {"type": "text/plain", "x-empty": "", "x-two": "a=b c",
                                          "x-raw_base64": "/w=="}, stat
            assert h.run("ls", "--json").expect().json["keys"][0]["attributes"] == stat["attributes"]
            shown = h.run("stat", "key").expect().out
            assert b"type      text/plain\n" in shown and b"x-two     a=b c\n" in shown and b"x-raw     \\377\n" in shown
        h.put("key", b"without")
        assert "attributes" not in h.run("stat", "--json", "key").expect().json
        for words, message in (
                (["--attribute", "x-a"], "NAME=VALUE"), (["--attribute", "type=a/b"], "--type"),
                (["--attribute", "other=1"], "begin with 'x-'"), (["--attribute", "=1"], "begin with 'x-'"),
                (["--attribute", "x-a=1", "--attribute", "x-a=2"], "given twice"),
                (["--attribute", "x-a=" + "v" * 8192], "more than 8192"), (["--type", "a\nb"], "media type"),
                (["--compress", "20"], "from 1 to 19")):
            h.run("put", "key", *words, stdin=b"v").expect(USAGE, err=message)
        assert h.get("key") == b"without"


def test_a_files_time_and_mode_come_back():
    with Home() as h:
        for size in (0, 10, 100_000):
            source, target = h.path("source", noise.randbytes(size)), h.path("target")
            source.chmod(0o640)
            os.utime(source, ns=(1, 1_234_567_890_123_456_789))
            h.run("put", "key", source).expect()
            attributes = h.run("stat", "--json", "key").expect().json["attributes"]
            assert attributes == {"mode": "640", "mtime": "1234567890123456789"}, attributes
            h.run("get", "key", target).expect()
            assert target.stat().st_mtime_ns != source.stat().st_mtime_ns
            target.unlink()
            h.run("get", "--preserve", "key", target).expect()
            assert target.stat().st_mtime_ns == 1_234_567_890_123_456_789
            assert target.stat().st_mode & 0o777 == 0o640 and target.read_bytes() == source.read_bytes()
        os.utime(source, ns=(1, -1))
        h.run("put", "key", source).expect()
        h.run("get", "--preserve", "key", target).expect()
        assert target.stat().st_mtime_ns == -1
        h.put("piped", b"value")
        h.run("get", "--preserve", "piped", target).expect(err="no mtime")
        for words in (["key"], ["key", "-"], ["--range", "0-1", "key", target]):
            h.run("get", "--preserve", *words).expect(USAGE, err="--preserve")


def test_what_can_be_compressed_takes_less():
    text = b"".join(b"line %d of a text that repeats itself\n" % n for n in range(200_000))
    with Home() as h:
        taken = {}
        for how in ("auto", "off", "19"):
            before = h.run("stats", "--json").expect().json["pads"]["record_bytes"] if taken else 0
            h.put(how, text[:1_000_000] if how == "19" else text, "--compress", how)
            taken[how] = h.run("stats", "--json").expect().json["pads"]["record_bytes"] - before
            assert h.get(how) == (text[:1_000_000] if how == "19" else text)
            assert h.run("get", "--range", "4190000-4190999", "auto").expect().out == text[4_190_000:4_191_000]
        assert taken["auto"] < len(text) / 4 and taken["off"] > len(text) and taken["19"] < 1_000_000 / 8, taken


def test_a_large_file_with_holes():
    size = (64 << 20 if SANITIZED else 1 << 30) + 4321
    with Home() as h:
        source, target = h.path("source"), h.path("target")
        with open(source, "wb") as file:
            file.truncate(size)
            for _ in range(64):
                file.seek(noise.randrange(size - 100_000))
                file.write(noise.randbytes(100_000))
        stored = h.run("put", "--json", "large", source, timeout=200).expect().json
        assert stored["size"] == size and stored["chunks_written"] == -(-size // CHUNK)
        h.run("get", "large", target, timeout=200).expect()
        assert subprocess.run(["cmp", source, target]).returncode == 0
        # The same again costs no pads.
        again = h.run("put", "--json", "large", source, timeout=200).expect().json
        assert again["chunks_written"] == 0 and again["bytes_kept"] == size, again


def test_a_pipe_that_trickles():
    with Home() as h:
        value = noise.randbytes(CHUNK + 100_000)
        child = h.start("put", "--json", "slow", "-", stdin=subprocess.PIPE)
        for at in range(0, len(value), 300_007):
            child.stdin.write(value[at:at + 300_007])
            child.stdin.flush()
        out, err = child.communicate()
        assert child.returncode == 0, err
        assert json.loads(out)["size"] == len(value)
        assert h.get("slow") == value
        # A named pipe on either side.
        pipe = h.path("pipe")
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: pipe.write_bytes(value))
        writer.start()
        h.run("put", "named", pipe).expect()
        writer.join()
        child = h.start("get", "named", pipe)
        assert pipe.read_bytes() == value
        assert child.wait() == 0


def test_names():
    names = ["with space", "a/b/c", "/", "..", "ключ-鍵-🔑", "new\nline", "tab\there", "back\\slash", "-", "--", "-rf", "--json",
             "ls", "put", "++", "[a,b]", "[]", "{}", "%%", "a=b", "\"quoted\"", "'", "\x01" + "3\x02", "$HOME", "*",
             "\x7f\x1b[31m", "k" * 4096, "é" * 2048]
    raw = [b"\xff\xfe", b"half \xc3", b"\xed\xa0\x80"]
    with Home() as h:
        for i, name in enumerate(names + raw):
            h.run("put", "--quiet", "--", name, stdin=b"value %d" % i).expect(out=b"")
        for i, name in enumerate(names + raw):
            assert h.get(name) == b"value %d" % i, name
        listed = h.run("ls", "--json").expect().json["keys"]
        assert sorted(item["key"] for item in listed if "key" in item) == sorted(names)
        import base64
        assert sorted(base64.b64decode(item["key_base64"]) for item in listed if "key" not in item) == sorted(raw)
        # In the order of bytes.
        keys = [item["key"].encode() if "key" in item else base64.b64decode(item["key_base64"]) for item in listed]
        assert keys == sorted(keys)
        human = h.run("ls").expect().out
        assert b"new\\nline\n" in human and b"back\\\\slash\n" in human and b"\\377\\376\n" in human
        assert b"\\177\\033[31m\n" in human and "ключ-鍵-🔑\n".encode() in human
        assert len(human.splitlines()) == len(names + raw)
        assert h.run("ls", "--", "ключ").expect().out == "ключ-鍵-🔑\n".encode()
        assert len(h.run("ls", "-l").expect().out.splitlines()) == len(names + raw)
        # Messages keep to one line, too.
        assert len(h.run("get", "no\nsuch").expect(NOT_FOUND, err="'no\\nsuch'").err.splitlines()) == 1
        h.run("rm", "--json", "--", "[a,b]", "{}", "ls", "--json", "-rf").expect()
        h.run("mv", "--", b"\xff\xfe", "--json").expect()
        left = [item.get("key") for item in h.run("ls", "--json").expect().json["keys"]]
        assert not {"[a,b]", "{}", "ls", "-rf"} & set(left) and "--json" in left and len(left) == len(names + raw) - 5


def test_many_small_values():
    count = 30 if SANITIZED else 300
    with Home() as h:
        values = {f"folder {i % 7}/key {i}": noise.randbytes(noise.randrange(200)) for i in range(count)}
        for key, value in values.items():
            h.put(key, value)
        assert sorted(h.keys()) == sorted(values)
        assert h.run("stats", "--json").expect().json["keys"] == count
        for key in noise.sample(sorted(values), 20):
            assert h.get(key) == values[key]
        seventh = sorted(k for k in values if k.startswith("folder 3/"))
        assert h.run("ls", "folder 3/").expect().out.decode().splitlines() == seventh
        h.run("rm", *seventh).expect()
        assert sorted(h.keys()) == sorted(set(values) - set(seventh))


def test_overwriting():
    with Home() as h:
        value = bytearray(noise.randbytes(5 * CHUNK + 77))
        h.put("x", value)
        value[2 * CHUNK + 5] ^= 1
        stored = h.run("put", "x", "--json", stdin=bytes(value)).expect().json
        assert (stored["chunks_written"], stored["chunks_kept"]) == (1, 5), stored
        assert h.get("x") == value
        for new in (b"", b"small", noise.randbytes(CHUNK), value[:CHUNK + 1], b"small again"):
            h.put("x", bytes(new))
            assert h.get("x") == new
        assert h.keys() == ["x"]
        stats = h.run("stats", "--json").expect().json
        assert stats["pads_in_use"] == 0 and stats["value_bytes"] == len(b"small again")


def test_ranges():
    with Home() as h:
        value = noise.randbytes(2 * CHUNK + 1000)
        h.put("large", value)
        h.put("small", b"0123456789")
        for a, b in ((0, 0), (0, 999), (CHUNK - 1, CHUNK), (CHUNK, CHUNK), (5, 2 * CHUNK + 999),
                     (2 * CHUNK + 999, 2 * CHUNK + 999)):
            h.run("get", "large", "--range", f"{a}-{b}").expect(out=value[a:b + 1])
        h.run("get", "--range", f"{CHUNK + 7}-", "large").expect(out=value[CHUNK + 7:])
        h.run("get", "small", "--range", "3-5").expect(out=b"345")
        h.run("get", "small", "--range=10-").expect(out=b"")
        target = h.path("target")
        fetched = h.run("get", "large", target, "--range", "100-299", "--json").expect().json
        assert fetched["bytes_read"] == 200 and target.read_bytes() == value[100:300]


def test_preconditions():
    with Home() as h:
        first = h.run("put", "x", "--if-absent", "--json", stdin=b"one").expect().json
        again = h.run("put", "x", "--if-absent", "--json", stdin=b"two").expect(PRECONDITION, err=["'x'", "already"])
        assert again.json["error"]["code"] == "key_exists"
        assert h.get("x") == b"one"
        second = h.run("put", "x", "--if-version", str(first["version"]), "--json", stdin=b"two").expect().json
        assert second["version"] > first["version"]
        stale = h.run("put", "x", "--if-version", str(first["version"]), "--json", stdin=b"three").expect(PRECONDITION)
        assert stale.json["error"]["code"] == "version_mismatch"
        h.run("put", "y", "--if-version", "7", stdin=b"").expect(PRECONDITION)
        assert h.get("x") == b"two" and h.keys() == ["x"]
        h.run("rm", "x", "--if-version", str(first["version"])).expect(PRECONDITION)
        h.run("rm", "x", "--if-version", str(second["version"])).expect()
        h.run("put", "x", "--if-absent", stdin=b"back").expect()
        assert h.get("x") == b"back"


def test_renaming_and_removing():
    with Home() as h:
        value = noise.randbytes(CHUNK + 3)
        h.put("old", value)
        h.put("other", b"2")
        h.run("mv", "old", "other").expect(PRECONDITION, err="'old'")
        h.run("mv", "none", "new").expect(NOT_FOUND)
        moved = h.run("mv", "old", "new", "--json").expect().json
        assert moved == {"from": "old", "to": "new"}
        h.run("get", "old").expect(NOT_FOUND, err="'old'", out=b"")
        assert h.get("new") == value
        partly = h.run("rm", "new", "none", "other", "--json").expect(NOT_FOUND, err="'none'").json
        assert [i["key"] for i in partly["removed"]] == ["new", "other"]
        assert partly["error"]["code"] == "key_not_found"
        assert h.keys() == []


def test_json_is_one_document_for_every_command():
    with Home() as h:
        target = h.path("target")
        for words in (["init"], ["put", "x", "/dev/null"], ["ls"], ["ls", "-l"], ["stat", "x"], ["get", "x", target],
                      ["mv", "x", "y"], ["stats"], ["sync"], ["rm", "y"], ["version"], ["purge"]):
            assert isinstance(h.run(*words, "--json").expect().json, dict)
        for words, code in ((["get", "x", target], NOT_FOUND), (["stat", "x"], NOT_FOUND), (["init"], PRECONDITION),
                            (["rm", "x"], NOT_FOUND), (["frobnicate"], USAGE), (["put"], USAGE), ([], USAGE),
                            (["get", "x"], USAGE), (["ls", "--store", "nowhere"], USAGE)):
            error = h.run("--json", *words).expect(code).json["error"]
            assert error["code"] and error["message"], error


def test_quiet_and_pipes_are_silent():
    with Home() as h:
        h.run("init", "--quiet").expect(out=b"")
        stored = h.run("--quiet", "put", "x", stdin=noise.randbytes(CHUNK)).expect(out=b"")
        assert stored.err == ""
        assert h.run("put", "x", stdin=noise.randbytes(3 * CHUNK)).expect().err == ""
        assert h.run("get", "x", h.path("target")).expect().err == ""
        assert h.run("rm", "x", "-q").expect(out=b"").err == ""


if __name__ == "__main__":
    main(globals())
