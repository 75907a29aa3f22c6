#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Full disks and wipes: what was removed makes room, at any size of disk; what is to be wiped is gone or said to be there."""
import contextlib, os, random, shutil, subprocess

from inject import *
from mutant_system import *

noise = random.Random(20240917)


@contextlib.contextmanager
def disk(size):
    """A home whose store is a file system of this size."""
    with Home() as h:
        at = h.folder / "disk"
        at.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at],
                                               stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip("mounting a tmpfs is not permitted here")
        try:
            h.options += ["--store", f"local:{at}"]
            yield h, at
        finally:
            subprocess.run(["umount", "-l", at])


def used(at):
    info = os.statvfs(at)
    return (info.f_blocks - info.f_bfree) * info.f_frsize


def fill(h, size):
    """Puts values until there is no room; their keys and values."""
    values = {}
    while True:
        key, value = f"value {len(values)}", noise.randbytes(size)
        done = h.run("put", key, stdin=value)
        if done.code != OK:
            done.expect(UNAVAILABLE, err=["remove something from the store (mutant rm)", "(mutant purge)"])
            return values
        values[key] = value


def test_a_full_disk_lets_everything_be_removed_and_takes_values_again():
    for size, length in (("1m", 30_000), ("1m", 100_000), ("3012k", 30_000), ("60m", 1_000_000)):
        with disk(size) as (h, at):
            values = fill(h, length)
            assert len(values) * length > used(at) * 0.5, (size, length, len(values))
            removed = list(values)[:20]
            for key in removed:
                h.run("rm", key).expect()
                del values[key]
            h.put("new", b"n" * length)
            assert h.get("new") == b"n" * length
            for key, value in list(values.items())[::7]:
                assert h.get(key) == value
            print(f"   {size}: {len(removed) + len(values)} values of {length}, {len(removed)} of {len(removed)} removed")


def test_what_is_removed_goes_back_to_the_file_system():
    with disk("60m") as (h, at):
        for number in range(50):
            h.put(f"value {number}", noise.randbytes(1_000_000))
        full = used(at)
        h.run("rm", *(f"value {number}" for number in range(50))).expect()
        h.run("purge").expect()
        assert used(at) < 2_000_000, f"{used(at)} of {full} bytes are still taken"
        h.put("again", noise.randbytes(1_000_000))


def test_what_is_live_free_and_orphaned_is_told():
    with Home() as h:
        def space():
            return h.run("stats", "--space", "--json").expect().json["space"]
        h.put("large", os.urandom(2 * CHUNK))
        first = space()
        assert first["live_bytes"] > 2 * CHUNK and first["free_bytes"] == first["orphaned_bytes"] == 0, first
        # What a value had that was replaced stays in its pads, which are free.
        h.put("large", os.urandom(2 * CHUNK))
        told = space()
        assert 2 * CHUNK < told["free_bytes"] < 2 * CHUNK + 1000 and told["orphaned_bytes"] == 0, told
        # A put that is killed leaves pads that nothing names.
        pads = h.run("stats", "--json").expect().json["pads"]["count"]
        child = h.start("put", "cut off", stdin=subprocess.PIPE)
        child.stdin.write(os.urandom(5 * CHUNK))
        child.stdin.flush()
        wait_until(lambda: h.run("stats", "--json").json["pads"]["count"] > pads + 1, what="pads of the put")
        child.kill()
        child.communicate()
        told = space()
        assert told["orphaned_bytes"] > CHUNK and told["orphaned_pads"] > 0, told
        assert told["reclaimable_bytes"] == told["free_bytes"] + told["orphaned_bytes"]
        assert b"reclaimable" in h.run("stats", "--space").expect().out
        h.run("purge", "--trim", "--dry-run").expect(USAGE)
        h.run("purge", "--trim").expect()
        assert space()["orphaned_bytes"] == told["orphaned_bytes"], "a trim is no purge"
        h.run("purge").expect()
        after = space()
        assert after["free_bytes"] == after["orphaned_bytes"] == after["reclaimable_bytes"] == 0, after
        assert after["disk_bytes"] + CHUNK < told["disk_bytes"], (told, after)
        assert h.run("get", "large").expect().out and h.run("check").expect()


def test_a_full_store_takes_a_value_in_place_of_another():
    with disk("20m") as (h, at):
        values = fill(h, 1_000_000)
        for key in list(values)[:3]:  # the new value, the one that it replaces, and one whose pad is just being used
            h.run("rm", key).expect()
            del values[key]
        for number in range(8):
            values["value 9"] = noise.randbytes(1_000_000)
            h.put("value 9", values["value 9"])
        for key, value in values.items():
            assert h.get(key) == value


# -- wipes that fail --------------------------------------------------------------------------------------------------------

def copy_of(master):
    h = Home()
    shutil.copytree(master.folder, h.folder, dirs_exist_ok=True)
    return h


def segments(h):
    return b"".join(path.read_bytes() for path in sorted(h.store.glob("segment-*")))


def test_a_wipe_is_done_or_said_not_to_be():
    """Whichever call on a segment file fails, or is the last: success means that the ciphertext is gone, and after anything
    else the next command that opens the store makes it so, whatever it is for."""
    with Home() as master:
        master.put("secret", noise.randbytes(500_000))
        ciphertext = segments(master)[100_000:100_064]
        master.put("other", noise.randbytes(500_000))
        assert any(ciphertext)
        with copy_of(master) as h:
            calls = [path for _, path in traced(h, "rm", "--wipe", "secret", calls=("allocate",))]
            assert ciphertext not in segments(h)
        tried = 0
        for n, path in enumerate(calls, 1):
            if "segment-" not in path:
                continue
            for fault in ("EIO", "ENOSPC", "EIO onward", "kill", "EOPNOTSUPP onward"):
                for finish in (["ls"], ["purge", "--wipe"]):
                    with copy_of(master) as h:
                        word, _, onward = fault.partition(" ")
                        env = faulty(h.folder, "allocate", n, word, onward=bool(onward))
                        done = h.run("rm", "--wipe", "secret", env=env)
                        tried += 1
                        if done.code != OK:
                            assert done.code == (OTHER if fault != "kill" else -9), done
                            assert fault == "kill" or "could not be wiped" in done.err, done
                            if fault in ("EIO onward", "kill"):  # otherwise it may have been tried again
                                assert ciphertext in segments(h)
                            if fault == "EIO onward":
                                h.run("purge", "--wipe", env=faulty(h.folder, "allocate", 2, word, onward=True)
                                      ).expect(OTHER, err="could not be wiped")
                            h.run(*finish).expect()
                        assert ciphertext not in segments(h), f"{fault} at call {n}, then {finish}: not wiped, after {done}"
                        assert len(h.get("other")) == 500_000
        assert tried >= 10, calls


if __name__ == "__main__":
    main(globals())
