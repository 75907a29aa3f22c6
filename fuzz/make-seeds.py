#!/usr/bin/env python3
"""Seeds of fuzz targets whose inputs are no vectors of docs/format.md (those come from scripts/make-vectors.py).

  fuzz/make-seeds.py      writes them into fuzz/corpus
"""
import pathlib, struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


# -- the node protocol: docs/format.md, "Node protocol" --------------------------------------------------------------------

def atom(text):
    value = 0xF
    for c in text:
        code = ord(c) - 47 if c.isdigit() else ord(c) - 54 if c.isupper() else 37 if c == "_" else ord(c) - 59
        value = value << 6 | code
    return struct.pack(">Q", value)


def length(number):
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def text(value):
    return length(len(value)) + value.encode()


def frame(kind, payload, data=0, source=0, target=0, flags=0):
    return struct.pack(">BHBIQQQ", kind, 0, flags, len(payload), data, source, target) + payload


def message(number, types, values, answer=False):
    payload = length(0) + struct.pack(">H", 0) + text(types) + values
    return frame(2, payload, number | 1 << 60 | (1 << 63 if answer else 0), *((9, 5) if answer else (5, 9)))


def peer(first):
    return atom("default") + struct.pack(">I", 77) + bytes(range(first, first + 20))


def wire_seeds():
    record, address = bytes(range(200)), bytes(range(32))
    put = message(1, "@<>+@atom+mutant::bytes", atom("put") + length(len(record)) + record)
    get = message(2, "@<>+@atom+mutant::pad_query", atom("get") + address)
    head = message(3, "@<>+@atom+mutant::pad_query", atom("head") + address)
    erase = message(4, "@<>+@atom+mutant::bytes", atom("erase") + length(160) + record[:160])
    stats = message(5, "@<>+@atom", atom("stats"))
    yield "client", frame(1, peer(1)) + put + get + frame(6, b"") + head + erase + frame(4, b"unread") + stats
    yield "client.named", frame(1, peer(1)) + frame(2, b"x" * 40, flags=1) + frame(5, b"")
    greeting = frame(0, peer(30) + length(1) + text("generic-caf-app") + struct.pack(">Q", 9) + length(2)
                     + text("replies_to<@atom>::with<mutant::done>") + text("another"), 3)
    failure = b"\x06" + atom("mutant") + struct.pack(">H", 0) + text("@<>+@str+@u64") + text("the store is full") + bytes(8)
    foreign = b"\x02" + atom("system") + struct.pack(">H", 0) + text("@<>")
    yield "node", (greeting + message(1, "@<>+mutant::done", b"", True)
                   + message(2, "@<>+mutant::bytes", length(len(record)) + record, True)
                   + message(5, "@<>+mutant::pad_store_stats", struct.pack(">QQQ", 3, 600, 4096), True)
                   + message(6, "@<>+@error", failure, True))
    yield "node.foreign_error", greeting + message(7, "@<>+@error", foreign, True)


# -- what is inside cache files: docs/format.md, "Cache files"; CBOR by hand ------------------------------------------------

def cbor(value):
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        return cbor_head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    return cbor_head(0, value)


def cbor_head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    form = next(form for form in (">B", ">H", ">I", ">Q") if number < 1 << 8 * struct.calcsize(form))
    return bytes([major << 5 | 24 + ">B>H>I>Q".index(form) // 2]) + struct.pack(form, number)


def cache_seeds():
    part = (CORPUS / "fuzz_snapshot_part" / "part").read_bytes()
    summary = cbor([1025, 300, 1024, 7, [len(part) + 24 + 16]])
    yield "inside.cache", struct.pack("<H", len(summary)) + summary + part
    seen = cbor([7, 1025, bytes([0x5A]) * 32])
    yield "inside.seen", struct.pack("<H", len(seen)) + seen


# -- what a bucket's server says, and the files of the AWS tools ------------------------------------------------------------

def answer(status, body, **headers):
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"{status}\n{lines}\n{body}".encode()


def s3_seeds():
    date = "Sat, 28 Nov 2026 17:00:00 GMT"
    for status, code, more in ((404, "NoSuchKey", ""), (404, "NoSuchBucket", ""), (403, "AccessDenied", ""),
                               (403, "RequestTimeTooSkewed", ""), (400, "ExpiredToken", ""), (403, "QuotaExceeded", ""),
                               (400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), (503, "SlowDown", "")):
        yield code, answer(status, f"<Error><Code>{code}</Code><Message>&lt;why&gt;</Message>{more}</Error>", date=date)
    yield "listing", answer(200, "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>4000</Size>"
                                 "</Contents><NextContinuationToken>n</NextContinuationToken></ListBucketResult>")
    yield "versioning", answer(200, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    yield "range", answer(206, "x" * 160, content_range="bytes 0-159/4194304", etag='"abc"')
    yield "proxy", answer(302, "<html>sign in</html>", location="http://proxy/")
    yield "keys.json", answer(200, '{"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", '
                                   '"Expiration": "2099-01-01T00:00:00Z"}')
    yield "keys.ini", answer(200, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n[profile work]\n"
                                  "credential_process = give\n")


def main():
    for target, seeds in (("fuzz_wire", wire_seeds), ("fuzz_cache_file", cache_seeds), ("fuzz_s3_answer", s3_seeds)):
        for name, content in seeds():
            path = CORPUS / target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


if __name__ == "__main__":
    main()
