"""The command itself: its commands, options, environment, messages and exit statuses."""

import json
import os
import pathlib
import subprocess

from common import (Tools, check, config_of, environment, equal, fails, new_instance, occlum, scratch, skip,
                    succeeds)

EMULATED = "this is emulated SGX: no confidentiality"


def test_flow():
    """new, build, run, status, print; a rebuild keeps run/; -C; two ways to make an instance."""
    with scratch() as place:
        result = succeeds("new", "instance", cwd=place)
        check("Made an Occlum instance" in result.stdout, result.stdout)
        instance = place / "instance"
        for name in ("bin", "lib", "lib64", "root", "host", "tmp", "dev", "proc", "etc", "sbin"):
            check((instance / "image" / name).is_dir(), "no image/" + name)
        check((instance / "build").is_dir() and (instance / "run").is_dir(), "no build/ or run/")
        equal((instance / ".__occlum_status").read_text(), "initialized\n", "status file")
        json.loads((instance / "Occlum.json").read_text())
        equal(succeeds("status", cwd=instance).stdout, "initialized\n", "status")
        fails("run", "/bin/x", cwd=instance, says="not built yet")
        fails("print", "mrenclave", cwd=instance, says="not built yet")
        fails("new", "instance", cwd=place, says="exists already")
        fails("new", "no/such/place", cwd=place, says="No such file")
        fails("init", cwd=instance, says="instance already")

        result = succeeds("build", cwd=instance)
        check("MRENCLAVE " in result.stdout and "MRSIGNER " in result.stdout, result.stdout)
        equal(result.stderr, "", "stderr of a build")
        equal(succeeds("status", cwd=instance).stdout, "built\n", "status")
        equal(len(succeeds("print", "mrenclave", cwd=instance).stdout), 65, "length of MRENCLAVE")
        equal(succeeds("-C", instance, "print", "mrsigner").stdout,
              succeeds("print", "mrsigner", "build/instance.enclave", cwd=instance).stdout, "MRSIGNER")
        (instance / "run/layer").write_text("precious")
        succeeds("build", "-f", cwd=instance)
        equal((instance / "run/layer").read_text(), "precious", "the writable layer")

        config = config_of(instance)
        equal(config[:3], [("version", "1"), ("mode", "instance"), ("debuggable", "1")], "configuration")
        check(not any(key == "mount" for key, _ in config), "mounts without being asked:", config)
        check(("entry_point", "/bin") in config and ("env", "OCCLUM=yes") in config, config)

        second = place / "second"
        (second / "image/bin").mkdir(parents=True)
        (second / "Occlum.json").write_text('{"entry_points": ["/mine"]}')
        succeeds("init", cwd=second)
        equal((second / "Occlum.json").read_text(), '{"entry_points": ["/mine"]}', "the user's Occlum.json")
        succeeds("build", cwd=second)
        for command in ("build", "status", "run"):
            fails(command, *(["x"] if command == "run" else []), cwd=place, says="not an Occlum instance")
        (second / ".__occlum_status").write_text("confused")
        fails("status", cwd=second, says="damaged")


def json_error(text, *says, **options):
    with scratch("/dev/shm") as place:
        instance = new_instance(place)
        (instance / "Occlum.json").write_text(text)
        return fails("build", cwd=instance, says=says, **options)


