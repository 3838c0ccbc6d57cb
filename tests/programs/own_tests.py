"""The tests that Python, busybox and perl have of their own: natively and in the enclave the same ones pass, fail and are
skipped. Python's modules come with Debian's package libpython3.11-testsuite, the other two with the source packages
(dev.d/sources.sh). What is left out, or runs with --long only, is named here with the reason.
"""

import pathlib
import shlex
import shutil
import subprocess

from table import Spec

HERE = pathlib.Path(__file__).resolve().parent

# As the shell patterns of python_tests.py.
PYTHON_LONG = {
    # A read is interrupted for 30 seconds, with nothing else to see.
    "test_signal": ["SiginterruptTest.test_siginterrupt_off"],
}
# The part of test_socket that needs no network: unix sockets, socket pairs, ancillary data, and how sockets behave as
# descriptors (inheritance, timeouts, closing). Internet sockets, and names of hosts, are the host's.
PYTHON_ONLY = {
    "test_socket": ["*UnixStream*", "*SCMRights*", "SendRecvFdsTests.*", "*.testInterface*", "*.testInvalidInterface*",
                    "BasicSocketPairTest.*", "TestLinuxAbstractNamespace.*", "TestUnixDomain.*", "InheritanceTest.*",
                    "NonblockConstantTest.*", "CmsgMacroTests.*", "TestExceptions.*"],
}
PYTHON_MODULES = ["test_subprocess", "test_signal", "test_threading", "test_socket", "test_os", "test_posix", "test_mmap"]
# As a user without privileges as well: what root may do is then refused, and tests that root skips run.
PYTHON_AS_USER = ["test_os", "test_posix"]

BUSYBOX_SLOW = {"bc", "dc", "factor", "md5sum", "sha1sum", "sha256sum", "sha3sum", "sha512sum", "cryptpw"}  # arithmetic
BUSYBOX_LEFT_OUT = [
    "pidof -s", "pidof -o %PPID NOP",  # only where process 1 is called init, which is the machine's affair
]

# Files, processes, signals, sockets and IPC: t/io, and what in t/op and t/run is about the system.
PERL = """io/argv io/binmode io/bom io/closepid io/data io/defout io/dup io/eintr io/eintr_print io/errno io/errnosig io/fflush
io/fs io/getcwd io/inplace io/iofile io/iprefix io/layers io/msg io/nargv io/open io/openpid io/perlio io/perlio_fail
io/perlio_leaks io/perlio_open io/print io/read io/say io/sem io/semctl io/shm io/socket io/socketpair io/tell io/utf8
op/chdir op/die_exit op/exec op/filetest op/filetest_t op/getpid op/getppid op/glob op/grent op/groups op/inccode op/kill0
op/lfs op/magic op/mkdir op/print op/pwent op/readdir op/readline op/select op/setpgrpstack op/signame_canonical op/sigsystem
op/stat op/stat_errors op/sysio op/threads op/threads-dirh op/time op/time_loop op/unlink op/waitpid op/write
run/cloexec run/exit run/fresh_perl run/runenv run/script run/switches run/switchd""".split()
# The set-user-ID bits of the host's files are not shown inside, where they have no effect (libos/fs/hostfs).
PERL_LEFT_OUT = ["op/stat.t: ok 42", "op/stat.t: ok 43", "op/stat.t: ok 44"]
# These sleep for most of 5 to 12 seconds each, or start a thousand shells.
PERL_LONG = ["io/crlf", "io/crlf_through", "io/paragraph_mode", "io/pipe", "io/through", "op/alarm", "op/fork", "op/sigdispatch",
             "op/sleep", "op/sselect", "op/heredoc", "op/rand", "op/srand", "op/do", "op/eval", "op/die", "op/lock", "op/crypt", "run/locale"]


def python(module: str, long: bool, user: bool = False) -> Spec:
    words = ["/usr/bin/python3", "-B", str(HERE / "python_tests.py"), module]
    for pattern in PYTHON_ONLY.get(module, []):
        words += ["-k", pattern]
    for pattern in [] if long else PYTHON_LONG.get(module, []):
        words += ["-x", pattern]
    # The limit, which a test uses up, is the same in both; and a shell is the parent and leads the session.
    script = f"ulimit -n 1024; {shlex.join(words)}; exit $?"
    if user:
        script = (f"chmod 755 .; mkdir user; chmod 777 user; cd user; export TMPDIR=$PWD HOME=$PWD; ulimit -n 1024;"
                  f" setpriv --reuid=nobody --regid=nogroup --clear-groups {shlex.join(words)}; exit $?")
    return Spec(f"python3.{module}{'_as_user' if user else ''}", ["/bin/sh", "-c", script], seconds=200)


