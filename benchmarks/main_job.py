#!/usr/bin/env python3
"""The main job against a peer and against its bound: put and get of one large random file.

  benchmarks/main_job.py --mutant PROGRAM --bounds PROGRAM [--size-mib 1024] [--rounds 5] [--directory DIR] [--memory]

In every round, in turn: mutant put, rclone copy into a crypt remote on local disk, mutant get into a file and into /dev/null,
rclone copy out, and what libsodium alone reaches on all cores. Whole commands are timed, process start included; every copy
is compared with the source. mutant's put is durable when it returns, and so is a get into a file; rclone's copies are
followed by a sync of the file system, timed with them (what its get takes without that is told too). Ratios are taken within
a round; medians, minimum and maximum over the rounds are printed.
--memory instead follows RssAnon of put and get, from a file and through pipes, and prints the peaks.
"""
import argparse, hashlib, json, os, shutil, statistics, subprocess, sys, tempfile, time


def run(args, **kw):
    start = time.monotonic()
    subprocess.run(args, check=True, **kw)
    return time.monotonic() - start


def output(args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def spread(name, values, unit=""):
    print(f"{name:<46} {statistics.median(values):9.3f}{unit}  ({min(values):.3f} to {max(values):.3f}, {len(values)} rounds)")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "blake2b").hexdigest()


def make_file(path, size):
    with open(path, "wb") as f:
        left = size
        while left:
            n = min(left, 1 << 24)
            f.write(os.urandom(n))
            left -= n
        f.flush()
        os.fsync(f.fileno())


def rclone_setup(directory):
    password = output(["rclone", "obscure", "a password for measuring"]).strip()
    config = os.path.join(directory, "rclone.conf")
    with open(config, "w") as f:
        f.write(f"[vault]\ntype = crypt\nremote = {directory}/vault\npassword = {password}\n")
    return ["rclone", "--config", config]


def compare(a, directory, source, size):
    rclone = rclone_setup(directory)
    home = os.path.join(directory, "home")
    mutant = [a.mutant, "--home", home, "--quiet"]
    want = digest(source)
    out = os.path.join(directory, "out")
    rows = {k: [] for k in ("put", "get", "null", "rput", "rget", "rget only", "seal", "open")}
    for r in range(a.rounds):
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(os.path.join(directory, "vault"), ignore_errors=True)
        run(["sync"])
        rows["put"].append(run(mutant + ["put", "file", source]))
        run(["sync"])
        rows["rput"].append(run(rclone + ["copyto", source, "vault:file"]) + run(["sync", "-f", directory]))
        for name, command, target in (("get", mutant + ["get", "file", out], out),
                                      ("null", mutant + ["get", "file", "/dev/null"], None),
                                      ("rget", rclone + ["copyto", "vault:file", out], out)):
            if os.path.exists(out):
                os.remove(out)
            took = run(command)
            if name == "rget":
                rows["rget only"].append(took)
                took += run(["sync", "-f", directory])
            rows[name].append(took)
            if target and digest(target) != want:
                sys.exit(f"{name}: the copy differs from the source")
        bounds = json.loads(output([a.bounds, "--json"]))
        rows["seal"].append(bounds["seal_bytes_per_second"])
        rows["open"].append(bounds["open_bytes_per_second"])
        print(f"round {r + 1}: " + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in rows.items() if k not in ("seal", "open")))
    rate = lambda k: [size / t for t in rows[k]]
    print(f"\n{size / 2**20:.0f} MiB of random bytes, {os.cpu_count()} cores, source in the page cache")
    names = {"put": "mutant put", "rput": "rclone crypt in", "get": "mutant get to a file",
             "null": "mutant get to /dev/null", "rget": "rclone crypt out", "rget only": "rclone crypt out, not synced"}
    for key, name in names.items():
        spread(name, [v / 1e6 for v in rate(key)], " MB/s")
    spread("put against rclone", [p / q for p, q in zip(rate("put"), rate("rput"))], "x")
    spread("get against rclone", [p / q for p, q in zip(rate("get"), rate("rget"))], "x")
    spread("get against rclone without its sync", [p / q for p, q in zip(rate("get"), rate("rget only"))], "x")
    spread("put as part of the sealing bound", [p / q for p, q in zip(rate("put"), rows["seal"])])
    spread("get to /dev/null as part of the opening bound", [p / q for p, q in zip(rate("null"), rows["open"])])
    spread("get to a file as part of the opening bound", [p / q for p, q in zip(rate("get"), rows["open"])])


def peak(args, **kw):
    child = subprocess.Popen(args, **kw)
    top = 0
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status") as f:
                for line in f:
                    if line.startswith("RssAnon:"):
                        top = max(top, int(line.split()[1]) // 1024)
        except OSError:
            pass
        time.sleep(0.01)
    if child.returncode != 0:
        sys.exit(f"{args} failed")
    return top


def memory(a, directory, source):
    home = os.path.join(directory, "home")
    mutant = [a.mutant, "--home", home, "--quiet"]
    null = open(os.devnull, "w")
    print(f"peak RssAnon, {os.path.getsize(source) / 2**20:.0f} MiB, sampled every 10 ms:")
    print(f"  put from a file   {peak(mutant + ['put', 'a', source])} MiB")
    cat = subprocess.Popen(["cat", source], stdout=subprocess.PIPE)
    print(f"  put from a pipe   {peak(mutant + ['put', 'b', '-'], stdin=cat.stdout)} MiB")
    cat.wait()
    print(f"  get to /dev/null  {peak(mutant + ['get', 'a', '/dev/null'])} MiB")
    sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=null)
    print(f"  get to a pipe     {peak(mutant + ['get', 'b', '-'], stdout=sink.stdin)} MiB")
    sink.stdin.close()
    sink.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mutant", required=True)
    p.add_argument("--bounds")
    p.add_argument("--size-mib", type=int, default=1024)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--directory")
    p.add_argument("--memory", action="store_true")
    a = p.parse_args()
    if not a.memory and (not a.bounds or not shutil.which("rclone")):
        sys.exit("needs --bounds PROGRAM and rclone (apt-get install rclone)")
    with tempfile.TemporaryDirectory(dir=a.directory) as directory:
        source = os.path.join(directory, "source")
        make_file(source, a.size_mib << 20)
        if a.memory:
            memory(a, directory, source)
        else:
            compare(a, directory, source, a.size_mib << 20)


main()
