"""clang-tidy 19 with the checks of .clang-tidy.

A clean result is kept in the build directory (lint-cache/, one small file for each source file) together with what it
was found for: the command, the configuration, and a hash of each file of the project that clang-tidy read. A source
file is looked at again only when one of these differs. Paths in there are relative to the root: the cache of one
checkout is good in another. Nothing has to be built: no source file includes a generated one.
"""

import concurrent.futures
import functools
import hashlib
import json
import pathlib
import re
import subprocess
import time

PARTS = ("sgx", "emulator", "abi", "host", "libos", "image", "cli")
TIDY = "clang-tidy-19"

# A file that is looked at gets what it includes, and nothing by way of a precompiled header.
PRECOMPILED = re.compile(r" -Winvalid-pch| -Xclang -fno-pch-timestamp| -Xclang -include(-pch)? -Xclang \S+")


def entries_of(context) -> list[dict]:
    """One compile command for each source file. The first one is the real one: the unit tests compile libos/ again with
    flags of their own, and clang-tidy would look at a file once for each of its commands."""
    entries = {}
    for entry in json.loads((context.build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        if source.suffix == ".cpp" and source.is_relative_to(context.root):
            source = source.relative_to(context.root)
            if source.parts[0] in PARTS and source in context.files:
                entries.setdefault(source, entry | {"command": PRECOMPILED.sub("", entry["command"])})
    return list(entries.values())


def hash_of(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


once_hash_of = functools.cache(hash_of)


class Results:
    """The clean results of earlier runs."""

    def __init__(self, context):
        self.root = context.root
        self.directory = context.build / "lint-cache"
        self.directory.mkdir(exist_ok=True)
        version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
        self.base = version + (context.root / ".clang-tidy").read_bytes()

    def place(self, entry: dict) -> pathlib.Path:
        return self.directory / (str(pathlib.Path(entry["file"]).relative_to(self.root)).replace("/", "__") + ".json")

    def command(self, entry: dict) -> str:
        return hashlib.sha256(self.base + entry["command"].replace(str(self.root), "").encode()).hexdigest()

    def is_clean(self, entry: dict) -> bool:
        try:
            kept = json.loads(self.place(entry).read_text())
        except (OSError, ValueError):
            return False
        return kept["command"] == self.command(entry) and \
            all(once_hash_of(self.root / name) == value for name, value in kept["files"].items())

    def keep(self, entry: dict, read: set[pathlib.Path], began: float) -> None:
        # A file that was written while clang-tidy ran may be another one than clang-tidy saw.
        if all(path.stat().st_mtime < began for path in read):
            files = {str(path.relative_to(self.root)): hash_of(path) for path in sorted(read)}
            self.place(entry).write_text(json.dumps({"command": self.command(entry), "files": files}, indent=1))


def look(context, results: Results, entry: dict) -> list[str]:
    began = time.time()
    # -H lists the headers that are read, each line with as many dots as it is deep.
    done = subprocess.run([TIDY, "--quiet", "-p", str(results.directory), "--extra-arg=-H", entry["file"]],
                          cwd=context.root, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if re.search(r": (?:warning|error): ", line)]
    if done.returncode and not lines:
        lines = [f"{entry['file']}: {TIDY} failed: {done.stderr.strip().splitlines()[-1:] or ''}"]
    if not lines:
        headers = re.findall(r"^\.+ (.+)$", done.stderr, re.MULTILINE)
        read = {(pathlib.Path(entry["directory"]) / name).resolve() for name in [entry["file"], *headers]}
        results.keep(entry, {path for path in read if path.is_relative_to(context.root)}, began)
    return [line.replace(str(context.root) + "/", "") for line in lines]


def check(context) -> list[str]:
    path = context.build / "compile_commands.json"
    if not path.exists():
        return [f"{path} is not there: run ./dev build"]
    entries = entries_of(context)
    results = Results(context)
    (results.directory / path.name).write_text(json.dumps(entries))
    todo = [entry for entry in entries if not results.is_clean(entry)]
    print(f"lint tidy: {len(todo)} of {len(entries)} files to look at", flush=True)
    complaints = {}  # An ordered set: many files include the header that is complained about.
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        try:
            futures = {pool.submit(look, context, results, entry): entry["file"] for entry in todo}
            for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
                source = str(pathlib.Path(futures[future]).relative_to(context.root))
                for line in future.result():
                    if line not in complaints:
                        print(f"  {line}" if line.startswith(source) else f"  {line} (by way of {source})", flush=True)
                    complaints[line] = True
                if count % 25 == 0:
                    print(f"lint tidy: {count} of {len(todo)} done, {len(complaints)} complaints", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(complaints)
