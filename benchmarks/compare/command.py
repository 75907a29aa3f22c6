"""The program as a whole: the time to its first byte, and the memory it takes."""

import os
import subprocess
import time

from large import make_file
from tools import Failed, run


def first_byte_ms(command):
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    first = child.stdout.read(1)
    took = time.monotonic() - start
    child.stdout.read()
    if child.wait() != 0 or not first:
        raise Failed(f"{' '.join(command)}: exit code {child.returncode}")
    return took * 1e3


def first_byte(options, directory, figures, lock):
    """`mutant get` of a small value, warm: process start, opening the store, look-up, output."""
    mutant = [options.mutant, "--home", os.path.join(directory, "home"), "--quiet"]
    small = os.path.join(directory, "small")
    figures.say("\nfrom process start to the first byte of a small value, warm")
    for size, name in ((100, "inlined"), (2000, "a pad of its own")):
        with open(small, "wb") as f:
            f.write(os.urandom(size))
        run([*mutant, "put", f"value-{size}", small])
        command = [*mutant, "get", f"value-{size}"]
        medians, worst = [], []
        for _ in range(options.rounds):
            with lock():
                taken = sorted(first_byte_ms(command) for _ in range(3 if options.smoke else 20))
            medians.append(taken[len(taken) // 2])
            worst.append(taken[-1])
        figures.add(f"mutant get, {name}: first byte", medians, "ms", 40, at_most=True)
        figures.add(f"mutant get, {name}: first byte, slowest of the round", worst, "ms")


def peak_mib(command, **more):
    """The most anonymous memory of a run, looked at every 10 ms."""
    child = subprocess.Popen(command, **more)
    top = 0
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status") as f:
                top = max([top] + [int(line.split()[1]) for line in f if line.startswith("RssAnon:")])
        except OSError:
            pass
        time.sleep(0.01)
    if child.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit code {child.returncode}")
    return top / 1024


def memory(options, directory, figures, lock):
    mutant = [options.mutant, "--home", os.path.join(directory, "home"), "--quiet"]
    source = os.path.join(directory, "source")
    make_file(source, options.size_mib << 20)
    figures.say(f"\npeak anonymous memory, {options.size_mib} MiB")
    with lock():
        figures.add("put from a file", [peak_mib([*mutant, "put", "a", source])], "MiB", 128, at_most=True)
        with subprocess.Popen(["cat", source], stdout=subprocess.PIPE) as cat:
            figures.add("put from a pipe", [peak_mib([*mutant, "put", "b", "-"], stdin=cat.stdout)], "MiB", 128, at_most=True)
        figures.add("get to /dev/null", [peak_mib([*mutant, "get", "a", "/dev/null"])], "MiB", 128, at_most=True)
        out = os.path.join(directory, "out")
        figures.add("get to a file", [peak_mib([*mutant, "get", "a", out])], "MiB", 128, at_most=True)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink:
            figures.add("get to a pipe", [peak_mib([*mutant, "get", "b", "-"], stdout=sink.stdin)], "MiB", 128, at_most=True)
            sink.stdin.close()