def test_json():
    """Malformed configurations: line, column and key are named."""
    at = lambda line, column: f"Occlum.json, line {line}, column {column}: "
    json_error("", at(1, 1), "not valid JSON")
    json_error("{", at(1, 2), "not valid JSON")
    json_error("[]", at(1, 1), "must be an object")
    json_error('{\n  "env": {\n    "default": [\n      "A=1",\n    ]\n  }\n}\n', at(5, 5), "not valid JSON")
    json_error('{"a": 1}', at(1, 2), "unknown key 'a'")
    json_error('{"resource_limits": {"user_space_max_size": "15MB"}}', at(1, 22), "at least 16MB")
    json_error('{\n  "resource_limits": {\n    "user_space": "1MB"\n  }\n}', at(3, 5),
               "unknown key 'resource_limits.user_space'")
    json_error('{"env": {"default": []}, "env": {}}', at(1, 26), "'env' is given twice")
    json_error('{\n"process": {"default_stack_size": 4}}', at(2, 13), "'process.default_stack_size'", "\"32MB\"")
    json_error('{"process": {"default_stack_size": "4"}}', "not a size such as 32MB")
    json_error('{"process": {"default_stack_size": "4KB"}}', "from 128KB to 1GB")
    json_error('{"process": {"default_heap_size": "99999999999TB"}}', "not a size")
    json_error('{"process": {"default_heap_size": "-1MB"}}', "not a size")
    json_error('{"process": {"default_heap_size": "4mb"}}', "not a size")
    for size in ("127k", "127K", "130048 B"):  # as docker writes it, too
        json_error('{"process": {"default_stack_size": "%s"}}' % size, "from 128KB to 1GB")
    json_error('{"metadata": {"product_id": 65536}}', at(1, 15), "'metadata.product_id'", "0 to 65535")
    json_error('{"metadata": {"product_id": -1}}', "0 to 65535")
    json_error('{"metadata": {"product_id": 1.5}}', "0 to 65535")
    json_error('{"metadata": {"debuggable": "yes"}}', "'metadata.debuggable' must be true or false, not a string")
    json_error('{"metadata": {"family_id": {"high": "0xfg"}}}', "'metadata.family_id.high'", "hexadecimal")
    json_error('{"feature": {"amx": 3}}', "'feature.amx'", "0 to 2")
    json_error('{"entry_points": "/bin"}', "'entry_points' must be a list of strings, not a string")
    json_error('{"entry_points": ["bin"]}', "'entry_points[0]' must be an absolute path")
    json_error('{"entry_points": ["/bin", "/a/../b"]}', "'entry_points[1]' must not hold '..'")
    json_error('{"env": {"default": ["A"]}}', "'env.default[0]' must be NAME=VALUE")
    json_error('{"env": {"default": ["A=1\\nroot.hash=0"]}}', "control character")
    json_error('{"env": {"untrusted": ["A=1"]}}', "the name of a variable")
    json_error('{"env": {"untrusted": [7]}}', at(1, 25), "must be a string, not a number")
    json_error('{"mount": [{"target": "/x", "type": "zfs"}]}', "unknown file system type 'zfs'")
    json_error('{"mount": [{"target": "/x"}]}', "'mount[0]' has no type")
    json_error('{"mount": [{"type": "tmpfs"}]}', "'mount[0]' has no target")
    json_error('{"mount": [{"target": "/a b", "type": "tmpfs"}]}', "must not hold a space")
    json_error('{"mount": [{"target": "/x", "type": "hostfs"}]}', "needs a source")
    json_error('{"mount": [{"target": "/", "type": "hostfs", "source": "."}]}', "can only be of type unionfs")
    json_error('{"mount": [{"target": "/x", "type": "sefs", "source": "y"}]}', "not supported yet")
    json_error('{"mount": [{"target":"/x","type":"ramfs"},{"target":"/x","type":"ramfs"}]}', "mounted twice")
    json_error('{"image": {"compression": "zstd"}}', '"none" or "lz4"')
    json_error('{"a\\"b": 1}', at(1, 2))
    json_error("[" * 100_000, "nested too deeply")
    json_error('{"x": "\\ud800"}', "not valid JSON")
    with scratch("/dev/shm") as place:
        instance = new_instance(place)
        path = instance / "Occlum.json"
        path.write_bytes(b'{"entry_points": ["/\xff"]}')
        fails("build", cwd=instance, says="not valid JSON")
        path.write_bytes(b"x" * (2 << 20))
        fails("build", cwd=instance, says="too large")
        path.unlink()
        fails("build", cwd=instance, says=("Occlum.json", "No such file"))
        path.mkdir()
        fails("build", cwd=instance, says="directory")


