#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""kill -9 in the middle of puts, overwrites, renamings and removals; then the store is opened again and compared.

  kill.py [--seed N] [--rounds N]

Whatever was killed has happened whole or not at all; what was answered has happened; everything else is as it was.
"""
import argparse, random, signal, sys, time

from mutant_system import *

SIZES = [0, 10, 1024, 1025, 200_000, CHUNK, 3 * CHUNK + 17, 9 * CHUNK, 24 * CHUNK]


def rounds(seed, count):
    draw = random.Random(seed)
    keys = [f"key {i}" for i in range(4)]
    model = {}
    outcomes = {"killed": 0, "ended": 0, "resumed": 0}
    with Home() as h:
        h.run("init", "--quiet").expect()
        typical = 0.1
        for n in range(count):
            key = draw.choice(keys)
            what = draw.choice(["put", "put", "put", "stream", "rm", "mv"])
            after = dict(model)
            if what in ("put", "stream"):
                value = change(draw, model[key]) if key in model and draw.random() < 0.3 else draw.randbytes(draw.choice(SIZES))
                source = h.path("source", value)
                after[key] = value
                child = h.start("put", "--json", key, source) if what == "put" else \
                    h.start("put", "--json", key, stdin=open(source, "rb"))
            elif what == "rm":
                after.pop(key, None)
                child = h.start("rm", key)
            else:
                target = draw.choice(keys)
                if key in model and target not in model:
                    after[target] = after.pop(key)
                child = h.start("mv", key, target)
            begin = time.monotonic()
            killed = draw.random() < 0.85
            if killed:
                time.sleep(draw.uniform(0, 1.3 * typical))
                child.kill()
            out, err = child.communicate()
            typical = 0.8 * typical + 0.2 * max(0.02, time.monotonic() - begin)
            where = f"round {n}, {what} {key!r} ({len(after.get(key, b''))} bytes), exit {child.returncode}, {err[-300:]!r}"
            outcomes["killed" if child.returncode == -signal.SIGKILL else "ended"] += 1
            assert child.returncode in (0, -signal.SIGKILL, NOT_FOUND, PRECONDITION), where
            if child.returncode == 0:
                model = after
            elif child.returncode == -signal.SIGKILL:
                touched = [k for k in keys if model.get(k) != after.get(k)]
                now = {k: fetch(h, k) for k in touched}
                states = [{k: s.get(k) for k in touched} for s in (model, after)]
                assert now in states, f"{where}: neither as before nor as after"
                model = model if now == states[0] else after
                if what in ("put", "stream") and draw.random() < 0.5:  # given again, it goes on or begins anew
                    again = h.run("put", "--json", key, source).expect().json
                    outcomes["resumed"] += again["resumed"]
                    model = {**model, key: value}
                    assert fetch(h, key) == value, f"{where}: put again, it has another value"
            if n % 8 == 7 or n == count - 1:
                compare(h, model, where)
        # A pad that a killed put left behind is found; nothing that is in use is.
        h.run("purge", "--drop-uploads").expect()
        compare(h, model, "after purge")
        h.run("rm", *model).expect()
        assert h.run("stats", "--json").expect().json["pads_in_use"] == 0
    return outcomes


def change(draw, value):
    value = bytearray(value)
    for _ in range(3):
        if value:
            value[draw.randrange(len(value))] ^= 0x55
    return bytes(value)


def fetch(h, key):
    got = h.run("get", key)
    assert got.code in (OK, NOT_FOUND), got
    return got.out if got.code == OK else None


def compare(h, model, where):
    assert sorted(h.keys()) == sorted(model), f"{where}: other keys than {sorted(model)}"
    for key, value in model.items():
        assert fetch(h, key) == value, f"{where}: {key} has another value"


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25 if SANITIZED else 80)
    return parser.parse_args()


def test_kill():
    print(f"seed {arguments.seed}:", rounds(arguments.seed, arguments.rounds))


if __name__ == "__main__":
    arguments = parse()
    sys.argv[1:] = []
    main(globals())
