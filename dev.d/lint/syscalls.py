"""docs/syscalls.md says what table.def says."""

import subprocess
import sys


def check(context) -> list[str]:
    run = subprocess.run([sys.executable, str(context.root / "libos/syscall/document.py"), "--check"],
                         capture_output=True, text=True)
    return [] if run.returncode == 0 else [(run.stdout + run.stderr).strip() or "docs/syscalls.md is out of date"]
