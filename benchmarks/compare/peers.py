"""Programs that keep a large file encrypted, each behind the same few calls."""

import os
import shutil
import subprocess

from tools import have, output, run

PASSWORD = "a password for measuring"


class Peer:
    """put, get and show are timed; prepare and reopen, before a put and before each get, are not."""

    name = ""
    packages = []
    programs = []
    durable = False  # whether put and get have synced when they return

    def __init__(self, directory):
        self.directory = os.path.join(directory, self.name)
        os.makedirs(self.directory)
        self.env = dict(os.environ, HOME=self.directory, XDG_CACHE_HOME=self.directory + "/.cache")

    @classmethod
    def missing(cls):
        absent = [p for p in cls.programs if not have(p)]
        return f"{', '.join(absent)} not installed" if absent else None

    def run(self, *command, **more):
        return run(list(command), env=self.env, **more)

    def prepare(self):
        pass

    def reopen(self):
        pass

    def close(self):
        pass

    def to_null(self, *command):
        return self.run(*command, stdout=subprocess.DEVNULL)


class Mutant(Peer):
    name = "mutant"
    durable = True
    program = ""
    round = 0

    def command(self, *words):
        return [self.program, "--home", self.directory + "/home", "--quiet", *words]

    def prepare(self):
        if self.round:
            self.run(*self.command("rm", f"value-{self.round}"))
        self.round += 1

    def put(self, source):
        return self.run(*self.command("put", f"value-{self.round}", source))

    def get(self, target):
        return self.run(*self.command("get", f"value-{self.round}", target))

    def show(self):
        return self.run(*self.command("get", f"value-{self.round}", "/dev/null"))


class Rclone(Peer):
    name = "rclone"
    packages = programs = ["rclone"]

    def __init__(self, directory):
        super().__init__(directory)
        password = output(["rclone", "obscure", PASSWORD]).strip()
        self.config = self.directory + "/rclone.conf"
        with open(self.config, "w") as f:
            f.write(f"[vault]\ntype = crypt\nremote = {self.directory}/vault\npassword = {password}\n")

    def rclone(self, *words):
        return ["rclone", "--config", self.config, *words]

    def prepare(self):
        shutil.rmtree(self.directory + "/vault", ignore_errors=True)

    def put(self, source):
        return self.run(*self.rclone("copyto", source, "vault:value"))

    def get(self, target):
        return self.run(*self.rclone("copyto", "vault:value", target))

    def show(self):
        return self.to_null(*self.rclone("cat", "vault:value"))


class Restic(Peer):
    name = "restic"
    packages = programs = ["restic"]

    def __init__(self, directory):
        super().__init__(directory)
        self.repository = self.directory + "/repository"
        self.env.update(RESTIC_REPOSITORY=self.repository, RESTIC_PASSWORD=PASSWORD)

    def prepare(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        self.run("restic", "--quiet", "init")

    def put(self, source):
        self.source = source
        return self.run("restic", "--quiet", "backup", "--compression", "off", source)

    def get(self, target):
        into = target + ".restic"
        shutil.rmtree(into, ignore_errors=True)
        took = self.run("restic", "--quiet", "restore", "latest", "--target", into)
        os.rename(into + self.source, target)
        shutil.rmtree(into)
        return took

    def show(self):
        return self.to_null("restic", "--quiet", "dump", "latest", self.source)


class Borg(Peer):
    name = "borg"
    packages = ["borgbackup"]
    programs = ["borg"]

    def __init__(self, directory):
        super().__init__(directory)
        self.repository = self.directory + "/repository"
        self.env.update(BORG_REPO=self.repository, BORG_PASSPHRASE=PASSWORD, BORG_BASE_DIR=self.directory)

    def prepare(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        shutil.rmtree(self.directory + "/.cache", ignore_errors=True)
        self.run("borg", "init", "--encryption", "repokey-blake2")

    def put(self, source):
        self.source = source
        return self.run("borg", "create", "--compression", "none", "::value", source)

    def get(self, target):
        into = target + ".borg"
        shutil.rmtree(into, ignore_errors=True)
        os.mkdir(into)
        took = self.run("borg", "extract", "::value", cwd=into)
        os.rename(into + self.source, target)
        shutil.rmtree(into)
        return took

    def show(self):
        return self.to_null("borg", "extract", "--stdout", "::value")


class Gocryptfs(Peer):
    name = "gocryptfs"
    packages = ["gocryptfs", "fuse3"]
    programs = ["gocryptfs", "fusermount3"]
    mounted = False

    @classmethod
    def missing(cls):
        return super().missing() or (None if os.path.exists("/dev/fuse") else "no /dev/fuse here")

    def __init__(self, directory):
        super().__init__(directory)
        self.cipher, self.plain = self.directory + "/cipher", self.directory + "/plain"
        self.password = self.directory + "/password"
        os.mkdir(self.plain)
        with open(self.password, "w") as f:
            f.write(PASSWORD + "\n")

    def mount(self):
        self.run("gocryptfs", "-quiet", "-passfile", self.password, self.cipher, self.plain, stdout=subprocess.DEVNULL)
        self.mounted = True

    def close(self):
        if self.mounted:
            self.run("fusermount3", "-u", self.plain)
            self.mounted = False

    def prepare(self):
        self.close()
        shutil.rmtree(self.cipher, ignore_errors=True)
        os.mkdir(self.cipher)
        self.run("gocryptfs", "-init", "-quiet", "-passfile", self.password, self.cipher)
        self.mount()

    def reopen(self):  # what was read or written through the mount is in the page cache, in the clear
        self.close()
        self.mount()

    def put(self, source):
        return self.run("cp", source, self.plain + "/value")

    def get(self, target):
        return self.run("cp", self.plain + "/value", target)

    def show(self):
        return self.to_null("cat", self.plain + "/value")


class Age(Peer):
    """Two programs and a pipe: what anybody can have without any of the others."""

    name = "zstd-age"
    packages = programs = ["zstd", "age"]

    def __init__(self, directory):
        super().__init__(directory)
        self.key, self.file = self.directory + "/key", self.directory + "/value.zst.age"
        self.run("age-keygen", "-o", self.key)
        self.recipient = output(["age-keygen", "-y", self.key]).strip()

    def piped(self, line, *words):
        return self.run("bash", "-c", "set -o pipefail; " + line, "pipe", *words)

    def prepare(self):
        if os.path.exists(self.file):
            os.remove(self.file)

    def put(self, source):
        return self.piped('zstd -q -1 -T0 -c "$1" | age -r "$2" -o "$3"', source, self.recipient, self.file)

    def get(self, target):
        return self.piped('age -d -i "$1" "$2" | zstd -q -d -o "$3"', self.key, self.file, target)

    def show(self):
        return self.piped('age -d -i "$1" "$2" | zstd -q -d -c > /dev/null', self.key, self.file)


PEERS = [Rclone, Restic, Gocryptfs, Borg, Age]
