"""The programs that must run unmodified, one Spec each: run natively and in the enclave, equal output and status.

In a command {dir} is a directory of input files that `prepare` filled (on the host, read-only for the enclave), {tmp} is
a writable directory ($TMPDIR too: natively a fresh tmpfs directory, in the enclave a tmpfs), {programs} is where the
test's own programs were built and {guest} where the guest programs are.
"""

import pathlib
import random
import subprocess
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent


@dataclass
class Spec:
    name: str
    command: list[str]
    seconds: float = 20
    status: int = 0
    prepare: object = None  # (directory) -> None
    stdin: object = b""  # bytes, or () -> bytes
    check: object = None  # (run) -> what is wrong or "": instead of comparing outputs, for both runs
    stderr: bool = False  # compare stderr too
    alone: bool = False
    needs: str = ""  # why it cannot run here: it is skipped


def text_files(directory: pathlib.Path):
    (directory / "words").write_text("".join(f"{w} {i}\n" for i, w in enumerate(
        ["pear", "apple", "fig", "plum", "kiwi", "apple", "lime", "date", "fig", "nut"] * 20)))
    (directory / "numbers").write_text("".join(f"{n * 7919 % 1000}\n" for n in range(1000)))
    (directory / "tabs").write_text("a\tb\tc\n1\t2\t3\n")
    (directory / "sub").mkdir()
    (directory / "sub" / "inner").write_text("inside\n")
    (directory / "link").symlink_to("words")
    subprocess.run(["gzip", "-k", "-n", str(directory / "numbers")], check=True)


def certificate(directory: pathlib.Path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=occlum.test",
                    "-addext", "subjectAltName=DNS:occlum.test", "-keyout", str(directory / "key.pem"), "-out",
                    str(directory / "cert.pem")], check=True, capture_output=True)


def big_text(directory: pathlib.Path):
    """200 MB that compress about as text does."""
    rng = random.Random(1)
    words = ["".join(rng.choice("etaoinshrdlu") for _ in range(rng.randint(2, 9))) for _ in range(5000)]
    block = " ".join(rng.choice(words) for _ in range(350000)).encode()[:2_000_000]
    with open(directory / "big", "wb") as file:
        for i in range(100):
            turn = i * 19937 % len(block)
            file.write(block[turn:] + block[:turn])


def many_files(directory: pathlib.Path):
    """20,000 files in 200 directories."""
    for i in range(200):
        below = directory / "tree" / f"d{i:03}"
        below.mkdir(parents=True)
        for j in range(100):
            (below / f"file{j:02}").write_bytes(f"{i} {j}\n".encode() * (j + 1))


def many_files_archive(directory: pathlib.Path):
    many_files(directory)
    subprocess.run(["tar", "-cf", str(directory / "tree.tar"), "-C", str(directory), "tree"], check=True)


def inserts() -> bytes:
    lines = ["pragma journal_mode=wal;", "create table t(id integer primary key, name text, value real);", "begin;"]
    lines += [f"insert into t values({i}, 'name {i * 7919 % 100003}', {i / 8});" for i in range(100000)]
    lines += ["commit;", "create index by_name on t(name);", "select count(*), sum(id), max(name), avg(value) from t;",
              "select id from t where name = 'name 500';", "delete from t where id % 3 = 0;", "vacuum;",
              "pragma integrity_check;", "select count(*) from t;"]
    return "\n".join(lines).encode()


def self_signed(run) -> str:
    """Another openssl, on the host, accepts the certificate that this run printed."""
    pem = run.stdout[run.stdout.find(b"-----BEGIN CERTIFICATE"):]
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject", "-checkend", "0"], input=pem, capture_output=True)
    if shown.returncode or b"CN = made.in.enclave" not in shown.stdout:
        return f"  the certificate is not accepted: {shown.stdout!r} {shown.stderr!r}"
    return ""


def speed_table(run) -> str:
    lines = [line for line in run.stdout.splitlines() if line.startswith(b"sha256")]
    return "" if lines and len(lines[0].split()) >= 2 else "  no line of results for sha256"


