#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""The folder commands ended at any time, by signals of all kinds, and folders that change while they are read: what is there is
whole, and the same command again does the rest."""
import os, random, shutil, socket, stat, threading

from mutant_system import *

noise = random.Random(20260707)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def a_folder(home):
    """Many small files, some larger ones."""
    top = home.path("source")
    for number in range(150):
        path = top / f"folder {number % 7}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(300 + 500 * (number % 40)))
    for number in range(4):
        (top / f"large {number}").write_bytes(noise.randbytes(CHUNK + 1000 * number))
    (top / "link").symlink_to("large 0")
    return top


def contents(folder):
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_symlink() or path.is_file()}


def ended_by_signals(h, *words, until, each):
    """Runs the command, ending it later and later, until it gets through; `each` looks at what is there."""
    met = set()
    for step in range(1, 60):
        child = h.start(*words)
        how = SIGNALS[step % len(SIGNALS)]
        try:
            child.wait(timeout=0.012 * step * PATIENCE)
        except subprocess.TimeoutExpired:
            child.send_signal(how)
        _, err = child.communicate(timeout=60 * PATIENCE)
        if child.returncode == OK:
            break
        assert child.returncode in (INTERRUPTED, -signal.SIGKILL, -how), (child.returncode, err)
        met.add(how)
        each()
    else:
        h.run(*words).expect()
    until()
    return met


def stored(h):
    """All values there are, which must be readable."""
    out = h.run("ls", "t/", "--json")
    if out.code != OK:   # nothing was stored yet
        return {}
    return {item["key"].removeprefix("t/"): h.get(item["key"]) for item in out.json["keys"]
            if "version" in item and not item["key"].endswith("/")}


def test_a_put_that_ends_at_any_time():
    with Home() as h:
        top = a_folder(h)
        h.put("other", b"x")
        expected = {name: what.encode() if isinstance(what, str) else what for name, what in contents(top).items()}
        seen = []

        def look():
            if len(seen) % 4 == 0:   # every value is a run of the program
                there = h.run("get", "-r", "t", h.folder / "look", "--quiet")
                if there.code == OK:
                    for name, content in contents(h.folder / "look").items():
                        assert (content.encode() if isinstance(content, str) else content) == expected[name], name
            seen.append(1)
        met = ended_by_signals(h, "put", "-r", top, "t", until=lambda: None, each=look)
        assert met, "it was never ended before it was through"
        done = h.run("put", "-r", top, "t", "--json").expect().json
        assert done["files"] == 0 and done["links"] == 0 and done["folders"] <= 1, done
        h.run("get", "-r", "t", h.folder / "back").expect()
        assert contents(h.folder / "back") == contents(top)
        h.run("check").expect()


def test_a_get_that_ends_at_any_time():
    with Home() as h:
        top = a_folder(h)
        h.run("put", "-r", top, "t").expect()
        back, expected = h.folder / "back", contents(top)

        def look():
            if back.exists():
                for name, content in contents(back).items():
                    # What a kill left of a file has a name of its own; what has the value's name is whole.
                    assert name.rsplit("/", 1)[-1].startswith(".mutant-") or content == expected[name], name
        met = ended_by_signals(h, "get", "-r", "t", back, until=look, each=look)
        assert met, "it was never ended before it was through"
        assert {name: what for name, what in contents(back).items() if ".mutant-" not in name} == expected


def test_a_removal_that_ends_at_any_time():
    with Home() as h:
        top = a_folder(h)
        h.run("put", "-r", top, "t").expect()
        h.put("other", b"other")

        def gone():
            assert h.keys() == ["other"]
        ended_by_signals(h, "rm", "-r", "t", until=lambda: None, each=lambda: h.run("check", "--index").expect())
        h.run("rm", "-r", "t").expect(NOT_FOUND)
        gone()
        h.run("check").expect()


def test_a_folder_that_changes_while_it_is_read():
    with Home() as h:
        top = a_folder(h)
        ended = threading.Event()

        def change():
            number = 0
            while not ended.is_set():
                number += 1
                path = top / f"folder {number % 7}" / f"file {number % 150}"
                path.parent.mkdir(exist_ok=True)
                if number % 5 == 0:
                    shutil.rmtree(path.parent)
                elif number % 5 == 1:
                    path.with_suffix(".new").write_bytes(bytes([number % 256]) * 3000)
                    os.replace(path.with_suffix(".new"), path)
                elif number % 5 == 2:
                    (path.parent / f"new {number}").write_bytes(b"new")
                elif number % 5 == 3:
                    path.unlink(missing_ok=True)
                    path.symlink_to("nowhere")
                else:
                    path.unlink(missing_ok=True)
                    path.mkdir(exist_ok=True)
                    path.rmdir()
                time.sleep(0.0005)
        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(4):
                done = h.run("put", "-r", top, "t", "--delete", "--json")
                assert done.code in (OK, OTHER), done
                assert done.code == OK or done.json["failed"] > 0, done
        finally:
            ended.set()
            changing.join()
        # When it has come to rest the next one makes it a mirror.
        h.run("put", "-r", top, "t", "--delete", "--checksum").expect()
        h.run("get", "-r", "t", h.folder / "back").expect()
        assert contents(h.folder / "back") == contents(top)
        h.run("check").expect()


def test_what_is_no_file():
    with Home() as h:
        top = h.path("top")
        top.mkdir()
        (top / "file").write_bytes(b"file")
        os.link(top / "file", top / "hard")
        os.mkfifo(top / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(top / "socket"))
        left_out = ["'top/pipe'" , "pipe", "socket"]
        count = 2
        try:
            os.mknod(top / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
            left_out.append("device")
            count += 1
        except PermissionError:
            pass
        done = h.run("put", "-r", "top", "t", "--json", cwd=h.folder, timeout=30).expect(err=left_out[1:]).json
        assert done["left_out"] == count and done["failed"] == 0 and done["files"] == 2, done
        # A hard link is a file of its own.
        h.run("get", "-r", "t", h.folder / "back").expect()
        assert (h.folder / "back/hard").read_bytes() == b"file" and (h.folder / "back/hard").stat().st_nlink == 1


if __name__ == "__main__":
    main(globals())
