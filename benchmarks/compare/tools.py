"""What the comparisons share: running programs, installing peers, spread over rounds, ratios."""

import contextlib
import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import time


class Failed(Exception):
    """A program did not do what it should; nothing measured with it counts."""


def run(command, env=None, **more):
    """Runs it and gives its seconds. Its output only shows when it fails."""
    more.setdefault("stdout", subprocess.PIPE)
    start = time.monotonic()
    done = subprocess.run(command, env=env, stderr=subprocess.PIPE, **more)
    took = time.monotonic() - start
    if done.returncode != 0:
        text = (done.stderr or b"").decode(errors="replace").strip()[-800:]
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}: {text}")
    return took


def output(command, env=None, **more):
    done = subprocess.run(command, env=env, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout


def sync_seconds(directory):
    """What it takes until everything written below is on the disk."""
    return run(["sync", "-f", directory])


def drop_cached(directory):
    """Nothing of the files below is in the page cache afterwards; what else is there stays. No root is needed for that."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    os.fsync(f.fileno())
                    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def file_system(directory):
    """Its kind, and whether it takes direct I/O: what a disk's figures mean depends on it."""
    kind = output(["stat", "-f", "-c", "%T", directory]).strip()
    probe = os.path.join(directory, "direct")
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600))
        direct = "takes direct I/O"
    except OSError:
        direct = "refuses direct I/O"
    if os.path.exists(probe):
        os.remove(probe)
    return f"{directory} is on {kind}, which {direct}"


def install(packages):
    """From Debian, if they are missing and this is root."""
    missing = [p for p in packages if subprocess.run(["dpkg", "-s", p], capture_output=True).returncode != 0]
    if not missing:
        return
    if os.geteuid() != 0:
        print(f"not installed, and only root can: {' '.join(missing)}", file=sys.stderr)
        return
    print(f"installing {' '.join(missing)}", file=sys.stderr)
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    base = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*base, "update"], env=env, stdout=sys.stderr)
    for package in missing:  # one by one: one that is not to be had keeps none of the others
        if subprocess.run([*base, "install", "-y", "--no-install-recommends", package], env=env, stdout=sys.stderr).returncode:
            print(f"{package} could not be installed", file=sys.stderr)


def have(program):
    return shutil.which(program) is not None


@contextlib.contextmanager
def alone(lock):
    """Holds a lock that others on this machine look at, if one was named: a round is measured with nobody beside it."""
    if not lock:
        yield
        return
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Figures:
    """Values by name, one a round; printed as they are complete, and all of them as JSON at the end."""

    def __init__(self, as_json, verdicts=True):
        self.as_json, self.verdicts = as_json, verdicts  # verdicts: whether targets are reached; not at a smoke run's sizes
        self.values = {}

    def say(self, text=""):
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def add(self, name, values, unit="", target=None, at_most=False):
        if not values:
            return
        median = statistics.median(values)
        entry = {"median": median, "min": min(values), "max": max(values), "rounds": len(values), "unit": unit}
        line = f"{name:<58} {median:11.3f} {unit:<5} ({min(values):.3f} to {max(values):.3f}, {len(values)} rounds)"
        if target is not None:
            entry["target"] = target
        if target is not None and self.verdicts:
            reached = median <= target if at_most else median >= target
            line += f"  target {'<=' if at_most else '>='} {target:g}: {'reached' if reached else 'MISSED'}"
        self.values[name] = entry
        if not self.as_json:
            print(line, flush=True)

    def ratio(self, name, a, b, target=None):
        """Of the same rounds."""
        self.add(name, [x / y for x, y in zip(a, b)], "x", target)

    def finish(self):
        if self.as_json:
            print(json.dumps({"cores": os.cpu_count(), "figures": self.values}))
