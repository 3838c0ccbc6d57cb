"""Core files as only an enclave can be asked for them: how they are called, which natively is the machine's setting, and
where there is none."""

import socket

from do_tests import World, expect

CRASH = "perl -e 'kill SEGV => $$'"


def names(w: World):
    script = f"""
        ulimit -c unlimited
        mkdir /tmp/cores && cd /tmp/cores
        say() {{ [ "$1" = - ] || echo "$1" > /proc/sys/kernel/core_pattern; {CRASH} & wait $!; echo $? $!; ls; rm -f *; }}
        say -
        say 'at.%e.%s.%u.%g.%d%%%q.%'
        say '%p.%i.%h.%f.%E'
        say /tmp/elsewhere
        [ -s /tmp/elsewhere ] && echo there
        echo 1 > /proc/sys/kernel/core_uses_pid
        say core
        say core.%p
        cat /proc/sys/kernel/core_pattern /proc/sys/kernel/core_uses_pid
        echo '|/bin/cat' > /proc/sys/kernel/core_pattern || echo refused
        cat /proc/sys/kernel/core_pattern"""
    run = w.do("/bin/bash", "-c", script)
    lines = run.stdout.decode().splitlines()
    pids = [line.split()[1] for line in lines if line.startswith("139 ")]
    expect(len(pids) == 6, f"six that crash were expected: {lines} {run.stderr[:500]!r}")
    a, b, c, d, e, f = pids
    wanted = [f"139 {a}", "core", f"139 {b}", "at.perl.11.0.0.1%.", f"139 {c}",
              f"{c}.{c}.{socket.gethostname()}.perl.!usr!bin!perl", f"139 {d}", "there", f"139 {e}", f"core.{e}", f"139 {f}",
              f"core.{f}", "core.%p", "1", "refused", "core.%p"]
    expect(lines == wanted, f"{lines}\n  instead of {wanted}\n  {run.stderr[:500]!r}")


def not_for_the_host(w: World):
    """The host can read what is written with --rw, and a core file has all that a program knows."""
    out = w.dir / "out"
    out.mkdir()
    script = "ulimit -c unlimited; perl -e 'kill SEGV => $$ if !fork; wait; print $? & 128, qq(\\n)'; ls"
    for directory, dumps in ((out, False), (w.dir, True)):
        run = w.do("/bin/bash", "-c", script, flags=("--quiet", "--rw", str(out)), cwd=directory)
        lines = run.stdout.decode().splitlines()
        expect(lines[:1] == ["128" if dumps else "0"], f"in {directory.name}: {lines} {run.stderr[:500]!r}")
        expect(("core" in lines[1:]) == dumps, f"in {directory.name}: {lines}")
    expect(not list(out.iterdir()), "the host has a core file")
    expect(not (w.dir / "core").exists(), "the host has a core file")


TESTS = {"core.names": names, "core.not_for_the_host": not_for_the_host}
