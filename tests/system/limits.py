#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""A machine that gives no threads, memory, descriptors or file sizes: every command ends within seconds, with a documented exit
code and a message on standard error, with nothing but results on standard output, and what was acknowledged is there."""
import itertools, os, pwd, random, resource, signal, stat, subprocess, threading

from inject import *
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


def test_a_node_compares_its_connections_with_its_descriptors():
    with Home() as h:
        h.put("x", b"1")
        words = ["node", "--listen", "127.0.0.1:0", "--max-connections"]
        refused = h.run(*words, "300", **limited(resource.RLIMIT_NOFILE, 350))
        refused.expect(OTHER, err=["300 connections", "350", "ulimit -n", "--max-connections"], out=b"")
        # What it may raise itself, it raises.
        child = h.start(*words, "300", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 4096)))
        assert child.stdout.readline().startswith(GREETING)
        with open(f"/proc/{child.pid}/limits") as limits:
            [line] = [line for line in limits if line.startswith("Max open files")]
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=SECONDS * PATIENCE)
        assert child.returncode == OK and int(line.split()[3]) >= 300, line


def test_files_that_may_not_grow():
    sweep(resource.RLIMIT_FSIZE, [0, 4096, 100_000, 1 << 20, 5 << 20, 1 << 30], commands=(put, put_large, get_json), node=False)


# -- the n-th thread or piece of memory is refused: somebody else was faster than what asked beforehand ------------------

# Nothing for operator new from its n-th call on; what a library of C does without memory is its own affair (OpenSSL 3.0 crashes
# when it cannot initialise itself). tests/inject refuses threads.
NO_MEMORY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

extern void* __libc_malloc(size_t);
void* malloc(size_t size) {
  static atomic_long pieces;
  static long last = -1;
  static char* operator_new;
  if (last < 0) {
    const char* text = getenv("LAST_MEMORY");
    last = text ? atol(text) : 0;
    operator_new = dlsym(RTLD_DEFAULT, "_Znwm");
  }
  // From when the program takes care of it: before its main() the static objects of libraries are made, which nobody can answer
  // for, and how many they are depends on what it is linked with.
  static int (*new_handler)(void);
  if (!new_handler)
    *(void**)&new_handler = dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
  if (!new_handler || !((void* (*)(void))new_handler)())
    return __libc_malloc(size);
  char* caller = __builtin_return_address(0);
  if (operator_new && caller > operator_new && caller < operator_new + 256 && atomic_fetch_add(&pieces, 1) >= last) {
    errno = ENOMEM;
    return NULL;
  }
  return __libc_malloc(size);
}
"""


def without_memory(h):
    if SANITIZED:
        raise Skip("a sanitizer has its own malloc")
    source, library = h.path("memory.c", NO_MEMORY.encode()), h.folder / "memory.so"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as why:
        raise Skip(f"no C compiler: {why}")
    return str(library)


def refused(h, words, stdin, env):
    done = h.run(*words, stdin=stdin, timeout=SECONDS, env=env)
    where = f"{env}: {done}"
    assert done.code in DOCUMENTED and (done.code == OK or "mutant: " in done.err), where
    # It may also be refused when all is done.
    results = {"get": [VALUE], "ls": [b"value\n", b"other\nvalue\n"], "put": [b""]}
    stored = words[0] == "put" and done.out.startswith(b"stored ")
    assert stored or any(whole.startswith(done.out) for whole in results[words[0]]), where
    return done.code


def test_any_thread_may_be_refused():
    if SANITIZED:
        raise Skip("a sanitizer has its own pthread_create")
    with Home() as h:
        h.put("value", VALUE)
        for words, stdin in ((["ls"], None), (["put", "other"], VALUE), (["get", "value"], None)):
            codes, n = [], 1
            while codes[-3:] != [OK] * 3:  # none is refused any more
                assert n < 2000, codes
                codes.append(refused(h, words, stdin, faulty(h.folder, "thread", n, "EAGAIN")))
                n += 1
            print("  ", words[0], n, "threads")
            assert OTHER in codes
        for n in range(1, 60, 3):
            child = h.start("node", "--listen", "127.0.0.1:0", env=faulty(h.folder, "thread", n, "EAGAIN"))
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
        library = without_memory(h)
        h.put("value", VALUE)
        for words, stdin in ((["ls"], None), (["put", "other"], VALUE), (["get", "value"], None)):
            codes = [refused(h, words, stdin, {"LD_PRELOAD": library, "LAST_MEMORY": str(n)})
                     for n in sorted(noise.sample(range(100, 6000), 25)) + [10_000_000]]
            assert OTHER in codes and codes[-1] == OK, codes
        assert h.get("value") == VALUE


# -- and nobody looks in -----------------------------------------------------------------------------------------------------

def test_no_core_file_and_no_look_into_memory():
    if SANITIZED:
        raise Skip("sanitizers look into their process themselves")
    with Tenant() as h:
        child = h.start("put", "small", stdin=subprocess.PIPE, **limited(resource.RLIMIT_CPU, 600, h.user))
        child.stdin.write(bytes(1 << 20))  # more than a pipe holds: it has opened its store when it takes this
        child.stdin.flush()
        # The same user, as a debugger would be.
        done = subprocess.run(["cat", f"/proc/{child.pid}/environ"], capture_output=True,
                              **limited(resource.RLIMIT_CPU, 60, h.user))
        assert done.returncode != 0 and b"Permission denied" in done.stderr, done
        child.send_signal(signal.SIGSEGV)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = -os.WTERMSIG(status)
        assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status), status
        h.all_is_there()


if __name__ == "__main__":
    main(globals())
