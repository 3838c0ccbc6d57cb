"""What the tests of the command share: running it in a clean environment, and making instances."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


class Tools:
    """The programs under test, set by run.py."""

    occlum = mkenclave = libos = ""
    prefix = pathlib.Path()


class Failure(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(word) for word in what))


def equal(got, wanted, what="value"):
    check(got == wanted, f"{what} is {got!r} instead of {wanted!r}")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def environment(**extra):
    """A small environment in which the development key is the test's own."""
    base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/nonexistent",
            "OCCLUM_PREFIX": str(Tools.prefix), "XDG_DATA_HOME": str(Tools.prefix / "data")}
    base.update({name: str(value) for name, value in extra.items() if value is not None})
    return base


def occlum(*arguments, cwd=None, env=None, **options):
    return subprocess.run([Tools.occlum, *map(str, arguments)], cwd=cwd, env=env or environment(),
                          capture_output=True, text=True, timeout=50, check=False, **options)


def succeeds(*arguments, **options):
    result = occlum(*arguments, **options)
    check(result.returncode == 0, "occlum", *arguments, "ended with", result.returncode, result.stderr)
    return result


def one_sentence(result, *fragments):
    """A failure of occlum itself: status 125, and exactly one line on stderr that holds the fragments."""
    check(result.returncode == 125, "status", result.returncode, result.stderr)
    lines = [line for line in result.stderr.splitlines() if " warning: " not in line]
    check(len(lines) == 1, "not one line:", repr(result.stderr))
    check(lines[0].startswith("occlum: "), repr(lines[0]))
    check(not lines[0].endswith("."), "a sentence in our style has no full stop:", lines[0])
    for fragment in fragments:
        check(fragment in lines[0], repr(fragment), "is not in", repr(lines[0]))
    return lines[0]


def fails(*arguments, says=(), **options):
    return one_sentence(occlum(*arguments, **options), *([says] if isinstance(says, str) else says))


@contextlib.contextmanager
def scratch(where=None):
    path = tempfile.mkdtemp(prefix="occlum-test-", dir=where)
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def new_instance(place, name="instance"):
    instance = pathlib.Path(place) / name
    succeeds("new", instance)
    return instance


def set_up(arguments):
    """Fills Tools: a prefix with the fake LibOS, the enclave of `do`, and one signing key for all tests."""
    Tools.occlum, Tools.mkenclave, Tools.libos = arguments.occlum, arguments.mkenclave, arguments.libos
    share = Tools.prefix / "share" / "occlum"
    share.mkdir(parents=True)
    shutil.copy(Tools.libos, share / "libos.elf")
    conf = pathlib.Path(__file__).resolve().parents[2] / "cli" / "do.conf"
    kept = pathlib.Path(Tools.occlum).parent / "test-key.pem"  # making one takes longer than most tests
    subprocess.run([Tools.mkenclave, share / "libos.elf", conf, kept, share / "do.enclave"], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.copy(kept, Tools.prefix / "key.pem")
    (Tools.prefix / "data" / "occlum").mkdir(parents=True)
    shutil.copy(Tools.prefix / "key.pem", Tools.prefix / "data" / "occlum" / "signing-key.pem")


def veritysetup(*arguments):
    tool = shutil.which("veritysetup", path="/usr/sbin:/sbin:/usr/bin")
    if tool is None:
        skip("veritysetup is not installed")
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)


def config_of(instance):
    """The measured configuration of a built instance: a list of (key, value)."""
    text = (instance / "build" / "instance.enclave").read_bytes()
    start = text.index(b"version=1\n")
    length = int.from_bytes(text[start - 8:start], "little")
    lines = text[start:start + length].decode().splitlines()
    return [tuple(line.split("=", 1)) for line in lines]


def can_mount():
    """Whether this process may mount a tmpfs."""
    if os.geteuid() != 0:
        return False
    with scratch() as place:
        if subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True