PREDECESSOR = {
    "resource_limits": {"kernel_space_heap_size": "32MB", "kernel_space_stack_size": "1MB",
                        "user_space_size": "300MB", "user_space_max_size": "1 GB", "max_num_of_threads": 32},
    "process": {"default_stack_size": "4MB", "default_heap_size": "32MB", "default_mmap_size": "100MB"},
    "entry_points": ["/bin"],
    "env": {"default": ["OCCLUM=yes"], "untrusted": ["EXAMPLE"]},
    "metadata": {"product_id": 7, "version_number": 3, "debuggable": False, "enable_kss": True,
                 "family_id": {"high": "0x1", "low": "0x0203"}, "ext_prod_id": {"high": "0x0", "low": "0xff"}},
    "feature": {"amx": 0, "pkru": 2, "io_uring": 0, "enable_edmm": True, "enable_posix_shm": True},
    "mount": [
        {"target": "/", "type": "unionfs", "options": {"layers": [
            {"target": "/", "type": "sefs", "source": "./build/mount/__ROOT", "options": {"MAC": ""}},
            {"target": "/", "type": "sefs", "source": "./run/mount/__ROOT"}]}},
        {"target": "/host", "type": "hostfs", "source": "."},
        {"target": "/scratch", "type": "sefs", "source": "./run/x", "options": {"temporary": True,
                                                                              "cache_size": "1MB"}},
        {"target": "/tmp", "type": "ramfs"},
    ],
}


def test_predecessor():
    """An Occlum.json and a build line of the predecessor work; what has no effect is named in one line."""
    with scratch() as place:
        instance = new_instance(place)
        (instance / "Occlum.json").write_text(json.dumps(PREDECESSOR, indent=4))
        result = succeeds("build", "--sgx-mode", "HW", "--enable-edmm", "Y", "--sign-tool", "/bin/false",
                          cwd=instance)
        warnings = result.stderr.splitlines()
        equal(len(warnings), 2, "number of warnings")
        for word in ("--sgx-mode", "--enable-edmm", "--sign-tool"):
            check(word in warnings[0], word, warnings)
        for word in ("resource_limits.user_space_size", "process.default_heap_size", "feature.pkru",
                     "mount[2].options.cache_size"):
            check(word in warnings[1], word, warnings)
        equal((instance / "build" / "memory_limit").read_text(), f"{1 << 30}B\n", "the memory limit")
        for word in ("feature.amx", "feature.enable_edmm", "process.default_stack_size", "user_space_max_size"):
            check(word not in warnings[1], word, warnings)
        config = config_of(instance)
        for pair in (("debuggable", "0"), ("disable_log", "1"), ("stack_size", str(4 << 20)),
                     ("entry_point", "/bin"), ("env.untrusted", "EXAMPLE"), ("mount", "hostfs . /host -"),
                     ("mount", "tmpfs - /scratch -"), ("mount", "tmpfs - /tmp -")):
            check(pair in config, pair, config)
        data = (instance / "build/instance.enclave").read_bytes()
        equal(int.from_bytes(data[32:40], "little"), 0x84, "ATTRIBUTES")
        sig = int.from_bytes(data[64:72], "little")
        equal(data[sig + 912:sig + 928], (1 << 64 | 0x203).to_bytes(16, "little"), "ISVFAMILYID")
        equal(data[sig + 1008:sig + 1024], (0xff).to_bytes(16, "little"), "ISVEXTPRODID")
        equal(data[sig + 1024:sig + 1028], bytes([7, 0, 3, 0]), "ISVPRODID and ISVSVN")
        fails("build", "--sgx-mode", "HYPER", cwd=instance, says="HW or SIM")
        fails("build", "--image-key", "k", cwd=instance, says="not supported yet")
        fails("build", "--buildin-image-key", cwd=instance, says="not supported yet")


def record(result):
    return json.loads(result.stdout)


