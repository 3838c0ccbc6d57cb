#!/usr/bin/env python3
"""Writes docs/syscalls.md from table.def: which system calls there are and with which parameters.

    libos/syscall/document.py            writes the file
    libos/syscall/document.py --check    fails when it is not up to date
"""
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE / "table.def"
DOCUMENT = HERE.parent.parent / "docs" / "syscalls.md"
LINE = re.compile(r"^(SYSCALL|UNIMPLEMENTED)\((\d+), (\w+)(?:, (.*))?\)$")

# What a parameter type of table.def is to a C programmer.
TYPES = {
    "Fd": "int",
    "Flags": "unsigned",
    "Mode": "mode_t",
    "Pid": "pid_t",
    "SignalNumber": "int",
    "ClockId": "clockid_t",
    "UserString": "const char *",
    "UserAddress": "void *",
    "uint64_t": "unsigned long",
    "int64_t": "long",
    "uint32_t": "unsigned",
    "int32_t": "int",
}

# Where an implemented call does less than Linux's; the number's line says it.
NOTES = {
    "clone": "namespaces are EINVAL",
    "clone3": "namespaces are EINVAL, cgroups EPERM",
    "unshare": "namespaces are EINVAL",
    "arch_prctl": "ARCH_SET_GS is EINVAL: GS belongs to the LibOS",
    "sched_setscheduler": "SCHED_DEADLINE is EBUSY",
    "sched_setattr": "SCHED_DEADLINE is EBUSY, utilization clamps EOPNOTSUPP",
    "ioprio_set": "kept, inherited and reported; the host orders what reaches its disks",
    "clock_settime": "EPERM: the clock cannot be set from inside",
    "settimeofday": "EPERM",
    "adjtimex": "read only",
    "ptrace": "no seccomp requests (EIO), no GS; steps by decoding, REP is one step; debug registers by stepping",
    "getrusage": "user and system time are told apart by samples of short calls (libos/arch/system_time.h); "
                 "a page fault brings up to 256 pages; ru_inblock and ru_oublock are 0",
    "personality": "UNAME26, READ_IMPLIES_EXEC and PER_LINUX32's machine have an effect; addresses are never random",
    "madvise": "MADV_FREE frees at once while more than a quarter of the memory is used, and does nothing below that",
    "membarrier": "no SYNC_CORE commands",
    "memfd_create": "MFD_HUGETLB as with an empty pool",
    "prctl": "no PR_SET_SECCOMP, PR_SET_MM, PR_SET_SYSCALL_USER_DISPATCH, PR_SCHED_CORE, PR_SET_SPECULATION_CTRL (EINVAL)",
    "inotify_add_watch": "regular files and directories; not what the host does to hostfs",
}


def read_table(text):
    for line in text.splitlines():
        match = LINE.match(line.strip())
        if match:
            kind, number, name, parameters = match.groups()
            yield int(number), name, parameters, kind == "SYSCALL"


def parameter(text):
    """`UserIn<Timespec> duration` as `const Timespec *duration`."""
    kind, _, name = text.strip().rpartition(" ")
    pointer = re.match(r"User(In|Out|InOut)<(.*)>$", kind)
    if pointer:
        return f"{'const ' if pointer[1] == 'In' else ''}{pointer[2]} *{name}"
    c_type = TYPES.get(kind, kind)
    return f"{c_type}{name}" if c_type.endswith("*") else f"{c_type} {name}"


def split_parameters(text):
    return [parameter(part) for part in text.split(",")] if text else []


def document(rows):
    done = [row for row in rows if row[3]]
    missing = [row for row in rows if not row[3]]
    lines = [
        "# System calls",
        "",
        "Made from libos/syscall/table.def by libos/syscall/document.py: do not edit.",
        "",
        f"{len(done)} of the {len(rows)} system calls of x86-64 Linux are implemented; the others, and unknown",
        "numbers, return ENOSYS. `OCCLUM_LOG_LEVEL=trace` shows what a program calls, `/proc/occlum/stats` how often.",
        "",
        "## Implemented",
        "",
        "| number | call | note |",
        "|---|---|---|",
    ]
    for number, name, parameters, _ in done:
        arguments = ", ".join(split_parameters(parameters)) or "void"
        lines.append(f"| {number} | `{name}({arguments})` | {NOTES.get(name, '')} |")
    lines += ["", "## Not implemented", "", ", ".join(f"{name} ({number})" for number, name, _, _ in missing), ""]
    return "\n".join(lines)


def main():
    text = document(sorted(read_table(TABLE.read_text())))
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            sys.exit(f"{DOCUMENT}: not up to date: run libos/syscall/document.py")
    else:
        DOCUMENT.write_text(text)


main()
