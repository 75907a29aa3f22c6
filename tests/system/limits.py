#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""A machine that gives no threads, memory, descriptors or file sizes: every command ends within seconds, with a documented exit
code and a message on standard error, with nothing but results on standard output, and what was acknowledged is there."""
import itertools, os, pwd, random, resource, signal, stat, subprocess, threading

from mutant_system import *

noise = random.Random(20260730)
DOCUMENTED = {OK, OTHER, USAGE, NOT_FOUND, PRECONDITION, INTEGRITY, UNAVAILABLE}
SECONDS = 20
VALUE = noise.randbytes(3 * CHUNK // 2)
GREETING = b"listening on "


def limited(what, limit, user=None):
    """For Popen: in the child, the limit, and who it is."""
    def prepare():
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        resource.setrlimit(what, (limit, limit))
    return {"preexec_fn": prepare}


class Tenant(Home):
    """A home of a user who has no other process. Limits of processes count for others than root only."""

    def __init__(self):
        super().__init__()
        self.user = None
        if os.geteuid() == 0:
            taken = {entry.pw_uid for entry in pwd.getpwall()}
            self.user = next(uid for uid in itertools.count(47000 + os.getpid() % 9000) if uid not in taken)
            os.chmod(self.folder, 0o755)
            self.put("value", VALUE)
            self.put("small", b"1")
            self.own()
        else:
            self.put("value", VALUE)
            self.put("small", b"1")

    def own(self):
        for path in [self.folder, *self.folder.rglob("*")]:
            if self.user is not None:
                os.lchown(path, self.user, self.user)

    def under(self, what, limit):
        return limited(what, limit, self.user)

    def all_is_there(self):
        self.run("get", "value", **self.under(resource.RLIMIT_CPU, 600)).expect(out=VALUE)
        assert self.run("get", "small", **self.under(resource.RLIMIT_CPU, 600)).expect().out in (b"1", b"2")


def put(h):
    return ["put", "small"], b"2", lambda out, code: out == b"" or out.startswith(b"stored ")


def put_large(h):
    return ["put", "other"], VALUE, lambda out, code: out == b"" or out.startswith(b"stored ")


def get(h):
    return ["get", "value"], None, lambda out, code: VALUE.startswith(out) and (code != OK or out == VALUE)


def get_json(h):
    return (["--json", "get", "value", str(h.folder / "into")], None,
            lambda out, code: "error" in json.loads(out) if code != OK else json.loads(out)["size"] == len(VALUE))


def ls(h):
    return ["ls"], None, lambda out, code: code != OK or b"small\nvalue\n" in out or b"other\nsmall\nvalue\n" in out


COMMANDS = (put, put_large, get, get_json, ls)


def check(h, command, what, limit):
    """Runs it; the exit code."""
    words, stdin, fits = command(h)
    try:
        done = h.run(*words, stdin=stdin, timeout=SECONDS, **h.under(what, limit))
    except BrokenPipeError:
        raise AssertionError(f"{words} under {limit}: ended before it read its input")
    where = f"under limit {what} = {limit}: {done}"
    if done.code == 127 and "error while loading shared libraries" in done.err:
        return done.code  # it has not even begun
    assert done.code in DOCUMENTED, where
    assert (done.code == OK) or done.err.startswith("mutant: "), where
    assert fits(done.out, done.code), where
    assert not list(h.folder.glob("**/core*")), where
    return done.code


def check_node(h, what, limit):
    """A node that says that it listens serves; otherwise it ends with a message."""
    child = h.start("node", "--listen", "127.0.0.1:0", "--max-connections", "8", **h.under(what, limit))
    killer = threading.Timer(SECONDS * PATIENCE, child.kill)
    killer.start()
    try:
        line = child.stdout.readline()
        if line.startswith(GREETING):
            where = line.decode().split()[2].rstrip(",")
            with Home(options=["--store", where, "--connect-timeout", "2"]) as client:
                (client.home).mkdir(mode=0o700)
                asked = client.run("put", "k", stdin=b"v", timeout=SECONDS)
                if asked.code != OK:  # it is then a limit that this client met, and the node says so
                    assert asked.code in DOCUMENTED, f"{what} = {limit}: {asked}"
            child.send_signal(signal.SIGTERM)
        out, err = child.communicate()
    finally:
        killer.cancel()
    where = f"node under limit {what} = {limit}: exit {child.returncode}, {line + out!r}, {err.decode(errors='replace')}"
    assert child.returncode in DOCUMENTED or (child.returncode == 127 and b"shared libraries" in err), where
    assert out == b"" and (line == b"" or line.startswith(GREETING)), where
    assert child.returncode == OK or err, where
    return child.returncode


def sweep(what, limits, commands=COMMANDS, node=True):
    with Tenant() as h:
        codes = {}
        for limit in limits:
            for command in commands:
                codes.setdefault(command.__name__, []).append(check(h, command, what, limit))
            if node:
                codes.setdefault("node", []).append(check_node(h, what, limit))
        for name, found in codes.items():
            print("  ", name, found)
            assert found[-1] == OK and any(code != OK for code in found), f"{name}: not the limits to try: {found}"
        h.all_is_there()


def test_without_threads():
    sweep(resource.RLIMIT_NPROC, [1, 2, 3, 5, 8, 11, 14, 17, 20, 22, 25, 400])


def test_without_memory():
    sweep(resource.RLIMIT_AS, [kib << 10 for kib in (60_000, 90_000, 150_000, 250_000, 400_000, 600_000, 900_000, 16_000_000)])


def test_without_descriptors():
    sweep(resource.RLIMIT_NOFILE, [5, 7, 9, 12, 16, 20, 24, 28, 34, 40, 400])


def test_files_that_may_not_grow():
    sweep(resource.RLIMIT_FSIZE, [0, 4096, 100_000, 1 << 20, 5 << 20, 1 << 30], commands=(put, put_large, get_json), node=False)


# -- the n-th thread or piece of memory is refused: somebody else was faster than what asked beforehand ------------------

REFUSING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long threads, pieces;
static long first_refused(const char* name) {
  const char* text = getenv(name);
  return text ? atol(text) : 0;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* with) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (!real)
    real = dlsym(RTLD_NEXT, "pthread_create");
  long n = first_refused("REFUSE_THREAD");
  return n && atomic_fetch_add(&threads, 1) + 1 == n ? EAGAIN : real(thread, how, run, with);
}

extern void* __libc_malloc(size_t);
void* malloc(size_t size) {
  static long n = -1;
  if (n < 0)
    n = first_refused("REFUSE_MEMORY_FROM");
  if (n && atomic_fetch_add(&pieces, 1) + 1 >= n) {
    errno = ENOMEM;
    return NULL;
  }
  return __libc_malloc(size);
}
"""


