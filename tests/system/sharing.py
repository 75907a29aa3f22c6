#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""One store, several processes and homes: compare-and-swap, sync, a store that was put back, unfinished puts, wiping, purge."""
import concurrent.futures, random, shutil, signal, subprocess, time

from mutant_system import *

noise = random.Random(20240505)


class Sharing(Home):
    """A home with another one beside it: the same identity, the same store, a memory of its own."""

    def another(self):
        other = Home(self.folder / f"other {len(list(self.folder.glob('other *')))}", ["--store", f"local:{self.store}"])
        other.home.mkdir(parents=True)
        shutil.copy(self.home / "identity", other.home / "identity")
        return other


def test_a_counter_that_several_processes_raise():
    workers, each = 4, 3 if SANITIZED else 10
    with Sharing() as h:
        h.put("counter", b"0")

        def raise_it(_):
            lost = 0
            for _ in range(each):
                while True:
                    version = h.run("stat", "counter", "--json").expect().json["version"]
                    now = int(h.get("counter"))
                    done = h.run("put", "counter", "--if-version", str(version), stdin=b"%d" % (now + 1))
                    if done.code == OK:
                        break
                    done.expect(PRECONDITION, err="version")
                    lost += 1
            return lost

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            print("   races lost:", list(pool.map(raise_it, range(workers))))
        assert h.get("counter") == b"%d" % (workers * each)


def test_of_many_that_want_to_be_first_one_is():
    with Sharing() as h:
        h.put("something", b"")
        homes = [h, h.another(), h.another()]
        for n in range(2 if SANITIZED else 6):
            children = [(i, homes[i % 3].start("put", f"lock {n}", "--if-absent", stdin=subprocess.PIPE)) for i in range(6)]
            for i, child in children:
                child.stdin.write(b"%d" % i)
                child.stdin.close()
            codes = [child.wait(timeout=60 * PATIENCE) for _, child in children]
            assert sorted(codes) == [OK] + [PRECONDITION] * 5, codes
            assert h.get(f"lock {n}") == b"%d" % codes.index(OK)


def test_sync_tells_what_came_in():
    with Sharing() as h:
        h.put("a", b"1")
        other = h.another()
        assert other.keys() == ["a"]
        at = other.run("sync", "--json").expect().json["sequence"]
        for key in ("b", "c", "d"):
            h.put(key, b"2")
        report = other.run("sync", "--json").expect().json
        assert report["sequence"] == at + 3 and report["reloaded"] is False, report
        assert other.keys() == ["a", "b", "c", "d"]
        assert b"at commit" in other.run("sync").expect().out


def test_two_machines_compare_their_histories():
    with Sharing() as h:
        h.put("a", b"1")
        other = h.another()
        assert other.keys() == ["a"]
        copy = h.folder / "copy"
        shutil.copytree(h.store, copy)
        early = h.run("sync", "--json").expect().json["position"]
        h.put("b", b"mine")
        mine = h.run("stats", "--json").expect().json["index"]["position"]
        assert mine.encode() in h.run("sync").expect().out and mine.encode() in h.run("stats").expect().out
        assert other.run("sync", "--expect", mine, "--json").expect().json["position"] == mine
        other.run("sync", "--expect", early).expect()
        # Another copy of the store goes another way.
        fork = Home(h.folder / "fork", ["--store", f"local:{copy}"])
        fork.home.mkdir(parents=True)
        shutil.copy(h.home / "identity", fork.home / "identity")
        fork.put("b", b"theirs")
        fork.run("sync", "--expect", early).expect()
        fork.run("sync", "--expect", mine).expect(INTEGRITY, err=["another history"])
        fork.run("sync", "--expect", "9:" + "0" * 16).expect(INTEGRITY, err=["as its last"])
        for wrong in (":", "2", "2:12", "0:" + "0" * 16, "2:" + "g" * 16, "x:" + "0" * 16, "2:" + "0" * 66):
            h.run("sync", "--expect", wrong).expect(USAGE, err=["--expect"])


def refused_as_older(h, words):
    before = content_of(h.folder)
    for command in (["get", "first", h.folder / "target"], ["ls"], ["put", "new"], ["rm", "first"], ["stats"], ["sync"]):
        refused = h.run(*command, "--json", stdin=b"1").expect(INTEGRITY, err=["sync --accept-rollback", *words])
        assert refused.json["error"]["code"] == "rollback_detected", refused
    assert content_of(h.folder) == before, "something was written"


