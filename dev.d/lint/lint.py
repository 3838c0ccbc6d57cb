#!/usr/bin/python3
"""Runs the checks of ./dev lint, each in its own file, and says what to do about what they find.

A check is a function (Context) -> list of complaints, one line each. The exit status is 1 if there is any.
"""

import argparse
import pathlib
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCE = (".cpp", ".h", ".c")


@dataclass
class Context:
    root: pathlib.Path
    build: pathlib.Path
    jobs: int
    files: list[pathlib.Path]  # the project's own, relative to the root

    def sources(self, *below: str) -> list[pathlib.Path]:
        """C and C++ files under the given top directories (all if none)."""
        return [f for f in self.files if f.suffix in SOURCE and (not below or f.parts[0] in below)]

    def read(self, path: pathlib.Path) -> str:
        return (self.root / path).read_text("utf-8", "replace")


def project_files(root: pathlib.Path) -> list[pathlib.Path]:
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "-c", "-o", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout
    return sorted(p for p in map(pathlib.Path, filter(None, listed.split("\0"))) if (root / p).is_file())


def main() -> int:
    import format
    import hosts
    import image_scan
    import layers
    import raw_share
    import syscalls
    import tidy
    import words
    checks = {"format": (format.check, "run ./dev lint format --fix"),
              "words": (words.check, "docs/coding.md says what to use instead"),
              "layers": (layers.check, "design.md section 3: arrows point down only; take an interface"),
              "raw": (raw_share.check, "move what need not be raw out of *_raw* files; the ceiling is only ever lowered"),
              "hosts": (hosts.check, "name packages, not the hosts they come from"),
              "syscalls": (syscalls.check, "run libos/syscall/document.py"),
              "image": (image_scan.check, "dev.d/lint/image_allow.txt lists the only places, each with its reason"),
              "tidy": (tidy.check, "fix it, or say why not in a NOLINT of that line")}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(checks)}")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fast", action="store_true", help="without clang-tidy")
    parser.add_argument("--fix", action="store_true", help="let clang-format rewrite what it complains about")
    parser.add_argument("--no-build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.names) - set(checks)
    if unknown:
        sys.exit(f"lint: there is no check {', '.join(sorted(unknown))}; there are: {', '.join(checks)}")
    context = Context(ROOT, options.build_dir.absolute(), options.jobs, project_files(ROOT))
    format.FIX = options.fix
    failed = 0
    for name, (check, advice) in checks.items():
        if (options.names and name not in options.names) or (options.fast and name == "tidy"):
            continue
        complaints = check(context)
        print(f"lint {name}: {f'{len(complaints)} complaints ({advice})' if complaints else 'clean'}", flush=True)
        for line in complaints[:200]:
            print(f"  {line}")
        if len(complaints) > 200:
            print(f"  ... and {len(complaints) - 200} more")
        failed += bool(complaints)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    sys.exit(main())