def busybox() -> list[Spec]:
    applets = {
        "echo": ["hello", "busybox"], "cat": ["{dir}/words"], "sort": ["{dir}/words"], "wc": ["{dir}/words"],
        "head": ["-n", "3", "{dir}/words"], "tail": ["-n", "3", "{dir}/words"], "grep": ["-n", "fig", "{dir}/words"],
        "sed": ["s/apple/orange/;5q", "{dir}/words"], "awk": ["{ n += $2 } END { print n }", "{dir}/words"],
        "cut": ["-d", " ", "-f", "1", "{dir}/words"], "uniq": ["{dir}/numbers"], "seq": ["1", "3", "20"],
        "expr": ["6", "*", "7"], "printf": ["%05d %s\\n", "42", "x"], "od": ["-c", "{dir}/tabs"],
        "md5sum": ["{dir}/words"], "sha256sum": ["{dir}/words"], "base64": ["{dir}/tabs"],
        "date": ["-u", "-d", "@0"], "ls": ["-a", "{dir}"], "find": ["{dir}/sub"], "basename": ["/a/b.c", ".c"],
        "tr": ["a-z", "A-Z"], "rev": ["{dir}/tabs"], "hexdump": ["-C", "{dir}/tabs"],
        "test": ["-d", "{dir}"], "true": [], "readlink": ["{dir}/link"], "stat": ["-c", "%s %F", "{dir}/words"],
        "cmp": ["{dir}/words", "{dir}/link"], "diff": ["{dir}/words", "{dir}/words"], "env": ["-i", "A=1", "/bin/busybox", "env"],
        "mkdir": ["-p", "{tmp}/a/b/c"], "touch": ["{tmp}/new"], "dd": ["if={dir}/words", "bs=10", "count=2"],
    }
    specs = [Spec(f"busybox.{name}", ["/bin/busybox", name, *arguments], prepare=text_files, stdin=b"lower case\n")
             for name, arguments in applets.items()]
    specs.append(Spec("busybox.false", ["/bin/busybox", "false"], status=1))
    specs.append(Spec("busybox.sh", ["/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done;"
                                     " echo $i; exit 9"], status=9))
    return specs