def test_a_store_that_was_put_back():
    with Sharing() as h:
        large = noise.randbytes(2 * CHUNK)
        for key, value in (("first", b"1"), ("large", large)):
            h.put(key, value)
        other = h.another()
        assert other.keys() == ["first", "large"]
        copy = h.folder / "copy"
        shutil.copytree(h.store, copy)
        h.put("later", b"2")
        h.run("rm", "large").expect()
        seen = h.run("sync", "--json").expect().json["sequence"]
        shutil.rmtree(h.store)
        shutil.copytree(copy, h.store)
        refused_as_older(h, [f"has seen commit {seen}", "commit 2"])
        assert other.keys() == ["first", "large"], "who has seen no more has nothing to refuse"
        accepted = h.run("sync", "--accept-rollback", "--json").expect().json
        assert accepted["had_seen"] == seen and accepted["sequence"] == 2, accepted
        assert h.keys() == ["first", "large"] and h.get("large") == large
        h.put("later", b"3")
        assert other.get("later") == b"3"
        # Others have gone on since: as many commits as were seen, and not the same.
        shutil.rmtree(copy)
        shutil.copytree(h.store, copy)
        h.put("mine", b"4")
        shutil.rmtree(h.store)
        shutil.copytree(copy, h.store)
        other.put("theirs", b"5")
        other.put("theirs", b"6")
        refused_as_older(h, ["another commit 4"])


def test_what_a_command_saw_is_remembered_although_it_failed():
    for words, code in ((["get", "none"], NOT_FOUND), (["rm", "first", "none"], NOT_FOUND), (["stat", "none"], NOT_FOUND),
                        (["get", "second", "--range", "5-9"], USAGE), (["mv", "none", "x"], NOT_FOUND),
                        (["put", "second", "--if-absent"], PRECONDITION)):
        with Sharing() as h:
            h.put("first", b"1")
            copy = h.folder / "copy"
            shutil.copytree(h.store, copy)
            h.another().put("second", b"2")
            h.run(*words, stdin=b"").expect(code)
            shutil.rmtree(h.store)
            copy.rename(h.store)
            refused = h.run("ls", "--json").expect(INTEGRITY)
            assert refused.json["error"]["code"] == "rollback_detected", refused


def test_a_memory_that_can_be_read_but_not_written_still_guards():
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    with Sharing() as h:
        h.folder.chmod(0o755)
        h.home.mkdir(mode=0o700)
        h.give_to(NOBODY)
        cache, copy = h.home / "cache", h.folder / "copy"
        h.run("put", "first", stdin=b"1", **as_nobody()).expect()
        shutil.copytree(h.store, copy)
        h.run("put", "second", stdin=b"2", **as_nobody()).expect()
        cache.chmod(0o500)
        assert h.run("ls", **as_nobody()).expect(out=b"first\nsecond\n").err == ""
        shutil.rmtree(h.store)
        copy.rename(h.store)
        h.give_to(NOBODY)
        refused = h.run("ls", "--json", **as_nobody()).expect(INTEGRITY)
        assert refused.json["error"]["code"] == "rollback_detected", refused


def test_a_damaged_memory():
    with Sharing() as h:
        for n in range(5):
            h.put(f"key {n}", b"1")
        [state], [seen] = (h.home / "cache").glob("*.cache"), (h.home / "cache").glob("*.seen")
        whole, guard = state.read_bytes(), seen.read_bytes()
        # The state only saves time, and is made anew.
        for damaged in (b"", whole[:20], whole[:-1], whole[:30] + b"x" + whole[31:], b"\0" * len(whole), whole + b"x"):
            state.write_bytes(damaged)
            assert len(h.keys()) == 5 and state.read_bytes() != damaged
        state.unlink()
        assert len(h.keys()) == 5
        # What guards is not made anew in passing.
        for damaged in (b"", guard[:20], guard[:-1], guard[:30] + bytes([guard[30] ^ 1]) + guard[31:]):
            seen.write_bytes(damaged)
            refused = h.run("ls", "--json").expect(INTEGRITY, err=[str(seen), "delete it"])
            assert refused.json["error"]["code"] == "index_corrupt" and seen.read_bytes() == damaged
        seen.unlink()
        assert len(h.keys()) == 5 and seen.exists()


def test_a_store_that_is_gone_and_made_anew():
    with Sharing() as h:
        h.put("first", b"1")
        shutil.rmtree(h.store)
        h.run("ls").expect(UNAVAILABLE, err=str(h.store))
        h.run("put", "second", stdin=b"2").expect(INTEGRITY, err=["no index at all", "sync --accept-rollback"])
        h.run("sync", "--accept-rollback").expect()
        h.put("second", b"2")
        assert h.keys() == ["second"]