def refusing_library(h):
    if SANITIZED:
        raise Skip("a sanitizer has its own malloc")
    source, library = h.path("refusing.c", REFUSING.encode()), h.folder / "refusing.so"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as why:
        raise Skip(f"no C compiler: {why}")
    return str(library)


def refused_at(h, library, words, stdin, variable, n):
    done = h.run(*words, stdin=stdin, timeout=SECONDS, env={"LD_PRELOAD": library, variable: str(n)})
    where = f"{variable}={n}: {done}"
    assert done.code in DOCUMENTED and (done.code == OK or "mutant: " in done.err), where
    if done.code != OK:
        assert not done.out or (words[0] == "get" and VALUE.startswith(done.out)), where
    return done.code


def test_any_thread_may_be_refused():
    with Home() as h:
        library = refusing_library(h)
        h.put("value", VALUE)
        for words, stdin in ((["ls"], None), (["put", "other"], VALUE), (["get", "value"], None)):
            codes, n = [], 1
            while codes[-3:] != [OK] * 3:  # none is refused any more
                assert n < 2000, codes
                codes.append(refused_at(h, library, words, stdin, "REFUSE_THREAD", n))
                n += 1
            print("  ", words[0], n, "threads")
            assert OTHER in codes
        for n in range(1, 60, 3):
            child = h.start("node", "--listen", "127.0.0.1:0", env={"LD_PRELOAD": library, "REFUSE_THREAD": str(n)})
            killer = threading.Timer(SECONDS * PATIENCE, child.kill)
            killer.start()
            line = child.stdout.readline()
            if line.startswith(GREETING):
                child.send_signal(signal.SIGTERM)
            out, err = child.communicate()
            killer.cancel()
            assert child.returncode in (OK, OTHER, UNAVAILABLE) and out == b"", (n, child.returncode, line, out, err)
            assert child.returncode == OK or b"mutant: " in err, (n, err)
        assert h.get("value") == VALUE


def test_memory_may_end_anywhere():
    with Home() as h:
        library = refusing_library(h)
        h.put("value", VALUE)
        for words, stdin in ((["ls"], None), (["put", "other"], VALUE), (["get", "value"], None)):
            codes = [refused_at(h, library, words, stdin, "REFUSE_MEMORY_FROM", n)
                     for n in sorted(noise.sample(range(100, 8000), 25)) + [10_000_000]]
            assert OTHER in codes and codes[-1] == OK, codes
        assert h.get("value") == VALUE


if __name__ == "__main__":
    main(globals())