def coreutils() -> list[Spec]:
    table = {
        "cat": ["/usr/bin/cat", "-n", "{dir}/words"], "ls": ["/usr/bin/ls", "-1aF", "{dir}"],
        "sort": ["/usr/bin/sort", "-n", "{dir}/numbers"], "wc": ["/usr/bin/wc", "{dir}/words", "{dir}/tabs"],
        "uniq": ["/usr/bin/uniq", "-c", "{dir}/numbers"], "head": ["/usr/bin/head", "-c", "20", "{dir}/words"],
        "tail": ["/usr/bin/tail", "-n", "+190", "{dir}/words"], "cut": ["/usr/bin/cut", "-c", "1-3", "{dir}/words"],
        "sha256sum": ["/usr/bin/sha256sum", "{dir}/words"], "md5sum": ["/usr/bin/md5sum", "{dir}/words"],
        "b2sum": ["/usr/bin/b2sum", "{dir}/words"], "base64": ["/usr/bin/base64", "{dir}/words"],
        "cp": ["/usr/bin/cp", "-v", "-r", "{dir}/sub", "{dir}/words", "."], "ln": ["/usr/bin/ln", "-v", "-s", "target", "name"],
        "mkdir": ["/usr/bin/mkdir", "-v", "-p", "x/y/z"], "touch": ["/usr/bin/touch", "-d", "@0", "t"],
        "rm": ["/usr/bin/rm", "-rfv", "nothing"],
        "date": ["/usr/bin/date", "-u", "-d", "@1700000000", "+%F %T"], "seq": ["/usr/bin/seq", "-s,", "1", "50"],
        "tr": ["/usr/bin/tr", "a-z", "A-Z"], "tac": ["/usr/bin/tac", "{dir}/words"], "nl": ["/usr/bin/nl", "{dir}/tabs"],
        "od": ["/usr/bin/od", "-x", "{dir}/words"], "shuf": ["/usr/bin/shuf", "--random-source=/dev/zero", "{dir}/words"],
        "factor": ["/usr/bin/factor", "1234567890123456789"], "numfmt": ["/usr/bin/numfmt", "--to=iec", "123456789"],
        "expand": ["/usr/bin/expand", "{dir}/tabs"], "fold": ["/usr/bin/fold", "-w", "5", "{dir}/words"],
        "join": ["/usr/bin/join", "{dir}/tabs", "{dir}/tabs"], "comm": ["/usr/bin/comm", "{dir}/tabs", "{dir}/tabs"],
        "readlink": ["/usr/bin/readlink", "{dir}/link"],
        "realpath": ["/usr/bin/realpath", "/usr/bin/../lib/./"], "dirname": ["/usr/bin/dirname", "/a/b/c"],
        "env": ["/usr/bin/env", "-i", "ONE=1", "/usr/bin/env"], "printenv": ["/usr/bin/printenv", "HOME"],
        "id": ["/usr/bin/id", "-u"], "echo": ["/usr/bin/echo", "-e", "a\\tb"], "printf": ["/usr/bin/printf", "%x\\n", "255"],
        "test": ["/usr/bin/test", "-f", "{dir}/words"], "expr": ["/usr/bin/expr", "1", "+", "2"],
        "truncate": ["/usr/bin/truncate", "-s", "1M", "sparse"], "du": ["/usr/bin/du", "--apparent-size", "-b", "{dir}/words"],
        "dd": ["/usr/bin/dd", "if={dir}/words", "bs=100", "skip=1", "count=3", "status=none"], "sync": ["/usr/bin/sync"],
        "sleep": ["/usr/bin/sleep", "0.05"], "paste": ["/usr/bin/paste", "{dir}/tabs", "{dir}/tabs"],
        "split": ["/usr/bin/split", "-n", "l/3", "--verbose", "{dir}/words"], "tee": ["/usr/bin/tee", "one", "two"],
        "uname": ["/usr/bin/uname", "-s", "-m"],
        "install": ["/usr/bin/install", "-v", "-m", "700", "{dir}/words", "installed"], "csplit": ["/usr/bin/csplit", "{dir}/numbers", "100"],
    }
    return [Spec(f"coreutils.{name}", command, prepare=text_files, stdin=b"some input\n") for name, command in table.items()]


def shell() -> list[Spec]:
    return [
        Spec("bash.builtins", ["/bin/bash", "-c", "declare -A m; m[a]=1; for i in {1..500}; do ((s+=i)); done;"
                               " printf '%s %d\\n' ${m[a]} $s; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]};"
                               " read x <<< word; echo $x ${#x} ${x^^}; trap 'echo bye' EXIT; exit 23"], status=23),
        Spec("bash.command", ["/bin/bash", "-c", "/bin/ls {dir}"], prepare=text_files),
        Spec("bash.exec", ["/bin/bash", "-c", "exec cat < {dir}/words"], prepare=text_files),
        Spec("bash.redirect", ["/bin/bash", "-c", "echo one > f; echo two >> f; mapfile -t a < f; echo ${a[1]} ${a[0]} > g;"
                               " read -r l < g; echo $l"]),
        Spec("bash.missing", ["/bin/bash", "-c", "no-such-command-anywhere"], status=127, stderr=True),
        Spec("bash.script", ["{dir}/script", "a", "b c"], status=4, prepare=lambda d: (
            (d / "script").write_text("#!/bin/bash\necho $# \"$2\"\nprintf '%s\\n' \"$@\"\nexit 4\n"),
            (d / "script").chmod(0o755))),
        Spec("dash.builtins", ["/bin/dash", "-c", "x=5; while [ $x -gt 0 ]; do echo $x; x=$((x-1)); done; exit 200"], status=200),
    ]


