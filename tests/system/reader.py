#!/usr/bin/env python3
# ctest: TIMEOUT 300
"""A reader's identity: it opens the owner's store, reads all of it, and changes nothing. The file is made here by the rules of
docs/format.md, from the owner's."""
import hashlib

from mutant_system import *

LARGE = bytes(range(256)) * 20_000   # two chunks


# -- from the owner's identity to a reader's ------------------------------------------------------------------------------

def derive(secret, context, number=0):
    return hashlib.blake2b(b"", digest_size=32, key=secret, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def public_key(seed):
    """Ed25519 (RFC 8032), by affine coordinates: once a test is not too slow."""
    p, d = 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19)

    def add(a, b):
        x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + d * a[0] * b[0] * a[1] * b[1], -1, p)
        y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - d * a[0] * b[0] * a[1] * b[1], -1, p)
        return x % p, y % p

    base_y = 4 * pow(5, -1, p) % p
    square = (base_y * base_y - 1) * pow(d * base_y * base_y + 1, -1, p)
    base_x = pow(square, (p + 3) // 8, p)
    if (base_x * base_x - square) % p:
        base_x = base_x * pow(2, (p - 1) // 4, p) % p
    point, sum_ = (base_x if base_x % 2 == 0 else p - base_x, base_y), (0, 1)
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | (1 << 254)
    for bit in range(255):
        if scalar >> bit & 1:
            sum_ = add(sum_, point)
        point = add(point, point)
    return (sum_[1] | (sum_[0] & 1) << 255).to_bytes(32, "little")


def readers_identity(owners):
    seed = bytes.fromhex(owners.splitlines()[2].split()[1].decode())[:32]
    kept = derive(seed, b"mut_read") + public_key(derive(derive(seed, b"mut_sign"), b"mut_root"))
    header = b"mutant-identity 2\nkind reader\nkdf none\n"
    return header + b"keys " + (kept + hashlib.sha256(header + kept).digest()[:8]).hex().encode() + b"\n"


class Owner(Home):
    """A home with values, and another one beside it that may read them."""

    def fill(self):
        self.put("a/small", b"value", "--type", "text/plain")
        self.put("a/large", LARGE)
        self.put("b", b"")
        return self

    def reader(self, *options):
        other = Home(self.folder / "reader", ["--store", f"local:{self.store}", *options])
        other.home.mkdir(parents=True)
        self.write(other, readers_identity((self.home / "identity").read_bytes()))
        return other

    @staticmethod
    def write(home, identity):
        path = home.home / "identity"
        path.write_bytes(identity)
        path.chmod(0o600)


# -- tests ----------------------------------------------------------------------------------------------------------------

def test_a_reader_reads_what_the_owner_stores():
    with Owner() as owner:
        reader = owner.fill().reader()
        before = content_of(owner.store)
        assert reader.get("a/small") == b"value" and reader.get("a/large") == LARGE and reader.get("b") == b""
        assert reader.run("get", "a/large", "--range", "4190200-4190299").expect().out == LARGE[4190200:4190300]
        assert reader.keys() == owner.keys() == ["a/large", "a/small", "b"]
        for words in (["stat", "a/small", "--json"], ["ls", "-l", "--json"], ["du", "--json"], ["sync", "--json"]):
            theirs, ours = (h.run(*words).expect().json for h in (reader, owner))
            assert theirs == ours, (theirs, ours)
        at = owner.run("sync", "--json").expect().json["position"]
        assert reader.run("stats", "--json").expect().json["index"]["position"] == at
        reader.run("check").expect()
        reader.run("get", "-r", "a", reader.folder / "a").expect()
        assert (reader.folder / "a" / "large").read_bytes() == LARGE
        assert content_of(owner.store) == before
        # What is stored later, too; and what it has seen is remembered.
        owner.put("c", b"later")
        position = owner.run("sync", "--json").expect().json["position"]
        reader.run("sync", "--expect", position).expect()
        assert reader.get("c") == b"later"
        shown = reader.run("identity", "show", "--json").expect().json
        assert shown["kind"] == "reader" and shown["name"] == owner.run("identity", "show", "--json").expect().json["name"]


def test_a_reader_that_saw_more_refuses_a_store_that_went_back():
    with Owner() as owner:
        reader = owner.fill().reader()
        copy = owner.folder / "copy"
        shutil.copytree(owner.store, copy)
        owner.put("c", b"later")
        reader.run("sync").expect()
        shutil.rmtree(owner.store)
        copy.rename(owner.store)
        refused = reader.run("ls", "--json").expect(INTEGRITY).json
        assert refused["error"]["code"] == "rollback_detected", refused
        reader.run("sync", "--accept-rollback").expect()
        assert reader.keys() == ["a/large", "a/small", "b"]


def test_all_else_is_denied_before_anything_reaches_the_store():
    with Owner() as owner:
        reader = owner.fill().reader()
        source, folder = reader.path("file", b"x"), reader.folder / "sources"
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        before, home = content_of(owner.store), content_of(reader.home)
        nowhere = "caf://127.0.0.1:1"
        for words in (["put", "new", source], ["put", "a/small", "--if-version", "1", source], ["put", "-r", folder, "new"],
                      ["put", "new", "--from-command", "--", "touch", reader.folder / "ran"],
                      ["rm", "a/small"], ["rm", "-r", "a"], ["rm", "--glob", "**"], ["mv", "a/small", "c"], ["purge"],
                      ["purge", "--dry-run"], ["check", "--drop-damaged", "--yes"],
                      ["check", "--repair-from", source, "a/small"], ["identity", "words"],
                      ["copy-store", f"local:{owner.store}", "local:" + str(folder)]):
            # At a store that does not answer it is the same: it is not asked.
            for where in ([], ["--store", nowhere]):
                home_of = Home(reader.folder, where or reader.options)
                done = home_of.run("--json", *words).expect(OTHER, err=["is a reader's", "owner's identity"])
                assert done.json["error"]["code"] == "access_denied", done
        assert content_of(owner.store) == before and content_of(reader.home) == home
        assert not (reader.folder / "ran").exists() and list(folder.iterdir()) == [folder / "file"]
        reader.run("init").expect(PRECONDITION, err="left as it is")


def test_an_identity_that_is_not_whole_or_not_known():
    with Owner() as owner:
        reader = owner.fill().reader()
        whole = (reader.home / "identity").read_bytes()
        lines = whole.splitlines(keepends=True)
        seed_line = (owner.home / "identity").read_bytes().splitlines(keepends=True)[-1]
        for text, code, message in (
                (b"", INTEGRITY, "does not begin"), (whole[:10], INTEGRITY, "does not begin"),
                *((whole[:size], INTEGRITY, "truncated") for size in (25, 35, 100, len(whole) - 1)),
                (whole.replace(b"kind reader", b"kind link"), OTHER, "newer program"),
                (whole.replace(b"identity 2", b"identity 3"), OTHER, "newer program"),
                (whole.replace(b"identity 2", b"identity 1"), OTHER, "format 1"),
                (whole.replace(b"kind reader\n", b""), INTEGRITY, "seed"),
                (b"".join(lines[:-1]) + seed_line, INTEGRITY, "keys"),
                (whole[:-20] + (b"0" if whole[-20:-19] != b"0" else b"1") + whole[-19:], INTEGRITY, "checksum"),
                (b"\x1b[2J" + whole, INTEGRITY, "does not begin")):
            owner.write(reader, text)
            for words in (["ls"], ["put", "new"]):
                done = reader.run(*words, stdin=b"x").expect(code, err=message)
                assert "\x1b" not in done.err and "Traceback" not in done.err
        owner.write(reader, whole)
        (reader.home / "identity").chmod(0o640)
        reader.run("ls").expect(OTHER, err="chmod 600")
        (reader.home / "identity").chmod(0o600)
        # Of another owner it opens nothing.
        with Home() as stranger:
            stranger.put("theirs", b"1")
            owner.write(reader, readers_identity((stranger.home / "identity").read_bytes()))
            reader.run("ls").expect(INTEGRITY, err="the index root is missing")


def test_a_reader_under_a_passphrase():
    with Owner() as owner:
        reader = owner.fill().reader()
        word, wrong = reader.secret("word", b"correct horse\n"), reader.secret("wrong", b"correct\n")
        reader.run("identity", "passwd", "--new-passphrase-file", word).expect()
        assert b"\nkind reader\nkdf argon2id " in (reader.home / "identity").read_bytes()
        reader.run("ls", "--passphrase-file", wrong).expect(OTHER, err="does not open with this passphrase")
        assert reader.run("get", "a/small", "--passphrase-file", word).expect().out == b"value"
        # That it may not is said without asking for it.
        reader.run("rm", "a/small", "--passphrase-file", wrong).expect(OTHER, err="is a reader's")
        out = reader.path("copy")
        reader.run("identity", "export", out, "--passphrase-file", word, "--new-passphrase-file", wrong).expect()
        (reader.home / "identity").unlink()
        reader.run("identity", "import", out, "--passphrase-file", wrong).expect()
        assert reader.run("get", "a/small", "--passphrase-file", wrong).expect().out == b"value"


if __name__ == "__main__":
    main(globals())
