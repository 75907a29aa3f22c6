"""Faults at the system calls of a program (tests/inject/inject.cpp), for system tests. Helper module: no test itself.

    with Home() as h:
        calls = traced(h, "put", "key", "file")          # which calls the command makes
        env = faulty(h.folder, "write", 7, "ENOSPC")     # its 7th write fails; with onward=True those after it, too
        h.run("put", "key", "file", env=env)
"""
import os, pathlib

LIBRARY = os.environ.get("MUTANT_INJECT")
KINDS = ("write", "read", "sync", "allocate", "truncate", "open", "map", "name", "lock", "thread", "accept")


def preloaded(calls, below=None):
    assert LIBRARY, "$MUTANT_INJECT does not name the library that injects (build/PRESET/tests/libmutant_inject.so)"
    env = {"LD_PRELOAD": LIBRARY, "MUTANT_INJECT_CALLS": calls}
    if below is not None:
        env["MUTANT_INJECT_BELOW"] = os.path.realpath(below)
    return env


def faulty(below, calls, at, fault, onward=False):
    """An environment in which the `at`-th of those calls on files below a directory meets the fault."""
    return {**preloaded(calls, below), "MUTANT_INJECT_AT": f"{at}+" if onward else str(at), "MUTANT_INJECT_FAULT": fault}


def wrong_clock(seconds):
    """An environment in which the time of day is off."""
    return {"LD_PRELOAD": LIBRARY, "MUTANT_INJECT_CLOCK": str(seconds)}


def traced(home, *words, below=None, calls=KINDS, **run):
    """Runs a command that must succeed; the calls it made, in order: (kind, path)."""
    trace = pathlib.Path(home.folder) / "trace"
    env = {**preloaded(",".join(calls), below or home.folder), "MUTANT_INJECT_TRACE": str(trace)}
    home.run(*words, env=env, **run).expect()
    lines = trace.read_text(errors="replace").splitlines()
    trace.unlink()
    return [tuple((line.split(" ", 2) + [""])[1:3]) for line in lines]