def process_tools() -> list[Spec]:
    script = str(HERE / "process_tools.py")
    return [Spec(f"process_tools.{tool}", ["/usr/bin/python3", "-B", script, tool], seconds=60)
            for tool in ("ps", "top", "pgrep", "pstree", "lsof", "system")]


def languages() -> list[Spec]:
    module = str(HERE / "modules.py")
    python = [Spec(f"python3.{name}", ["/usr/bin/python3", "-B", module, name], seconds=40)
              for name in ("json", "sqlite3", "numpy", "threading", "asyncio", "subprocess", "more")]
    return python + [
        Spec("python3.ssl", ["/usr/bin/python3", "-B", module, "ssl", "{dir}/cert.pem", "{dir}/key.pem"], seconds=40,
             prepare=certificate),
        Spec("python3.issue", ["/usr/bin/python3", "-c", "import sqlite3, hashlib, threading;"
                               " print('hello from the enclave')"]),
        Spec("python3.stdin", ["/usr/bin/python3", "-"], stdin=b"import sys\nprint(sum(range(10)))\nsys.exit(250)\n", status=250),
        Spec("python3.traceback", ["/usr/bin/python3", "-c", "raise ValueError('no')"], status=1, stderr=True),
        Spec("go.goroutines", ["{programs}/goroutines"], seconds=60, status=3),
        Spec("rust.threads", ["{programs}/threads"], seconds=30, status=17),
        Spec("perl.text", ["/usr/bin/perl", "-MList::Util=sum", "-MPOSIX", "-MDigest::SHA=sha256_hex", "-ne",
                           "$n{$1}++ if /^(\\w+)/; END { print map { \"$_ $n{$_}\\n\" } sort keys %n;"
                           " print sum(values %n), ' ', floor(2.7), ' ', sha256_hex('x'), \"\\n\"; exit 5 }", "{dir}/words"],
             prepare=text_files, status=5),
        Spec("perl.files", ["/usr/bin/perl", "-e", "open F, '>', 'f' or die; print F \"line $_\\n\" for 1..5000; close F;"
                            " open F, 'f'; @l = <F>; print scalar(@l), $l[-1]; unlink 'f'; print -e 'f' ? 1 : 0"]),
        Spec("lua.tables", ["/usr/bin/lua5.4", "-e", "local t = {} for i = 1, 200000 do t[i] = i % 7 .. '' end"
                            " print(#table.concat(t), string.format('%.3f', math.pi), #arg, select('#', ...))", "/dev/null"]),
        Spec("lua.coroutines", ["/usr/bin/lua5.4", "-"], stdin=b"co = coroutine.wrap(function() for i = 1, 3 do"
             b" coroutine.yield(i * i) end end) print(co(), co(), co()) collectgarbage() os.exit(11)", status=11),
    ]


def large() -> list[Spec]:
    return [
        Spec("sqlite3.inserts", ["/usr/bin/sqlite3", "{tmp}/test.db"], seconds=60, stdin=inserts),
        Spec("openssl.speed", ["/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "16384", "sha256"], seconds=30,
             check=speed_table, alone=True),
        Spec("openssl.self_signed", ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                                     "-subj", "/CN=made.in.enclave", "-keyout", "{tmp}/key.pem"], seconds=40,
             check=self_signed),
        Spec("openssl.digest", ["/usr/bin/openssl", "dgst", "-sha512", "{dir}/words"], prepare=text_files),
        Spec("xz.200mb", ["/usr/bin/xz", "-0", "-T2", "-c", "{dir}/big"], seconds=120, prepare=big_text, alone=True),
        Spec("tar.create", ["/usr/bin/tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-c",
                            "-f", "-", "-C", "{dir}", "tree"], seconds=60, prepare=many_files, alone=True),
        Spec("tar.extract", ["/usr/bin/tar", "-xvf", "{dir}/tree.tar", "-C", "{tmp}"], seconds=60,
             prepare=many_files_archive, alone=True),
    ]


def all_specs() -> list[Spec]:
    return shell() + process_tools() + languages() + large() + busybox() + coreutils()
