#!/usr/bin/env python3
"""Computes the test vectors of docs/format.md from the document's own rules, without the library.

  scripts/make-vectors.py           write them into docs/format.md, and those that fuzzing starts from into fuzz/corpus
  scripts/make-vectors.py --check   only compare; exits with 1 if they differ

Needs python3-cryptography (Ed25519, ChaCha20-Poly1305), python3-cbor2 (CBOR) and python3-nacl (Argon2id). BLAKE2b and
SHA-256 are Python's own; HChaCha20 and HighwayHash are written out below.
"""
import hashlib
import pathlib
import re
import struct
import sys

import cbor2
import nacl.pwhash
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROJECT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = PROJECT / "docs" / "format.md"
CORPUS = PROJECT / "fuzz" / "corpus"
SEED = bytes(range(32))
PRIVATE, PUBLIC_DATA, BLANK = 0, 2, 1
MASK32, MASK64 = 2**32 - 1, 2**64 - 1


# -- primitives -------------------------------------------------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).digest()


def derive(secret, context, number):
    """crypto_kdf of libsodium: keyed BLAKE2b of nothing, the number as salt, the context as personalisation."""
    return hashlib.blake2b(b"", digest_size=32, key=secret, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def rotate32(value, count):
    return ((value << count) | (value >> (32 - count))) & MASK32 if count else value


def hchacha20(key, nonce16):
    state = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    state += list(struct.unpack("<4I", nonce16))

    def quarter(a, b, c, d):
        for x, y, z, count in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & MASK32
            state[z] = rotate32(state[z] ^ state[x], count)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def xchacha20poly1305(key, nonce, plaintext, associated):
    """Ciphertext and tag (draft-irtf-cfrg-xchacha-03)."""
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return cipher.encrypt(b"\0\0\0\0" + nonce[16:], plaintext, associated)


class HighwayHash:
    """HighwayHash-128 (arXiv:1612.06257), after the portable reference."""

    def __init__(self, key):
        words = struct.unpack("<4Q", key)
        self.mul0 = [0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3]
        self.mul1 = [0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377]
        self.v0 = [m ^ k for m, k in zip(self.mul0, words)]
        self.v1 = [m ^ self.swap(k) for m, k in zip(self.mul1, words)]

    @staticmethod
    def swap(word):
        return (word >> 32) | ((word << 32) & MASK64)

    @staticmethod
    def zipper(v1, v0):
        add0 = ((((v0 & 0xFF000000) | (v1 & 0xFF00000000)) >> 24)
                | (((v0 & 0xFF0000000000) | (v1 & 0xFF000000000000)) >> 16)
                | (v0 & 0xFF0000) | ((v0 & 0xFF00) << 32)
                | ((v1 & 0xFF00000000000000) >> 8) | ((v0 << 56) & MASK64))
        add1 = ((((v1 & 0xFF000000) | (v0 & 0xFF00000000)) >> 24)
                | (v1 & 0xFF0000) | ((v1 & 0xFF0000000000) >> 16)
                | ((v1 & 0xFF00) << 24) | ((v0 & 0xFF000000000000) >> 8)
                | ((v1 & 0xFF) << 48) | (v0 & 0xFF00000000000000))
        return add1, add0

    def merge(self, source, target):
        for i in (0, 2):
            add1, add0 = self.zipper(source[i + 1], source[i])
            target[i] = (target[i] + add0) & MASK64
            target[i + 1] = (target[i + 1] + add1) & MASK64

    def update(self, lanes):
        for i in range(4):
            self.v1[i] = (self.v1[i] + self.mul0[i] + lanes[i]) & MASK64
            self.mul0[i] ^= (self.v1[i] & MASK32) * (self.v0[i] >> 32)
            self.v0[i] = (self.v0[i] + self.mul1[i]) & MASK64
            self.mul1[i] ^= (self.v0[i] & MASK32) * (self.v1[i] >> 32)
        self.merge(self.v1, self.v0)
        self.merge(self.v0, self.v1)

    def remainder(self, rest):
        size, size4 = len(rest), len(rest) & 3
        self.v0 = [(v + (size << 32) + size) & MASK64 for v in self.v0]
        self.v1 = [(rotate32(v >> 32, size) << 32) | rotate32(v & MASK32, size) for v in self.v1]
        packet, whole = bytearray(32), size & ~3
        packet[:whole] = rest[:whole]
        if size & 16:
            packet[28:] = rest[size - 4:]
        elif size4:
            packet[16:19] = bytes((rest[whole], rest[whole + (size4 >> 1)], rest[-1]))
        self.update(struct.unpack("<4Q", packet))

    def digest(self, data):
        whole = len(data) // 32 * 32
        for at in range(0, whole, 32):
            self.update(struct.unpack_from("<4Q", data, at))
        if len(data) > whole:
            self.remainder(data[whole:])
        for _ in range(6):
            self.update([self.swap(self.v0[i]) for i in (2, 3, 0, 1)])
        words = [(self.v0[i] + self.mul0[i] + self.v1[i + 2] + self.mul1[i + 2]) & MASK64 for i in (0, 1)]
        return struct.pack("<2Q", *words)


READING, SIGNING = derive(SEED, b"mut_read", 0), derive(SEED, b"mut_sign", 0)


# -- formats ----------------------------------------------------------------------------------------------------------

class Pad:
    def __init__(self, context, number):
        self.signing = Ed25519PrivateKey.from_private_bytes(derive(SIGNING, context, number))
        self.encryption = derive(READING, context, number)
        self.address = self.signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def front(self, counter, encoding, flags, payload_size):
        return struct.pack("<4sBBHQQII", b"MPAD", 2, flags, 0, counter, encoding, payload_size, 0) + self.address

    def record(self, counter, encoding, flags, payload):
        signed = self.front(counter, encoding, flags, len(payload)) + sha256(payload)
        return signed + self.signing.sign(b"mutant/pad/2" + signed) + payload

    def private_record(self, counter, nonce, plaintext):
        front = self.front(counter, PRIVATE, 0, len(nonce) + len(plaintext) + 16)
        payload = nonce + xchacha20poly1305(self.encryption, nonce, plaintext, front)
        return self.record(counter, PRIVATE, 0, payload)

    def part_record(self, counter, lists):
        """A snapshot part as a table: its fence, then a block for each list that has items. Box n has the nonce n, n, n, …"""
        texts = {number: cbor2.dumps(items) for number, items in lists.items() if items}
        name = lambda items: items[0][0] if isinstance(items[0], list) else items[0]
        fence = lambda hashes: cbor2.dumps({0: 2, 1: [
            [number, name(lists[number]), len(text), sha] for (number, text), sha in zip(texts.items(), hashes)]})
        length = len(fence([bytes(32)] * len(texts)))
        front = self.front(counter, PRIVATE, 0, sum(40 + size for size in (length, *map(len, texts.values()))))

        def box(number, text):
            nonce = bytes([number]) * 24
            return nonce + xchacha20poly1305(self.encryption, nonce, text, front + struct.pack("<I", number))

        blocks = [box(number, text) for number, text in enumerate(texts.values(), 1)]
        text = fence([sha256(block) for block in blocks])
        first = box(0, text)
        return text, sha256(first), self.record(counter, PRIVATE, 0, first + b"".join(blocks))


OWNER, READER = ("", "seed"), ("kind reader\n", "keys")   # what an identity file of either kind says


def identity(kind, kdf, seal):
    """`seal` gives what the last line holds, for the lines before it."""
    header = f"mutant-identity 2\n{kind[0]}kdf {kdf}\n"
    body = seal(header.encode())
    return f"{header}{kind[1]} {(body + sha256(header.encode() + body)[:8]).hex()}\n".encode()


def identity_under(kind, kept, passphrase, memory_kib, passes, salt, nonce):
    key = nacl.pwhash.argon2id.kdf(32, passphrase, salt, opslimit=passes, memlimit=memory_kib * 1024)
    return identity(kind, f"argon2id {memory_kib} {passes} {salt.hex()}",
                    lambda header: nonce + xchacha20poly1305(key, nonce, kept, header))


# -- vectors ----------------------------------------------------------------------------------------------------------

def key_vectors():
    yield "seed", SEED
    yield "reading.secret", READING
    yield "signing.secret", SIGNING
    for name, context, numbers in (("root", b"mut_root", (0,)), ("log", b"mut_log_", (0, 1, 1023)),
                                   ("data", b"mut_data", (0, 7, 2**62 - 1)), ("part", b"mut_part", (0, 3))):
        for number in numbers:
            yield f"{name}.{number}.address", Pad(context, number).address
    yield "cache.key", derive(READING, b"mut_cach", 0)
    yield "data.7.encryption_key", Pad(b"mut_data", 7).encryption


def fingerprint_vectors():
    key = derive(READING, b"mut_fing", 0)
    yield "fingerprint.key", key
    for size in (0, 1, 3, 16, 23, 31, 32, 33, 64, 1000):
        yield f"fingerprint.of_{size}_bytes", HighwayHash(key).digest(bytes(i % 251 for i in range(size)))


def record_vectors():
    pad = Pad(b"mut_data", 7)
    plaintext = b"what nobody else may read"
    yield "record.private.plaintext", plaintext
    yield "record.private", pad.private_record(2, bytes(range(0x40, 0x58)), plaintext)
    yield "record.private.record_key", hchacha20(pad.encryption, bytes(range(0x40, 0x50)))
    yield "record.private_empty", pad.private_record(3, bytes(range(0x60, 0x78)), b"")
    yield "record.blank", pad.record(4, PRIVATE, BLANK, b"")
    yield "record.public.payload", b"what anyone may read"
    yield "record.public", pad.record(5, PUBLIC_DATA, 0, b"what anyone may read")


def chunk(number, counter, length, fill):
    return [number, counter, bytes([fill + 0x80]) * 32, length, 1 - fill % 2, bytes([fill]) * 16]


def kept(length, fill):
    return [length, bytes([fill]) * 16]


FILM = {"mode": b"644", "mtime": b"1700000000123456789", "type": b"video/x-film"}


PART = {
    1: [[b"empty", 2, 1700000000000, {}, b""],
        [b"film", 3, -1, FILM, 1500, 2, [chunk(5, 1, 1000, 0x11), chunk(6, 2, 500, 0x22)]],
        [b"long", 4000, [chunk(8, 1, 4194104, 0x66)]]],
    2: [b"gone", b"old"],
    3: [[b"big", 77, None, 1000, 1700000000001, 12, 1000, 1, [kept(1000, 0x33)]],
        [b"bigger", 5, [chunk(10, 1, 1000, 0x77)]]],
    4: [b"dropped"],
    5: [[1, 1], [9, 3]],
    6: [2, 24, 65536],
}


def zstd_frame(content):
    """One segment with its content size, one raw block: the simplest frame that there is (RFC 8878)."""
    assert len(content) < 256
    return struct.pack("<IBB", 0xFD2FB528, 0x20, len(content)) + (1 | len(content) << 3).to_bytes(3, "little") + content


def chunk_vectors():
    content = b"what nobody else may read"
    yield "chunk.content", content
    yield "chunk.frame", zstd_frame(content)


def index_vectors():
    writer = bytes(range(0xA0, 0xB0))
    yield "commit.empty", cbor2.dumps({0: 2, 1: 1, 2: writer, 3: [], 4: bytes(32)})
    yield "commit", cbor2.dumps({0: 2, 1: 1025, 2: writer, 3: [
        [1, b"note", 1700000000000, {}, b"hello"],
        [1, b"film", -1, FILM, 1500, [chunk(5, 1, 1000, 0x11), chunk(6, 2, 500, 0x22)]],
        [2, b"old"],
        [3, b"from", b"to"],
        [4, b"big", 2**64 - 1, None, 1000, 1700000000001, 12],
        [4, b"bigger", 77, 5000, 1000, 1700000000002, 0],
        [5, b"big", 2**64 - 1, 0, [kept(1000, 0x33), chunk(300, 70000, 1000, 0x44)]],
        [6, b"big", 2**64 - 1, 2001, 1700000000003, {"x-a": b""}, [chunk(2**32, 1, 1, 0x55)]],
        [7, b"bigger", 77],
        [8, [[9, 3], [2**62 - 1, 0]]],
        [9, b"big", 2**64 - 1, 77, 1000000],
        [10, b"whole", 1700000000004, {"md5": bytes(range(0xD0, 0xE0))}, [b"part 1", b"part 2"]],
    ], 4: bytes([0x5A]) * 32})
    yield "part.empty", cbor2.dumps({0: 2, 1: [], 2: [], 3: [], 4: [], 5: [], 6: []})
    yield "part", cbor2.dumps({0: 2, **PART})
    for name, value in zip(("fence", "fence_hash", "record"), Pad(b"mut_part", 3).part_record(1, PART)):
        yield f"part.{name}", value
    yield "root.empty", cbor2.dumps({0: 2, 1: 0, 2: 0, 3: 4, 4: 0, 5: 0, 6: [], 7: bytes(32), 8: bytes(4 * 32), 9: False})
    yield "root", cbor2.dumps({0: 2, 1: 2048, 2: 100000, 3: 4, 4: 7, 5: 4, 6: [
        [4, 1, 2000, 4194104, True, bytes([0x88]) * 32, bytes([0xC4]) * 32, 20000],
        [6, 2, 2048, 999, False, bytes([0x99]) * 32, bytes([0xC6]) * 32, 200]],
        7: bytes([0xAA]) * 32, 8: b"".join(bytes([0xB0 + slot]) * 32 for slot in range(4)), 9: True})


def identity_vectors():
    for_readers = READING + Pad(b"mut_root", 0).address
    passphrase, salt, nonce = b"correct horse", bytes(range(0x10, 0x20)), bytes(range(0x20, 0x38))
    yield "identity.clear", identity(OWNER, "none", lambda _: SEED)
    yield "identity.passphrase", passphrase
    yield "identity.under_passphrase", identity_under(OWNER, SEED, passphrase, 64, 2, salt, nonce)
    yield "identity.reader", identity(READER, "none", lambda _: for_readers)
    yield "identity.reader_under_passphrase", identity_under(READER, for_readers, passphrase, 64, 2, salt, nonce)


def cache_vectors():
    key = derive(READING, b"mut_cach", 0)

    def box(first, plaintext, associated):
        nonce = bytes(range(first, first + 24))
        return nonce + xchacha20poly1305(key, nonce, plaintext, associated)

    yield "cache.seen", b"MUTSEEN2" + box(
        0x40, cbor2.dumps([7, bytes([0x77]) * 32, 1025, bytes([0x5A]) * 32, 1000, bytes([0x66]) * 32]), b"MUTSEEN2")
    front = b"MUTCACH2" + bytes(range(0x80, 0x90))
    part = dict(index_vectors())["part.empty"]
    frames = [box(first, part, front + struct.pack("<Q", number)) for number, first in enumerate((0x60, 0xA0))]
    summary = box(0xC0, cbor2.dumps([1025, bytes([0x5A]) * 32, 300, 1024, 7, [len(frame) for frame in frames]]),
                  front + struct.pack("<Q", 2**64 - 1))
    yield "cache.file", front + b"".join(frames) + summary + struct.pack("<Q", len(summary))


SECTIONS = {"keys": key_vectors, "fingerprints": fingerprint_vectors, "records": record_vectors,
            "chunks": chunk_vectors, "index": index_vectors, "identity": identity_vectors, "cache": cache_vectors}

# Which vectors are whole inputs of which fuzz target.
FUZZED = {"fuzz_record": ("record.private", "record.private_empty", "record.blank", "record.public"),
          "fuzz_commit": ("commit.empty", "commit"), "fuzz_snapshot_part": ("part.empty", "part"),
          "fuzz_part_fence": ("part.fence",), "fuzz_root": ("root.empty", "root"),
          "fuzz_identity": ("identity.clear", "identity.under_passphrase", "identity.reader",
                            "identity.reader_under_passphrase"),
          "fuzz_cache_file": ("cache.seen", "cache.file")}


def corpus():
    vectors = {name: value for section in SECTIONS.values() for name, value in section()}
    made = {CORPUS / target / name: vectors[name] for target, names in FUZZED.items() for name in names}
    for number, items in PART.items():   # a byte for the list, and a block of it
        made[CORPUS / "fuzz_part_block" / f"list_{number}"] = bytes([number]) + cbor2.dumps(items)
    frame = vectors["chunk.frame"]
    for name, length in (("frame", 25), ("frame.of_another_length", 26)):
        made[CORPUS / "fuzz_frame" / name] = struct.pack("<I", length) + frame
    return made


def main():
    document = DOCUMENT.read_text()

    def block(match):
        lines = [f"{name} = {value.hex()}\n" for name, value in SECTIONS[match[1]]()]
        return f"```vectors {match[1]}\n{''.join(lines)}```\n"

    made = re.sub(r"^```vectors (\w+)\n.*?^```\n", block, document, flags=re.M | re.S)
    if sys.argv[1:] == ["--check"]:
        if made != document:
            return "docs/format.md holds other vectors than its rules give"
        if any(not path.exists() or path.read_bytes() != content for path, content in corpus().items()):
            return "fuzz/corpus is not what the vectors are"
        return 0
    DOCUMENT.write_text(made)
    for path, content in corpus().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
