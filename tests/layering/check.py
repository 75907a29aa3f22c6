#!/usr/bin/env python3
"""Refuses sources that break the house rules of CONTRIBUTING.md.

Checked: who may include what; that every header compiles on its own; that no line is longer than 128 characters, and no
function longer than 70 lines but those that are listed here; and that every function of what we ship is called by something
that is no test.
Each breach is printed as file:line: what is wrong. Exit code 1 if there is any.

    check.py --source DIR --build DIR      DIR of the build: the one that holds compile_commands.json
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

from functions import functions, names

LINE_LIMIT = 128
FUNCTION_LIMIT = 70
# Longer than that: (file, function). One that has become shorter is told, so that the list only shrinks.
LONG_FUNCTIONS = {
    ("actors/index/index.cpp", "index_manager"),  # the table of handlers, which only dispatch
    ("actors/store.cpp", "spawn_store"),
    ("benchmarks/bench_small_values.cpp", "main"),
    ("tests/core/test_index_state.cpp", "contradictory_parts_are_corrupt"),
    ("tests/simulation/world.cpp", "world::aftermath"),
}
# Called by tests alone, with the reason. What else nothing calls is to be deleted, or made the way that the code goes.
UNCALLED = {
    "for_readers": "what a reader is given is exported by name; tests make one at once",
    "leaf_count": "tests look at how full a map's leaves are",
    "newcomers": "tests look at what the admission holds",
    "used_bytes": "tests look at what the budget has given out",
    "seal_public": "records that others may read are opened, and not written yet; docs/format.md has their vectors",
    "set_large_block_cache_bytes": "a test empties the cache",
}
# Called by the library or the language that they are for.
CALLED_FROM_OUTSIDE = {"allocate", "deallocate", "inspect", "main", "must_read_more", "try_accept", "write_some"}
SHIPPED = ("core/", "actors/", "apps/")
FOLDERS = ("core", "actors", "apps", "testing", "tests", "benchmarks", "examples", "fuzz", "cmake", "scripts", ".ci")
SOURCE_SUFFIXES = {".cpp", ".hpp"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".cmake", ".py", ".sh", ".in", ".supp", ""}

# (what is included, folders where the rule holds, path prefixes that are exempt, why)
INCLUDE_RULES = [
    (r"<caf/", ("core/",), (), "core/ does not know CAF"),
    (r"[<\"](actors|apps|testing)/", ("core/",), (), "core/ stands below actors/ and apps/"),
    (r"[<\"](apps|testing)/", ("actors/",), (), "actors/ stands below apps/"),
    (r"[<\"]testing/", ("apps/",), (), "testing/ is not for what users run"),
    (r"<sodium", SHIPPED, ("core/crypto",), "libsodium is only for core/crypto*"),
    (r"<highwayhash/", SHIPPED, ("core/crypto",), "HighwayHash is only for core/crypto*"),
    (r"<openssl/", ("core/",), ("core/crypto", "core/s3/"), "in core/, OpenSSL is only for core/crypto* and core/s3/"),
    (r"<cbor(\.h|/)", SHIPPED, ("core/cbor",), "libcbor is only for core/cbor*"),
    (r"<zstd", SHIPPED, ("core/compression",), "zstd is only for core/compression*"),
    (r"<lmdb\.h>", SHIPPED, ("core/engine/",), "LMDB is only for core/engine/"),
    (r"<rados/", SHIPPED, ("core/engine/rados_pool.cpp",), "librados is only for core/engine/rados_pool.cpp"),
    (r"<curl/", SHIPPED, ("core/s3/http.cpp",), "libcurl is only for core/s3/http.cpp"),
    (r"<pugixml", SHIPPED, ("core/s3/protocol.cpp",), "pugixml is only for core/s3/protocol.cpp"),
    (r"<boost/", SHIPPED, (), "Boost is only for tests"),
    (r"<mutex>|<shared_mutex>", ("actors/",), (), "actors share nothing, so there is nothing to lock"),
]

# What each folder of actors/ may include of ours, beside itself and core/. The front door (the files right in actors/) is not
# listed: it connects the rest, and includes what it needs.
DOOR = ("actors/interfaces.hpp", "actors/messages.hpp")
ARROWS = {
    "actors/caf": (*DOOR,),
    "actors/index": (*DOOR, "actors/caf/"),
    "actors/operations": (*DOOR, "actors/caf/", "actors/workers/"),
    "actors/workers": (*DOOR, "actors/caf/"),
    "actors/net": ("actors/caf/",),
    "actors/pads": (*DOOR, "actors/caf/", "actors/net/"),
    "actors/node": (*DOOR, "actors/caf/", "actors/net/", "actors/workers/"),
    "actors/copy": ("actors/caf/", "actors/workers/", "actors/pads/", *(f"actors/{x}.hpp" for x in ("client", "interfaces"))),
    "actors/check": ("actors/caf/", "actors/pads/", "actors/interfaces.hpp", "actors/store.hpp"),
    "actors/folders": ("actors/client.hpp",),
    "testing": (*DOOR, "actors/caf/"),
}

# (what a line must not have, folders where the rule holds, path prefixes that are exempt, why)
LINE_RULES = [
    (r"(->|\.)(?<!options\.)spawn\s*(<[^()]*>)?\s*\(|(spawn_broker|->fork)\((?!guarded\()", ("actors/", "apps/", "testing/"),
     ("actors/caf/spawn.hpp",), "actors are started with actors/caf/spawn.hpp, so that their exceptions become errors"),
    (r"caf::io::broker\b", SHIPPED, ("actors/caf/broker.hpp",), "CAF's brokers keep what is sent to them after their end"),
]


def project_files(source):
    yield from sorted(path for path in source.iterdir() if path.is_file() and path.name == "CMakeLists.txt")
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and "corpus" not in path.parts:
                yield path


def text_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None  # a picture


def check_includes(name, lines):
    for number, line in enumerate(lines, 1):
        match = re.match(r"\s*#\s*include\s*([<\"][^>\"]+[>\"])", line)
        if not match:
            continue
        for pattern, folders, exempt, why in INCLUDE_RULES:
            if name.startswith(folders) and not name.startswith(exempt or ("\0",)) and re.match(pattern, match[1]):
                yield f"{name}:{number}: {match[1]}: {why}"
        folder, included = name.rpartition("/")[0], match[1].strip('"<>')
        if folder in ARROWS and included.startswith(("actors/", "testing/")) \
                and not included.startswith((folder + "/", *ARROWS[folder])):
            yield f"{name}:{number}: {match[1]}: {folder}/ does not see this; ARROWS in check.py says what it may include"


def check_words(name, lines):
    for number, line in enumerate(lines, 1):
        for pattern, folders, exempt, why in LINE_RULES:
            if name.startswith(folders) and not name.startswith(exempt or ("\0",)) and re.search(pattern, line):
                yield f"{name}:{number}: {line.strip()}: {why}"


def check_lengths(name, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_LIMIT:
            yield f"{name}:{number}: {len(line)} characters, the limit is {LINE_LIMIT}"


def check_functions(name, text, long_ones):
    for function, first, count in functions(text):
        if count > FUNCTION_LIMIT:
            long_ones.add((name, function))
            if (name, function) not in LONG_FUNCTIONS:
                yield f"{name}:{first}: {function} has {count} lines, the limit is {FUNCTION_LIMIT}"


def check_calls(sources):
    """sources: {name: text}. The operators, destructors and overriding functions are called without their names."""
    defined, called, in_tests = [], set(), set()
    for name, text in sources.items():
        here, words = names(text)
        (in_tests if name.startswith("tests/") else called).update(words)
        if name.startswith((*SHIPPED, "testing/")):
            defined += [(function, name, line) for function, line in here]
    for function, name, line in defined:
        known = called | in_tests if name.startswith("testing/") else called
        if not re.fullmatch(r"[a-z]\w*", function) or function in known or function in CALLED_FROM_OUTSIDE:
            continue
        if function not in UNCALLED:
            yield f"{name}:{line}: {function} is called by nothing" + (" but tests" if function in in_tests else "")


def compile_flags(build, source):
    """For core, actors and apps: the command of one of its sources, without the source, its output and the launcher."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["directory"], entry["file"])
        if source not in file.parents or file.suffix != ".cpp":
            continue
        layer = file.relative_to(source).parts[0]
        if layer + "/" not in SHIPPED or layer in flags:
            continue
        words = shlex.split(entry["command"])
        compiler = next(i for i, word in enumerate(words) if re.search(r"(\+\+|g\+\+|clang\+\+)(-\d+)?$", word))
        kept, skip = [], False
        for word in words[compiler:]:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MT"):
                skip = True
            elif word not in ("-c", "-MD") and word != entry["file"]:
                kept.append(word)
        flags[layer] = (entry["directory"], kept)
    return flags