def skipped(name: str) -> Spec:
    return Spec(name, [], needs=f"the sources of {name.split('.')[0]} could not be fetched: dev.d/sources.sh")


def busybox(sources: pathlib.Path, long: bool) -> Spec:
    testsuite = sources / "busybox" / "testsuite"
    if not testsuite.is_dir():
        return skipped("busybox.own_tests")
    applets = sorted({path.name.removesuffix(".tests") for path in testsuite.iterdir() if path.suffix == ".tests" or path.is_dir()})
    # all_sourcecode tests the sources; wget wants the internet.
    applets = [a for a in applets if a not in ("all_sourcecode", "wget") and (long or a not in BUSYBOX_SLOW)]

    def prepare(directory: pathlib.Path):
        shutil.copytree(testsuite, directory / "bb" / "testsuite", symlinks=True)
        shutil.copy(sources / "busybox/debian/config/pkg/static", directory / "bb" / ".config")
        shutil.copy("/bin/busybox", directory / "bb" / "busybox")

    out = "|".join(BUSYBOX_LEFT_OUT).replace("%", "[%]")
    script = ("cp -a {dir}/bb . && cd bb/testsuite && export LC_ALL=C SKIP_INTERNET_TESTS=1 ECHO='/bin/busybox echo';"
              f" ./runtest {shlex.join(applets)} > log 2>&1; cat log >&2;"
              f" grep -aE '^(PASS|FAIL|SKIPPED|UNTESTED):' log | grep -avE '^[A-Z]+: ({out})$'")
    return Spec("busybox.own_tests", ["/bin/sh", "-c", script], seconds=900 if long else 300, prepare=prepare)


def perl(sources: pathlib.Path, long: bool) -> Spec:
    if not (sources / "perl" / "t").is_dir():
        return skipped("perl.own_tests")
    tests = [f"{name}.t" for name in PERL + (PERL_LONG if long else [])]

    def prepare(directory: pathlib.Path):
        # Beside t/ the tests expect the library of the perl that is tested, in one directory.
        shutil.copytree(sources / "perl" / "t", directory / "perl" / "t", symlinks=True)
        (directory / "perl" / "lib").mkdir()
        printed = subprocess.run(["/usr/bin/perl", "-MConfig", "-e", "print qq($Config{archlib} $Config{privlib} /usr/lib/x86_64-linux-gnu/perl-base)"],
                                 capture_output=True, text=True, check=True).stdout.split()
        for tree in printed:
            if pathlib.Path(tree).is_dir():
                subprocess.run(["cp", "-asn", f"{tree}/.", str(directory / "perl" / "lib")], check=True)
        (directory / "perl" / "t" / "perl").symlink_to("/usr/bin/perl")

    # Of a line of TAP: whether it passed, its number, and whether it was skipped or is a known failure.
    left_out = "|".join(PERL_LEFT_OUT)
    lines = r"s/^((not )?ok [0-9]+).*# ?(skip|SKIP|TODO|todo).*$/\1 \3/p;t;s/^((not )?ok [0-9]+).*$/\1/p;s/^(1\.\.[0-9]+).*$/\1/p"
    script = ("cp -a {dir}/perl . && cd perl/t && export LC_ALL=C PERL_HASH_SEED=0 PERL_SKIP_TTY_TEST=1;"
              f" for t in {' '.join(tests)}; do timeout 60 ./perl $t > out 2> err; s=$?;"
              f" echo \"$t: status $s\"; sed -nE '{lines}' out | sed \"s|^|$t: |\"; grep -a '^not ok' out >&2; sed \"s|^|$t: |\" err >&2; done | grep -vE '^({left_out})( |$)'")
    return Spec("perl.own_tests", ["/bin/sh", "-c", script], seconds=900 if long else 300, prepare=prepare)


def specs(sources: pathlib.Path, long: bool) -> list[Spec]:
    suites = [python(module, long) for module in PYTHON_MODULES] + [busybox(sources, long), perl(sources, long)]
    return suites + [python(module, long, user=True) for module in PYTHON_AS_USER]
