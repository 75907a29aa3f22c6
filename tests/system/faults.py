#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""Whichever system call of a command fails, the command ends soon, says so, and loses nothing.

  faults.py [--seed N] [--trials N] [--all] [--only TEXT] [TEST...]

For each command, and each kind of call that it makes on its files: the n-th such call fails, alone or with all that follow, or
is cut short, or the process is killed there. So many --trials are drawn with the seed for each command, of every kind of fault
before a second of any; --all tries every n of each. --only keeps the trials whose name contains a text: a failed one is printed
by its name.

What is asked of each: the command ends within seconds, with a code that fits (docs/operations.md); what fails says why on
standard error, and nothing of that is on standard output; success means done; what was acknowledged before is there; the same
command then works.
"""
import argparse, random, shutil, signal, sys

from inject import *
from mutant_system import *

# What may go wrong where. `onward`: from that call on, all of them.
FAULTS = {
    "write": ["EIO", "ENOSPC", "EIO onward", "ENOSPC onward", "EFBIG onward", "short", "short onward", "torn", "kill"],
    "read": ["EIO", "EIO onward"],  # a regular file gives all that is asked for, or fails
    "sync": ["EIO", "EIO onward", "kill"],
    "allocate": ["ENOSPC", "ENOSPC onward", "EIO", "EOPNOTSUPP onward", "kill"],
    "truncate": ["ENOSPC", "EIO", "kill"],
    "open": ["EMFILE", "EMFILE onward", "EACCES", "EIO", "kill"],
    "map": ["ENOMEM", "ENOMEM onward"],
    "name": ["ENOSPC", "EACCES", "EIO", "kill"],
    "lock": ["EAGAIN", "EIO"],
    "thread": ["EAGAIN", "EAGAIN onward"],
}
SECONDS = 20
# An error of a file, and a store that is full or out of reach; a thing that cannot be read may also be called damaged.
CODES = {OTHER, UNAVAILABLE}
CODES_OF_READING = CODES | {INTEGRITY}

class Command:
    """A command in a home that `prepare` made: `before` are the values that are there, `after` those once it has succeeded."""

    def __init__(self, name, words, before, after, stdin=None, prepare=(), output=None):
        self.name, self.words, self.before, self.after = name, words, before, after
        self.stdin, self.prepare, self.output = stdin, prepare, output

    def run(self, h, env=None, timeout=SECONDS):
        words = [w.replace("{}", str(h.folder)) for w in self.words]
        return h.run(*words, stdin=self.stdin, env=env, timeout=timeout)


noise = random.Random(7)
SMALL, MIDDLE, LARGE = noise.randbytes(100), noise.randbytes(30_000), noise.randbytes(CHUNK + 70_000)
OTHER_LARGE = LARGE[:5000] + noise.randbytes(60_000) + LARGE[65_000:]
THREE = {"small": SMALL, "middle": MIDDLE, "large": LARGE}

COMMANDS = {c.name: c for c in [
    Command("first put", ["put", "new", "{}/middle"], {}, {"new": MIDDLE}),
    Command("put", ["put", "new", "{}/large"], THREE, {**THREE, "new": LARGE}),
    Command("put from a pipe", ["put", "new"], THREE, {**THREE, "new": OTHER_LARGE}, stdin=OTHER_LARGE),
    Command("put of a small value", ["put", "new"], THREE, {**THREE, "new": b"12"}, stdin=b"12"),
    Command("overwrite", ["put", "large", "{}/other"], THREE, {**THREE, "large": OTHER_LARGE}),
    Command("rm", ["rm", "large"], THREE, {"small": SMALL, "middle": MIDDLE}),
    Command("rm --wipe", ["rm", "--wipe", "large"], THREE, {"small": SMALL, "middle": MIDDLE}),
    Command("mv", ["mv", "large", "moved"], THREE, {"small": SMALL, "middle": MIDDLE, "moved": LARGE}),
    Command("purge", ["purge", "--wipe"], {"small": SMALL, "middle": MIDDLE}, {"small": SMALL, "middle": MIDDLE},
            prepare=[["rm", "large"]]),
    Command("ls", ["ls", "--json"], THREE, THREE),
    Command("get", ["get", "large", "{}/got"], THREE, THREE, output=LARGE),
]}


class Bed:
    """Homes to be spoilt: each trial gets a copy of what `prepare` made once."""

    def __init__(self, command, folder):
        self.command, self.master, self.spoilt = command, Home(folder / "master"), folder / "trial"
        self.master.folder.mkdir()
        for name, content in (("middle", MIDDLE), ("large", LARGE), ("other", OTHER_LARGE)):
            self.master.path(name, content)
        if command.before:
            for key, value in THREE.items():
                self.master.put(key, value)
        for words in command.prepare:
            self.master.run(*words).expect()

    def fresh(self):
        shutil.rmtree(self.spoilt, ignore_errors=True)
        shutil.copytree(self.master.folder, self.spoilt)
        h = Home(self.spoilt)
        h.committed = bool(self.command.before)
        return h


def calls_of(bed):
    """How many calls of each kind the command makes."""
    h = bed.fresh()
    words = [w.replace("{}", str(h.folder)) for w in bed.command.words]
    made = traced(h, *words, stdin=bed.command.stdin, calls=tuple(FAULTS))
    return {kind: sum(1 for k, _ in made if k == kind) for kind in FAULTS}


def trials_of(counts, draw, wanted):
    """(kind, n, fault) of all trials there are, or of some."""
    groups = [[(kind, n, fault) for n in range(1, counts[kind] + 1)]
              for kind, faults in FAULTS.items() for fault in faults if counts[kind] > 0]
    if wanted is None:
        return [trial for group in groups for trial in group]
    chosen = [draw.choice(group) for group in groups]
    rest = sorted({trial for group in groups for trial in group} - set(chosen))
    draw.shuffle(chosen)
    return chosen[:wanted] + draw.sample(rest, max(0, min(len(rest), wanted - len(chosen))))


def values_in(h, keys):
    """The values of these keys in a home without faults; absent ones are left out."""
    found = {}
    for key in keys:
        got = h.run("get", "--", key, timeout=SECONDS)
        if got.code == OK:
            found[key] = got.out
        elif got.code == UNAVAILABLE and not h.committed and any(
                said in got.err for said in ("there is no store", "nothing is stored yet")):
            return {}
        elif got.code != NOT_FOUND:
            raise AssertionError(f"afterwards, without a fault: {got}")
    return found


def same(values, wanted):
    return ", ".join(f"{key} is {'gone' if key not in values else 'another' if key in wanted else 'there'}"
                     for key in sorted({*values, *wanted}) if values.get(key) != wanted.get(key))


def attempt(bed, kind, n, fault):
    """One trial; a complaint, or None."""
    command, h = bed.command, bed.fresh()
    word, _, onward = fault.partition(" ")
    done = command.run(h, env=faulty(h.folder, kind, n, word, onward=bool(onward)))
    if done.code == OK:
        states = [command.after]
    else:
        states = [command.before, command.after]
        if done.code != -signal.SIGKILL or fault not in ("kill", "torn"):
            assert done.code in (CODES_OF_READING if kind in ("read", "map") else CODES), f"an unfitting exit code: {done}"
            assert "mutant: " in done.err, f"no reason is given: {done}"
    assert b"***" not in done.out and "***" not in done.err, f"an exception that nobody caught: {done}"
    keys = {*command.before, *command.after}
    values = values_in(h, keys)
    assert values in states, f"{' and '.join(same(values, s) for s in states)}, after {done}"
    if done.code == OK and command.output is not None:
        assert (h.folder / "got").read_bytes() == command.output, f"the file has another content, after {done}"
    if values != command.after or command.before == command.after:
        again = command.run(h)
        assert again.code == OK, f"given again, without a fault: {again}, after {done}"
        values = values_in(h, keys)
        assert values == command.after, f"given again: {same(values, command.after)}, after {done}"


def inject_into(name):
    draw = random.Random(f"{arguments.seed} {name}")
    failures = []
    with Home() as workshop:
        bed = Bed(COMMANDS[name], workshop.folder)
        counts = calls_of(bed)
        trials = trials_of(counts, draw, None if arguments.all else arguments.trials)
        for kind, n, fault in trials:
            trial = f"{name}, {kind} {n}: {fault}"
            if arguments.only not in trial:
                continue
            try:
                attempt(bed, kind, n, fault)
            except AssertionError as complaint:
                failures.append(trial)
                print(f"-- {trial} --\n{complaint}", flush=True)
    made = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    print(f"{name}: seed {arguments.seed}, {len(trials)} trials over {made}")
    assert not failures, f"{len(failures)} of {len(trials)}: {'; '.join(failures)}"


def test_a_first_put():
    inject_into("first put")


def test_a_put():
    inject_into("put")


def test_a_put_from_a_pipe():
    inject_into("put from a pipe")


def test_a_put_of_a_small_value():
    inject_into("put of a small value")


def test_an_overwrite():
    inject_into("overwrite")


def test_a_removal():
    inject_into("rm")


def test_a_removal_that_wipes():
    inject_into("rm --wipe")


def test_a_renaming():
    inject_into("mv")


def test_a_purge():
    inject_into("purge")


def test_a_listing():
    inject_into("ls")


def test_a_get():
    inject_into("get")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=6 if SANITIZED else 24)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("tests", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    sys.argv[1:] = arguments.tests
    main(globals())