def proven_by_its_source(header, name):
    """A source that includes its own header first has shown, by compiling, that the header stands alone."""
    sibling = header.with_suffix(".cpp")
    if not sibling.exists():
        return False
    first = re.search(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", text_of(sibling) or "", re.MULTILINE)
    return first is not None and first[1] == name


def check_header(header, name, directory, flags):
    """Compiles a source that includes nothing but this header. Headers of actors/ get CAF from the precompiled one."""
    command = [*flags, "-fsyntax-only", "-include", str(header), "-x", "c++", os.devnull]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        return f"{name}:1: does not compile on its own: {'; '.join(errors[:3])}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    options = parser.parse_args()
    source = options.source.resolve()
    build = options.build.resolve()

    breaches, headers, files, long_ones, sources = [], [], 0, set(), {}
    for path in project_files(source):
        name = path.relative_to(source).as_posix()
        if path.suffix not in TEXT_SUFFIXES and path.name != "CMakeLists.txt":
            continue
        text = text_of(path)
        if text is None:
            continue
        files += 1
        lines = text.splitlines()
        breaches += check_lengths(name, lines)
        if path.suffix in SOURCE_SUFFIXES:
            breaches += check_includes(name, lines)
            breaches += check_words(name, lines)
            breaches += check_functions(name, text, long_ones)
            sources[name] = text
        if path.suffix == ".hpp" and name.startswith(SHIPPED):
            headers.append(path)

    breaches += check_calls(sources)
    for name, function in sorted(LONG_FUNCTIONS - long_ones):
        print(f"{name}: {function} is short now, or gone; no breach, but it can be taken off LONG_FUNCTIONS")

    flags = compile_flags(build, source)
    checked = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        tasks = []
        for header in headers:
            name = header.relative_to(source).as_posix()
            layer = name.split("/")[0]
            if layer in flags and not proven_by_its_source(header, name):
                tasks.append(pool.submit(check_header, header, name, *flags[layer]))
        checked = len(tasks)
        breaches += filter(None, (task.result() for task in tasks))

    for breach in breaches:
        print(breach)
    print(f"{files} files checked, {len(headers)} headers ({checked} compiled for it), {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
