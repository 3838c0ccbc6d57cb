"""What `occlum build` makes: reproducible, accepted by other people's tools, and not made of bad input."""

import hashlib
import os
import pathlib
import random
import shutil
import struct
import subprocess

from common import (Failure, Tools, can_mount, check, config_of, environment, equal, fails, new_instance,
                    occlum, one_sentence, scratch, skip, succeeds, veritysetup)

PAGE = 4096
HEADER = struct.Struct("<8sIIQIIQQQQQ32s32s")
SEGMENT = struct.Struct("<QQQQQ")


def fill(instance, names, umask=0o022, mtime=None):
    old = os.umask(umask)
    for name in names:
        path = instance / "image" / "opt" / name
        path.write_bytes(name.encode() * 3000)
        path.chmod(0o644)
        if mtime:
            os.utime(path, (mtime, mtime))
    os.symlink("a", instance / "image" / "opt" / "link")
    os.umask(old)


def test_reproducible():
    """Directory, file system, umask, times, order of creation and environment do not matter; contents do."""
    names = [f"file{i}" for i in range(40)] + ["a"]
    with scratch() as one, scratch("/dev/shm") as two:
        first = new_instance(one, "first")
        fill(first, names)
        os.link(first / "image/opt/a", first / "image/opt/hard")
        succeeds("build", cwd=first)
        old = os.umask(0o077)
        try:
            second = new_instance(two, "a-much-longer-name")
            os.mkdir(second / "image/opt/removed")
            os.rmdir(second / "image/opt/removed")
            fill(second, reversed(names), umask=0o077, mtime=1_000_000_000)
            os.link(second / "image/opt/a", second / "image/opt/hard")
            succeeds("build", cwd=second, env=environment(TZ="Asia/Tokyo", LANG="de_DE.UTF-8"))
        finally:
            os.umask(old)
        for name in ("root.erofs", "instance.enclave"):
            equal((first / "build" / name).read_bytes() == (second / "build" / name).read_bytes(), True,
                  f"equality of {name}")
        before = succeeds("print", "mrenclave", cwd=first).stdout
        equal(succeeds("print", "mrenclave", cwd=second).stdout, before, "MRENCLAVE")
        # Another key changes the signer only; another byte changes the measurement.
        succeeds("gen-sign-key", one / "other.pem")
        succeeds("build", "--sign-key", one / "other.pem", cwd=first)
        equal(succeeds("print", "mrenclave", cwd=first).stdout, before, "MRENCLAVE with another key")
        check(succeeds("print", "mrsigner", cwd=first).stdout != succeeds("print", "mrsigner", cwd=second).stdout,
              "MRSIGNER is the same with another key")
        (first / "image/opt/file7").write_bytes(b"other")
        succeeds("build", cwd=first)
        check(succeeds("print", "mrenclave", cwd=first).stdout != before, "MRENCLAVE ignores a file")


def read_enclave(path):
    data = path.read_bytes()
    fields = HEADER.unpack_from(data)
    segments = [SEGMENT.unpack_from(data, HEADER.size + i * SEGMENT.size) for i in range(fields[2])]
    return data, fields, segments