def test_run():
    """What `occlum run` hands to the runtime, statuses that pass through, and "running"."""
    with scratch() as place:
        instance = new_instance(place)
        succeeds("build", cwd=instance)
        result = succeeds("run", "/bin/prog", "-q", "--help", "--", "-C", "", cwd=instance,
                          env=environment(MARK="a b"))
        asked = record(result)
        equal(asked["argv"], ["/bin/prog", "-q", "--help", "--", "-C", ""], "argv")
        equal((asked["cwd"], asked["mode"], asked["vcpus"], asked["strict"]), ("/", 0, 0, False), "request")
        equal((asked["enclave_image"], asked["root_image"]), ("build/instance.enclave", "build/root.erofs"), "files")
        check("MARK=a b" in asked["env"], asked["env"])
        asked = record(succeeds("run", "-q", "--cpus", "3", "--cost-model=sgx2", "--strict", "--strict-seed", "9",
                                "--", "-prog", cwd=instance))
        equal((asked["argv"], asked["vcpus"], asked["cost_model"], asked["strict"], asked["strict_seed"]),
              (["-prog"], 3, "sgx2", True, 9), "request")
        sim = environment(SGX_MODE="sim")
        equal(succeeds("run", "x", cwd=instance, env=sim).stderr, f"occlum run: {EMULATED}\n", "stderr")
        equal(succeeds("run", "--quiet", "x", cwd=instance, env=sim).stderr, "", "stderr of --quiet")
        for status in (0, 1, 126, 127, 139, 255):
            equal(occlum("run", "status", status, cwd=instance).returncode, status, "status")
        fails("run", "-q", "fail", "the enclave\ndid not start", cwd=instance, says="the enclave did not start")
        with subprocess.Popen([Tools.occlum, "run", "-q", "system", "echo; read word"], cwd=instance,
                              env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            equal(succeeds("status", cwd=instance).stdout, "running\n", "status")
            succeeds("run", "-q", "x", cwd=instance)  # a second program may run
            succeeds("build", cwd=instance)  # and a rebuild does not disturb
            process.communicate(b"\n")
        equal(succeeds("status", cwd=instance).stdout, "built\n", "status")


def test_do():
    """What `occlum do` hands to the runtime, and the one line that it says."""
    with scratch() as place:
        (place / "a").mkdir()
        (place / "link").symlink_to("a")
        here = pathlib.Path(os.path.realpath(place))
        sim = environment(SGX_MODE="SIM")
        result = succeeds("do", "ls", "--rw", "-q", cwd=place, env=sim)
        asked = record(result)
        equal((asked["argv"], asked["cwd"], asked["writable_dirs"]), (["ls", "--rw", "-q"], str(here), []), "request")
        check("root_image" not in asked, asked)
        check(asked["enclave_image"].endswith("/share/occlum/do.enclave"), asked)
        equal(result.stderr, "occlum do: host files are read-only and untrusted; writes are discarded; "
              + EMULATED + "\n", "stderr")
        result = succeeds("do", "--rw", "link", "--rw", "/tmp", "--", "ls", cwd=place, env=sim)
        equal(record(result)["writable_dirs"], [str(here / "a"), "/tmp"], "writable directories")
        check(f"writes are discarded except below {here}/a, /tmp; " in result.stderr, result.stderr)
        equal(result.stderr.count("\n"), 1, "lines on stderr")
        equal(succeeds("do", "-q", "ls", cwd=place).stderr, "", "stderr of -q")
        fails("do", "--rw", "nothing", "ls", cwd=place, says=("--rw nothing", "No such file"))
        fails("do", "--rw", Tools.occlum, "ls", cwd=place, says="not a directory")
        fails("do", "-q", says="no program given")
        fails("do", "--", says="no program given")
        fails("do", "-q", "fail", "no such thing", cwd=place, says="no such thing")
        equal(occlum("do", "-q", "status", 137).returncode, 137, "status")
        gone = place / "gone"
        gone.mkdir()
        result = subprocess.run(["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "{Tools.occlum}" do ls'],
                                env=environment(), capture_output=True, text=True, check=False)
        check(result.returncode == 125 and "working directory" in result.stderr, result.stderr)
        (Tools.prefix / "share/occlum/do.enclave").unlink()
        fails("do", "ls", says=("do.enclave", "OCCLUM_PREFIX"))


def test_environment():
    """SGX_MODE, OCCLUM_LOG_LEVEL and OCCLUM_ASYNC_IO are validated."""
    ask = lambda **extra: record(succeeds("do", "-q", "x", env=environment(**extra)))
    for value, mode in (("HW", 1), ("hw", 1), ("Sim", 2), ("", 0)):
        equal(ask(SGX_MODE=value)["mode"], mode, f"mode for {value!r}")
    for value in ("HYPER", "1", "hw ", "S\nM"):
        fails("do", "x", env=environment(SGX_MODE=value), says="it must be HW or SIM")
    for value, level in (("trace", "trace"), ("ERROR", "error"), ("warning", "warn"), ("fatal", "error"),
                         ("off", "off"), ("", "off")):
        equal(ask(OCCLUM_LOG_LEVEL=value)["log_level"], level, f"level for {value!r}")
    fails("do", "x", env=environment(OCCLUM_LOG_LEVEL="loud"), says=("loud", "off, error, warn"))
    for value, file_io in (("", [0, False]), ("auto,threads", [0, True]), ("never", [1, False]), ("always", [2, False]),
                           ("pairs,threads", [3, True])):
        equal(ask(OCCLUM_ASYNC_IO=value)["file_io"], file_io, f"file I/O for {value!r}")
    for value in ("sometimes", "always,", "threads"):
        fails("do", "x", env=environment(OCCLUM_ASYNC_IO=value), says="auto, never, always or pairs")


def test_usage():
    """Help and version everywhere, in one wording; wrong lines get one sentence that says where help is."""
    commands = ("new", "init", "build", "run", "do", "print", "status", "gen-sign-key")
    top = succeeds("--help").stdout
    for command in commands:
        check(f"\n  {command} " in top, command, "is not in the help")
        text = succeeds(command, "--help").stdout
        equal(succeeds(command, "-h").stdout, text, "-h")
        check(f"Usage: occlum {command} " in text, text)
        check("Print this help and exit" in text and "Print the version and exit" in text, text)
        check("\n\n\n" not in text, "gaps in", text)
        equal(succeeds(command, "--version").stdout, succeeds("--version").stdout, "version")
    check("CMD [ARG...]" in succeeds("run", "--help").stdout, "no CMD")
    fails(says="--help")
    fails("frobnicate", says=("no command 'frobnicate'", "occlum --help"))
    fails("--frobnicate", says="occlum --help")
    fails("build", "--frobnicate", says=("--frobnicate", "occlum build --help"))
    fails("build", "stray", says=("stray", "occlum build --help"))
    fails("build", "--sign-key", says="--sign-key")
    fails("build", "--compression", "xz", says="none or lz4")
    fails("run", "--frobnicate", "x", says=("--frobnicate", "occlum run --help"))
    fails("run", "--cpus", "many", "x", says="--cpus")
    fails("do", "--cpus", "0", "x", says="--cpus")
    fails("do", "--cost-model", "tdx", "x", says="off or sgx2")
    fails("print", says="occlum print --help")
    fails("print", "mrother", says="mrenclave or mrsigner")
    fails("new", says="occlum new --help")
    fails("-C", "/nonexistent", "status", says=("/nonexistent", "No such file"))
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([Tools.occlum, "gen-sign-key", Tools.prefix / "full.pem"], stdout=full,
                                stderr=subprocess.PIPE, text=True, env=environment(), check=False)
        check(result.returncode == 125 and "No space left" in result.stderr, "a full stdout:", result)


def test_permission():
    """Somebody without rights gets a sentence, too."""
    if os.geteuid() != 0:
        skip("needs root, to become somebody without rights")

    def as_nobody():
        os.setgid(65534)
        os.setuid(65534)

    options = {"preexec_fn": as_nobody}
    with scratch() as place:
        instance = new_instance(place)
        secret = instance / "image/etc/secret"
        secret.write_text("x")
        secret.chmod(0o600)
        succeeds("build", cwd=instance)
        place.chmod(0o755)
        for path in (Tools.prefix, pathlib.Path(Tools.occlum).parent):
            if not os.access(path, os.X_OK):
                skip(f"{path} is closed to others")
        Tools.prefix.chmod(0o755)
        fails("new", place / "mine", says="Permission denied", **options)
        fails("build", cwd=instance, says=("signing-key.pem", "Permission denied"), **options)
        theirs = environment(XDG_DATA_HOME=place / "theirs")
        fails("build", cwd=instance, env=theirs, says=("Permission denied", "--sign-key"), **options)
        (place / "theirs").mkdir()
        os.chown(place / "theirs", 65534, 65534)
        line = occlum("build", cwd=instance, env=theirs, **options).stderr
        check("image/etc/secret" in line or "image/root" in line, line)
        check("Permission denied" in line, line)
        (instance / "Occlum.json").chmod(0o600)
        fails("build", cwd=instance, env=theirs, says=("Occlum.json", "Permission denied"), **options)
        (instance / "build/instance.enclave").chmod(0o600)
        fails("run", "x", cwd=instance, says=("instance.enclave", "Permission denied"), **options)
        succeeds("status", cwd=instance, **options)