def test_an_unfinished_put_from_a_pipe_goes_on():
    value = noise.randbytes((20 if SANITIZED else 40) * CHUNK + 77)
    with Sharing() as h:
        h.put("x", b"old")
        child = h.start("put", "x", stdin=subprocess.PIPE)
        child.stdin.write(value[:-2 * CHUNK])
        child.stdin.flush()
        wait_until(lambda: "pending" in h.run("stat", "x", "--json").json, what="the upload to be recorded")
        child.kill()
        child.communicate()
        pending = h.run("stat", "x", "--json").expect().json["pending"]
        assert 0 < pending["bytes_done"] < len(value) and "size" not in pending, pending
        assert b"(pending, " in h.run("ls", "-l", "--pending").expect().out
        assert h.get("x") == b"old"
        # Something else on the same pipe does not get mixed in, and loses nothing.
        done = h.run("put", "x", "--json", stdin=value).expect().json
        assert done["resumed"] and done["bytes_kept"] >= pending["bytes_done"] - CHUNK, done
        assert done["bytes_kept"] + done["bytes_written"] == len(value)
        assert h.get("x") == value and "pending" not in h.run("stat", "x", "--json").expect().json


def test_an_unfinished_put_is_dropped():
    with Sharing() as h:
        child = h.start("put", "x", stdin=subprocess.PIPE)
        child.stdin.write(noise.randbytes(30 * CHUNK))
        child.stdin.flush()
        wait_until(lambda: "pending" in h.run("stat", "x", "--json").json, what="the upload to be recorded")
        child.kill()
        child.communicate()
        h.run("get", "x").expect(NOT_FOUND, err="unfinished upload")
        h.run("rm", "x").expect()
        h.run("stat", "x").expect(NOT_FOUND)
        # What was written and never recorded is found; looking changes nothing.
        tell = h.run("purge", "--dry-run", "--json").expect().json
        again = h.run("purge", "--dry-run", "--json").expect().json
        done = h.run("purge", "--json").expect().json
        after = h.run("purge", "--json").expect().json
        assert tell == again and tell["leaked_pads"] == done["leaked_pads"] and after["leaked_pads"] == 0, (tell, done, after)
        print("   leaked pads:", done["leaked_pads"])


def ciphertext(h):
    """A few bytes out of the middle of every payload in a segment file, by address."""
    pieces = {}
    for (address, _), copies in records(h.store).items():
        for record in copies:
            if record.segment is not None:
                file, offset = record.place(160 + record.payload // 2)
                with open(file, "rb") as opened:
                    opened.seek(offset)
                    pieces[address] = opened.read(64)
    return pieces


def on_disk(h, pieces):
    content = b"".join(path.read_bytes() for path in h.store.glob("segment-*"))
    return {address for address, piece in pieces.items() if piece in content}


def test_wiping_takes_the_ciphertext_off_the_disk():
    with Sharing() as h:
        kept, value = noise.randbytes(2 * CHUNK), noise.randbytes(3 * CHUNK)
        h.put("kept", kept)
        before = set(ciphertext(h))
        h.put("x", value)
        h.put("y", value)
        pieces = {at: piece for at, piece in ciphertext(h).items() if at not in before}
        assert len(pieces) == 6 and on_disk(h, pieces) == set(pieces)
        h.run("rm", "--wipe", "x").expect()
        assert len(on_disk(h, pieces)) == 3, "rm --wipe has left ciphertext"
        h.put("y", b"in the index")  # what is replaced stays where it was
        assert len(on_disk(h, pieces)) == 3
        told = h.run("purge", "--wipe", "--dry-run", "--json").expect().json
        assert told["wiped"] == 3 and len(on_disk(h, pieces)) == 3, told
        assert h.run("purge", "--wipe", "--json").expect().json["wiped"] == 3
        assert not on_disk(h, pieces), "purge --wipe has left ciphertext"
        assert h.get("kept") == kept
        h.put("x", value)
        assert h.get("x") == value and h.get("kept") == kept


def test_the_same_process_number_in_two_namespaces():
    """As two containers have it, whose first processes both are number 1. LMDB takes one for the other."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0 or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        raise Skip("making a process namespace is not permitted here")
    with Sharing() as h:
        h.put("x", b"1")
        words = [*unshare, PROGRAM, "node", "--listen", "127.0.0.1:0", "--json"]
        first = subprocess.Popen(words, env=h.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert json.loads(first.stdout.readline())["port"]
            second = subprocess.run(words, env=h.environment(), capture_output=True, timeout=60 * PATIENCE)
            told = Outcome(words, second.returncode, second.stdout, second.stderr)
            told.expect(UNAVAILABLE, err=["same process id, 1,", "namespace"])
            assert told.json["error"]["code"] == "unreachable"
            assert h.get("x") == b"1"
        finally:
            first.kill()
            first.communicate()


if __name__ == "__main__":
    main(globals())