def test_measurement():
    """MRENCLAVE and SIGSTRUCT computed again from the file, by the SDM and without our code."""
    with scratch() as place:
        instance = new_instance(place)
        succeeds("build", cwd=instance)
        data, header, segments = read_enclave(instance / "build/instance.enclave")
        equal(HEADER.size, 136, "header size")
        digest = hashlib.sha256(b"ECREATE\0" + struct.pack("<IQ44x", header[4], header[3]))
        tcs = 0
        for address, memory_size, offset, file_size, flags in segments:
            content = data[offset:offset + file_size].ljust(memory_size, b"\0")
            tcs += (flags >> 8) == 1 and memory_size == PAGE and flags & 7 == 0
            for page in range(0, memory_size, PAGE):
                digest.update(b"EADD\0\0\0\0" + struct.pack("<QQ40x", address + page, flags))
                for chunk in range(page, page + PAGE, 256):
                    digest.update(b"EEXTEND\0" + struct.pack("<Q48x", address + chunk))
                    digest.update(content[chunk:chunk + 256])
        equal(tcs, 1, "number of TCS pages")
        equal(header[11], digest.digest(), "MRENCLAVE in the header")
        equal(succeeds("print", "mrenclave", cwd=instance).stdout.strip(), digest.hexdigest(), "MRENCLAVE printed")
        sig = data[header[10]:header[10] + 1808]
        number = lambda at, size=384: int.from_bytes(sig[at:at + size], "little")
        modulus, signature = number(128), number(516)
        equal(number(512, 4), 3, "exponent")
        signed = hashlib.sha256(sig[0:128] + sig[900:1028]).digest()
        padded = bytes.fromhex("3031300d060960864801650304020105000420") + signed
        padded = b"\0\1" + b"\xff" * (384 - len(padded) - 3) + b"\0" + padded
        equal(pow(signature, 3, modulus).to_bytes(384, "big"), padded, "signature")
        q1, rest = divmod(signature * signature, modulus)
        equal(number(1040), q1, "Q1")
        equal(number(1424), signature * rest // modulus, "Q2")
        equal(sig[960:992], digest.digest(), "ENCLAVEHASH")
        equal(number(20, 4), 0x20240101, "DATE")
        equal(hashlib.sha256(sig[128:512]).hexdigest(), succeeds("print", "mrsigner", cwd=instance).stdout.strip(),
              "MRSIGNER")
        succeeds("build", cwd=instance, env=environment(SOURCE_DATE_EPOCH="1709210096"))
        data, header, _ = read_enclave(instance / "build/instance.enclave")
        equal(struct.unpack_from("<I", data, header[10] + 20)[0], 0x20240229, "DATE from SOURCE_DATE_EPOCH")


def test_verity():
    """veritysetup accepts trees of one, two and three levels, makes the same ones, and notices a flipped bit."""
    for size, levels in ((0, 1), (3 << 20, 2), (70 << 20, 3)):
        with scratch("/dev/shm") as place:
            instance = new_instance(place)
            if size:
                (instance / "image/opt/data").write_bytes(os.urandom(1 << 20) * (size >> 20))
            succeeds("build", cwd=instance)
            config = dict(config_of(instance))
            root = instance / "build/root.erofs"
            data_size, root_hash = int(config["root.size"]), config["root.hash"]
            equal(int(config["root.hash_offset"]), data_size + PAGE, "root.hash_offset")
            verify = ("verify", root, root, root_hash, f"--hash-offset={data_size}")
            result = veritysetup(*verify)
            check(result.returncode == 0, f"{levels} levels:", result.stderr)
            reference = place / "reference"
            with open(root, "rb") as image, open(reference, "wb") as copy:
                copy.write(image.read(data_size))
            made = veritysetup("format", reference, reference, f"--hash-offset={data_size}",
                               f"--salt={config['root.salt']}", "--uuid=4f63636c-756d-7665-7269-747930303031")
            check(root_hash in made.stdout, "veritysetup computes another root hash:", made.stdout)
            equal(reference.read_bytes() == root.read_bytes(), True, "equality with veritysetup's file")
            with open(root, "r+b") as image:
                image.seek(data_size // 2)
                byte = image.read(1)
                image.seek(-1, 1)
                image.write(bytes([byte[0] ^ 1]))
            check(veritysetup(*verify).returncode != 0, "a flipped bit was not noticed")


def test_mount():
    """The kernel mounts the image and sees what went in: contents, modes, links, owners, times."""
    if not can_mount():
        skip("mounting is not permitted here")
    for compression in ("none", "lz4"):
        with scratch() as place:
            instance = new_instance(place)
            opt = instance / "image/opt"
            (opt / "big").write_bytes(b"0123456789abcdef" * 100_000)
            (opt / "program").write_bytes(b"#!/bin/sh\n")
            (opt / "program").chmod(0o4755)
            (opt / "empty").write_bytes(b"")
            os.link(opt / "big", opt / "hard")
            os.symlink("../opt/big", opt / "soft")
            os.mkfifo(opt / "fifo")
            os.chown(opt / "empty", 1234, 1234)
            succeeds("build", "--compression", compression, cwd=instance)
            target = place / "mounted"
            target.mkdir()
            mounted = subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", instance / "build/root.erofs", target],
                                     capture_output=True, text=True, check=False)
            if mounted.returncode:
                skip("the kernel does not mount EROFS from a file: " + mounted.stderr.strip())
            try:
                there = subprocess.run(["diff", "-r", "--no-dereference", instance / "image/etc", target / "etc"],
                                       check=False)
                equal(there.returncode, 0, "status of diff")
                equal((target / "opt/big").read_bytes() == (opt / "big").read_bytes(), True, "equality of a file")
                equal((target / "opt/program").stat().st_mode & 0o7777, 0o4755, "mode")
                equal((target / "opt/hard").stat().st_ino, (target / "opt/big").stat().st_ino, "inode of a hard link")
                equal(os.readlink(target / "opt/soft"), "../opt/big", "symbolic link")
                check((target / "opt/fifo").is_fifo(), "the FIFO is none")
                equal((target / "opt/empty").stat().st_uid, 0, "owner")
                equal((target / "tmp").stat().st_mode & 0o7777, 0o1777, "mode of /tmp")
                equal((target / "opt/big").stat().st_mtime, 0, "time")
            finally:
                subprocess.run(["umount", target], check=True)
            if compression == "lz4":
                check((instance / "build/root.erofs").stat().st_size < 1 << 20, "lz4 did not compress")


def test_incremental():
    """An unchanged image is kept; any change, or a replaced image file, is noticed."""
    with scratch() as place:
        instance = new_instance(place)
        root = instance / "build/root.erofs"
        data = instance / "image/opt/data"
        data.write_bytes(b"one")
        succeeds("build", cwd=instance)
        first = root.stat()

        def rebuilt(*arguments):
            nonlocal first
            result = succeeds("build", *arguments, cwd=instance)
            now = root.stat()
            changed = (now.st_ino, now.st_mtime_ns) != (first.st_ino, first.st_mtime_ns)
            equal("unchanged" not in result.stdout, changed, "report of the build")
            first = now
            return changed

        check(not rebuilt(), "rebuilt without a change")
        check(rebuilt("-f"), "-f did not rebuild")
        data.write_bytes(b"two")
        os.utime(data, ns=(0, 0))
        check(rebuilt(), "a change of contents was missed")
        data.write_bytes(b"six")
        os.utime(data, ns=(0, 0))
        check(rebuilt(), "a change with the same size and mtime was missed")
        data.chmod(0o600)
        check(rebuilt(), "a change of mode was missed")
        os.symlink("x", instance / "image/opt/link")
        check(rebuilt(), "a new link was missed")
        check(rebuilt("--compression", "lz4"), "another compression was missed")
        check(rebuilt(), "the old compression was missed")
        with open(root, "ab") as image:
            image.write(b"x")
        check(rebuilt(), "a changed image file was missed")
        (instance / "build/root.erofs.manifest").write_text("garbage\n")
        check(rebuilt(), "a damaged manifest was believed")
        root.unlink()
        check(rebuilt(), "a missing image was missed")
        equal(list((instance / "build").glob(".*")), [], "left-over files")


def patched(elf, offset, fmt, value):
    changed = bytearray(elf)
    struct.pack_into(fmt, changed, offset, value)
    return bytes(changed)


def test_elf():
    """Foreign, truncated and hostile LibOS files are refused with a sentence, and never crash the builder."""
    good = pathlib.Path(Tools.libos).read_bytes()
    phoff, shoff = struct.unpack_from("<QQ", good, 32)
    phnum = struct.unpack_from("<H", good, 56)[0]
    loads = [phoff + 56 * i for i in range(phnum) if struct.unpack_from("<I", good, phoff + 56 * i)[0] == 1]
    cases = {
        "empty": (b"", "is not an ELF file"),
        "text": (b"#!/bin/sh\n", "is not an ELF file"),
        "short": (good[:40], "is truncated"),
        "32 bits": (patched(good, 4, "<B", 1), "not an ELF file for x86-64"),
        "aarch64": (patched(good, 18, "<H", 183), "not an ELF file for x86-64"),
        "relocatable": (patched(good, 16, "<H", 1), "is not an executable"),
        "position-independent": (patched(good, 16, "<H", 3), "must be linked statically"),
        "no program headers": (patched(good, 56, "<H", 0), "no program headers"),
        "headers beyond the end": (patched(good, 32, "<Q", 2**64 - 8), "is truncated"),
        "dynamic": (patched(good, phoff, "<I", 2), "is linked dynamically"),
        "interpreter": (patched(good, phoff, "<I", 3), "is linked dynamically"),
        "low address": (patched(good, loads[0] + 16, "<Q", 0x400000), "outside of"),
        "address wraps": (patched(good, loads[-1] + 16, "<Q", 2**64 - 4096), "outside of"),
        "huge": (patched(good, loads[-1] + 40, "<Q", 1 << 60), "outside of"),
        "more file than memory": (patched(good, loads[0] + 40, "<Q", 1), "more contents than memory"),
        "contents beyond the end": (patched(good, loads[0] + 8, "<Q", 1 << 40), "is truncated"),
        "writable and executable": (patched(good, loads[-1] + 4, "<I", 7), "both writable and executable"),
        "write-only": (patched(good, loads[-1] + 4, "<I", 2), "written but not read"),
        "overlap": (patched(good, loads[1] + 16, "<Q", 0x1FFFC0000000), "two segments in the page"),
        "no sections": (patched(good, 60, "<H", 0), "no section .tcs"),
        "sections beyond the end": (patched(good, 40, "<Q", len(good)), "is truncated"),
        "no .tcs": (good.replace(b"\0.tcs\0", b"\0.xcs\0"), "no section .tcs"),
        "truncated": (good[:shoff + 64], "is truncated"),
        "half": (good[:0x2800], "is truncated"),
    }
    offset = struct.unpack_from("<Q", good, loads[-1] + 8)[0]
    cases["NSSA"] = (patched(good, offset + 28, "<I", 3), "NSSA 3")
    cases["OENTRY"] = (patched(good, offset + 32, "<Q", 0), "entry point")
    cases["OSSA"] = (patched(good, offset + 16, "<Q", 0x1FFFC0000000), "SSA frames")
    with scratch("/dev/shm") as place:
        conf = place / "conf"
        conf.write_text("version=1\nmode=do\ndebuggable=1\n")
        path, output = place / "libos", place / "out"

        def build(data):
            path.write_bytes(data)
            return subprocess.run([Tools.mkenclave, path, conf, Tools.prefix / "key.pem", output],
                                  capture_output=True, text=True, timeout=20, check=False)

        check(build(good).returncode == 0, "the good file was refused")
        output.unlink()
        for name, (data, words) in cases.items():
            result = build(data)
            check(result.returncode == 125 and words in result.stderr and result.stderr.count("\n") == 1,
                  f"{name}: {result.returncode} {result.stderr!r} instead of {words!r}")
            check(not output.exists(), f"{name}: left an output")
        dice = random.Random(1)  # seeded: a failure can be repeated
        for _ in range(150):
            data = bytearray(good)
            for _ in range(dice.randint(1, 4)):
                where = dice.choice([dice.randrange(64), phoff + dice.randrange(56 * phnum),
                                     shoff + dice.randrange(len(good) - shoff)])
                data[where] = dice.choice([0, 0xFF, data[where] ^ (1 << dice.randrange(8)), dice.randrange(256)])
            result = build(bytes(data))
            check(result.returncode in (0, 125), "crashed:", result.returncode, result.stderr)
        for bad, words in (("version=2\n", "version=1"), ("version=1", "newline"), ("version=1\nfoo=1\n", "line 2"),
                           ("version=1\nmode=do\nmode=do\n", "twice"), ("version=1\nmode\n", "line 2"),
                           ("", "newline"), ("version=1\nenv=A=\x01\n", "control character")):
            conf.write_text(bad)
            result = build(good)
            check(result.returncode == 125 and words in result.stderr, repr(bad), result.stderr)


def test_damaged():
    """A damaged, truncated or foreign enclave image is refused before it is loaded."""
    with scratch() as place:
        instance = new_instance(place)
        succeeds("build", cwd=instance)
        path = instance / "build/instance.enclave"
        good, header, segments = read_enclave(path)
        sig = header[10]

        def refused(data, *says):
            path.write_bytes(data)
            fails("run", "x", cwd=instance, says=("build/instance.enclave", *says))
            fails("print", "mrenclave", cwd=instance, says=says)

        refused(b"", "is not an enclave image")
        refused(b"\0" * 5000, "is not an enclave image")
        refused(good[:200], "truncated")
        refused(good[:sig + 100], "truncated")
        refused(good[:segments[-1][2]], "truncated")
        refused(patched(good, 8, "<I", 140), "another version")
        refused(patched(good, 12, "<I", 2**31), "impossible segment")
        refused(patched(good, HEADER.size, "<Q", 1), "impossible segment")
        refused(patched(good, HEADER.size + 8, "<Q", 1 << 41), "impossible segment")
        refused(patched(good, sig + 960, "<Q", 0), "bad signature")
        refused(patched(good, sig + 600, "<Q", 0), "bad signature")
        refused(patched(good, 72, "<Q", 0), "disagrees")
        refused(patched(good, 104, "<Q", 0), "disagrees")
        path.unlink()
        fails("run", "x", cwd=instance, says=("build/instance.enclave", "No such file"))
        os.mkfifo(path)
        fails("run", "x", cwd=instance, says="not a regular file")
        path.unlink()
        path.write_bytes(good)
        succeeds("run", "x", cwd=instance)
        (instance / "build/root.erofs").unlink()
        fails("run", "x", cwd=instance, says=("build/root.erofs", "No such file"))
        fails("print", "mrenclave", Tools.occlum, cwd=instance, says="is not an enclave image")


def test_key():
    """Only an RSA-3072 key with exponent 3 signs; development keys are made once, privately, and said so once."""
    with scratch() as place:
        instance = new_instance(place)

        def openssl(name, *arguments):
            subprocess.run(["openssl", *arguments, "-out", place / name], check=True, capture_output=True)
            return place / name

        openssl("short.pem", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                "-pkeyopt", "rsa_keygen_pubexp:3")
        openssl("exponent.pem", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
        openssl("ec.pem", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("locked.pem", "pkey", "-in", Tools.prefix / "key.pem", "-aes256", "-passout", "pass:x")
        openssl("public.pem", "pkey", "-in", Tools.prefix / "key.pem", "-pubout")
        (place / "text.pem").write_text("hello\n")
        for name in ("short", "exponent", "ec", "locked", "public", "text", "missing"):
            fails("build", "--sign-key", place / f"{name}.pem", cwd=instance, says=f"{name}.pem",
                  stdin=subprocess.DEVNULL)
        fails("build", "--sign-key", place, cwd=instance, says="directory")
        # PKCS#1, as the predecessor's documents make keys.
        openssl("old.pem", "rsa", "-in", Tools.prefix / "key.pem", "-traditional")
        succeeds("build", "--sign-key", place / "old.pem", cwd=instance)

        made = place / "made.pem"
        succeeds("gen-sign-key", made)
        equal(made.stat().st_mode & 0o777, 0o600, "mode of the key")
        before = made.read_bytes()
        fails("gen-sign-key", made, says="exists already")
        equal(made.read_bytes() == before, True, "equality of the key afterwards")
        fails("gen-sign-key", place / "no" / "key.pem", says="No such file")
        succeeds("build", "--sign-key", made, cwd=instance)

        home = environment(HOME=place / "home")
        del home["XDG_DATA_HOME"]
        (place / "home").mkdir()
        first = succeeds("build", cwd=instance, env=home)
        check("made a development key" in first.stderr, first.stderr)
        stored = place / "home/.local/share/occlum/signing-key.pem"
        equal(stored.stat().st_mode & 0o777, 0o600, "mode of the development key")
        second = succeeds("build", cwd=instance, env=home)
        equal(second.stderr, "", "stderr of the second build")
        equal(second.stdout.splitlines()[-1], first.stdout.splitlines()[-1], "MRSIGNER")
        stored.chmod(0o644)
        fails("build", cwd=instance, env=home, says="can be read by others")


def test_full_disk():
    """A full disk: one sentence, and what was there before stays whole."""
    if not can_mount():
        skip("mounting is not permitted here")
    with scratch() as place:
        instance = new_instance(place)
        build = instance / "build"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", build], check=True)
        try:
            data = instance / "image/opt/data"
            data.write_bytes(b"x" * 20_000)
            succeeds("build", cwd=instance)
            mrenclave = succeeds("print", "mrenclave", cwd=instance).stdout
            before = (build / "root.erofs").read_bytes()
            for size in (120_000, 150_000, 170_000, 600_000):  # does not fit: tree, enclave, data
                data.write_bytes(os.urandom(size))
                result = occlum("build", cwd=instance)
                if result.returncode == 0:
                    before, mrenclave = (build / "root.erofs").read_bytes(), succeeds(
                        "print", "mrenclave", cwd=instance).stdout
                    continue
                one_sentence(result, "No space left on device")
                equal((build / "root.erofs").read_bytes() == before, True, "equality of the old image")
                equal(succeeds("print", "mrenclave", cwd=instance).stdout, mrenclave, "the old MRENCLAVE")
            check(result.returncode != 0, "600 KB fitted into 256 KB")
            filler = build / "filler"
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * PAGE)
                except OSError:
                    pass
            fails("build", cwd=instance, says="No space left on device")
            fails("new", build / "another", says="No space left on device")
            check(not (build / "another").exists(), "`new` left half an instance")
            fails("gen-sign-key", build / "key.pem", says="No space left on device")
            equal(sorted(path.name for path in build.iterdir()),
                  ["filler", "instance.enclave", "root.erofs", "root.erofs.manifest"], "build/")
        finally:
            subprocess.run(["umount", build], check=True)


def test_source():
    """Odd image/ directories."""
    with scratch() as place:
        instance = new_instance(place)
        shutil.rmtree(instance / "image")
        fails("build", cwd=instance, says=("image", "No such file"))
        (instance / "image").write_text("")
        fails("build", cwd=instance, says="image is not a directory")
        (instance / "image").unlink()
        (instance / "image").mkdir()
        succeeds("build", cwd=instance)  # an empty root is a root
        size = int(dict(config_of(instance))["root.size"])
        check(size >= 2 * PAGE, "the data must be two blocks at least")
        (instance / "image" / "name with spaces\nand a newline").write_text("x")
        os.symlink("/nonexistent", instance / "image/dangling")
        os.symlink("loop", instance / "image/loop")
        succeeds("build", cwd=instance)
        env = environment(PATH="/nonexistent")
        succeeds("build", cwd=instance, env=env)  # mkfs.erofs is found where Debian keeps it
        (Tools.prefix / "share/occlum/libos.elf").unlink()
        fails("build", cwd=instance, says=("libos.elf", "OCCLUM_PREFIX"))
        result = occlum("build", cwd=instance, env=environment(SOURCE_DATE_EPOCH="soon"))
        try:
            one_sentence(result)
        except Failure as failure:
            raise Failure(f"SOURCE_DATE_EPOCH: {failure}") from failure
