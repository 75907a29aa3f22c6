#!/usr/bin/env python3
# ctest: TIMEOUT 300 LABELS system,benchmark
"""mutant-load as people use it: reports, faults, interruption, and above all that a wrong value does not get past it."""
import json, os, re, signal, subprocess, time

from mutant_system import (Home, INTEGRITY, INTERRUPTED, PATIENCE, UNAVAILABLE, USAGE, main, wait_until)

PROGRAM = os.environ["MUTANT_LOAD"]
QUICK = ["--warmup", "100ms", "--duration", "1s"]


def start(*words):
    return subprocess.Popen([PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(child, words, code):
    out, err = child.communicate(timeout=60 * PATIENCE)
    assert child.returncode == code, f"{words}: exit {child.returncode}, expected {code}\n{out}\n{err}"
    return out, err


def load(*words, code=0):
    return finish(start(*words), words, code)


def report(*words, code=0):
    out, err = load(*words, "--json", "-", code=code)
    return json.loads(out), err


def failures(r):
    sums = {}
    for operation in r["operations"].values():
        for name, e in operation["errors"].items():
            sums[name] = sums.get(name, 0) + e["count"]
    return sums


def test_every_kind_of_operation_is_measured():
    r, _ = report("--smoke")
    assert r["ending"] == "done" and r["exit_code"] == 0
    assert set(r["operations"]) == {"read", "update", "insert", "scan", "modify", "upload", "download"}
    for name, o in r["operations"].items():
        s = o["service"]
        assert o["count"] > 0 and o["failed"] == 0, (name, o)
        assert 0 < s["min_ns"] <= s["p50_ns"] <= s["p99_ns"] <= s["p9999_ns"] <= s["max_ns"], (name, s)
    assert sum(o["count"] for o in r["operations"].values()) == r["run"]["count"]


def test_every_preset_runs_on_a_local_store():
    with Home() as h:
        for name in ("a", "b", "c", "d", "e", "f", "upload", "download", "mixed"):
            operations = 40 if name in ("upload", "download") else 400
            r, _ = report("--store", f"local:{h.path('pads-' + name)}", "--workload", name, "--clients", 8, "--records", 200,
                          "--large-size", "5MiB", "--warmup", "0s", "--operations", operations)
            assert r["run"]["failed"] == 0, (name, failures(r))
            assert r["run"]["count"] == operations, (name, r["run"])


def test_a_local_store_that_the_run_made_is_removed_and_others_are_left_alone():
    with Home() as h:
        pads = h.path("pads")
        load("--store", f"local:{pads}", "--records", 50, "--operations", 50, "--warmup", "0s")
        assert not pads.exists()
        load("--store", f"local:{pads}", "--records", 50, "--operations", 50, "--warmup", "0s", "--keep")
        assert pads.exists()
        out, _ = load("--store", f"local:{pads}", "--records", 50, "--operations", 50, "--warmup", "0s")
        assert pads.exists() and "throw-away" in out


def test_the_page_is_whole_and_loads_nothing():
    with Home() as h:
        page, document = h.path("report.html"), h.path("report.json")
        out, _ = load("--store", "memory:", "--workload", "a", *QUICK, "--html", page, "--json", document)
        assert "read" in out and "p99.9" in out
        text = page.read_text()
        r = json.loads(document.read_text())
        assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
        assert not re.search(r"""(src|href)\s*=|@import|url\(|fetch\(|https?://(?!www\.w3\.org/2000/svg)""", text)
        data = json.loads(re.search(r"^const report = (.*);$", text, re.MULTILINE)[1])
        assert data == r


def test_an_open_loop_tells_response_and_service_time():
    r, _ = report("--store", "memory:", "--workload", "b", "--records", 200, "--rate", 500, "--clients", 16, *QUICK)
    read = r["operations"]["read"]
    assert read["response"]["mean_ns"] >= read["service"]["mean_ns"]
    # However slow the machine is: what was meant to start is what the rate says.
    offered = r["run"]["count"] + r["run"]["failed"] + sum(r["run"]["open_loop"][x] for x in ("dropped", "not_started"))
    assert 400 < offered < 600, r["run"]
    # Far more than any machine does: what could not be started is told.
    r, _ = report("--store", "memory:", "--workload", "a", "--records", 200, "--rate", 3_000_000, "--clients", 2, *QUICK)
    assert r["run"]["open_loop"]["not_started"] + r["run"]["open_loop"]["dropped"] > 1000


def test_the_same_seed_does_the_same_work():
    def counts(seed):
        r, _ = report("--store", "memory:", "--workload", "a", "--clients", 3, "--records", 100, "--size", "100..900",
                      "--warmup", "0s", "--operations", 600, "--seed", seed)
        # What a read finds depends on which client was faster; what is written does not.
        return r["operations"]["read"]["count"], r["operations"]["update"]["count"], r["operations"]["update"]["bytes"]
    first = counts(5)
    assert counts(5) == first and counts(6) != first


def test_corrupt_pads_are_errors_and_never_a_wrong_value():
    # No updates: a commit that is read back while it is written would end the run, as damage of the index does.
    r, _ = report("--store", "memory:", "--workload", "read=100", "--clients", 8, "--records", 100, "--size", "3000",
                  "--faults", "corrupt=20%", *QUICK)
    assert r["ending"] == "done"
    assert failures(r).get("decrypt_failed", 0) + failures(r).get("corrupt_record", 0) > 10, failures(r)
    assert r["operations"]["read"]["count"] > 10
    assert r["faults"]["tampered"] > 10


def test_trouble_shows_in_the_latencies_and_nothing_is_wrong():
    r, _ = report("--store", "memory:", "--workload", "a", "--clients", 8, "--records", 100, "--size", "3000", "--pad-timeout",
                  "50ms", "--faults", "delay=2ms+-1,drop=1%,repeat=2%,overloaded=1%,straggle=1%:20ms", *QUICK)
    assert r["ending"] == "done", r
    assert r["configuration"]["faults"].startswith("delay=1ms..3ms,straggle=1%:20ms,drop-requests=1%")
    # A read asks the pads once: there and back take 2 ms each way, 1 ms at least.
    assert r["operations"]["read"]["service"]["min_ns"] >= 2_000_000
    assert r["faults"]["lost"] > 0 and r["faults"]["repeated"] > 0 and r["faults"]["refused"] > 0


def own_store(h):
    h.run("init").expect()
    return ["--store", f"local:{h.store}", "--identity", h.home / "identity", "--records", "20", "--clients", "4"]


def test_a_value_that_somebody_else_wrote_is_found():
    with Home() as h:
        mine = own_store(h)
        load(*mine, "--workload", "a", "--operations", 200, "--warmup", "0s")
        again, _ = report(*mine, "--workload", "a", "--operations", 200, "--warmup", "0s", "--no-load")
        assert again["ending"] == "done"
        h.put("load/small/000000000007", b"not what was there" * 10)
        _, err = load(*mine, "--workload", "c", "--keys", "uniform", "--no-load", *QUICK, code=INTEGRITY)
        assert "WRONG VALUE" in err and "load/small/000000000007" in err and "not written by mutant-load" in err, err


def test_a_value_of_another_key_is_found():
    with Home() as h:
        mine = own_store(h)
        load(*mine, "--workload", "c", "--operations", 10, "--warmup", "0s")
        h.put("load/small/000000000003", h.get("load/small/000000000004"))
        _, err = load(*mine, "--workload", "c", "--keys", "uniform", "--no-load", *QUICK, code=INTEGRITY)
        assert "WRONG VALUE" in err and "belongs to key number 4" in err, err


def test_a_value_that_is_overwritten_while_the_run_goes_on_ends_it():
    with Home() as h:
        words = [*own_store(h), "--workload", "read=95,update=5", "--keys", "uniform", "--duration", "60s", "--warmup", "0s"]
        running = start(*words)
        wait_until(lambda: "load/small/000000000019" in h.keys(), what="the load phase")
        # The run learns of other writers when it writes; whether it reads the key before it overwrites it is chance.
        while running.poll() is None:
            h.run("put", "load/small/000000000011", stdin=b"planted by another client" * 10)
        out, err = finish(running, words, INTEGRITY)
        assert "WRONG VALUE" in err and "load/small/000000000011" in err, err
        assert "operations in" in out


def test_a_removed_value_is_found():
    with Home() as h:
        words = [*own_store(h), "--workload", "read=95,update=5", "--keys", "uniform", "--duration", "60s", "--warmup", "0s"]
        running = start(*words)
        wait_until(lambda: "load/small/000000000019" in h.keys(), what="the load phase")
        while running.poll() is None:
            h.run("rm", "load/small/000000000011")
        _, err = finish(running, words, INTEGRITY)
        assert "WRONG VALUE" in err and "is gone" in err, err


def test_an_interrupted_run_reports_what_it_has():
    with Home() as h:
        document = h.path("report.json")
        words = ["--store", "memory:", "--workload", "a", "--duration", "1h", "--warmup", "0s", "--json", document]
        running = start(*words)
        time.sleep(2 * PATIENCE)
        running.send_signal(signal.SIGINT)
        out, _ = finish(running, words, INTERRUPTED)
        r = json.loads(document.read_text())
        assert r["ending"] == "interrupted" and r["run"]["count"] > 0 and "operations in" in out


def test_nobody_there_is_said():
    _, err = load("--store", "caf://127.0.0.1:1", "--connect-timeout", "500ms", code=UNAVAILABLE)
    assert "127.0.0.1:1" in err, err


def test_wrong_words_are_usage_errors():
    memory = ["--store", "memory:"]
    for words, text in (([], "--store"), (["--store", "nowhere"], "nowhere"), ([*memory, "--workload", "g"], "mixed"),
                        ([*memory, "--faults", "dealy=5ms"], "delay"), ([*memory, "--size", "7"], "40"),
                        ([*memory, "--clients", "0"], "--clients"), ([*memory, "--rate", "-1"], "--rate"),
                        ([*memory, "--duration", "soon"], "--duration"), (["--frobnicate"], "--frobnicate")):
        _, err = load(*words, code=USAGE)
        assert text in err, (words, err)
    out, _ = load("--help")
    assert "--faults" in out and "Examples" in out


if __name__ == "__main__":
    main(globals())
