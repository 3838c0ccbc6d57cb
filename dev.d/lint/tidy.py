"""clang-tidy 19 with the checks of .clang-tidy. A file is looked at again only when it, a header that it includes, its
command or the configuration has changed: clean results are kept in the build directory."""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess

PARTS = ("sgx", "emulator", "abi", "host", "libos", "image", "cli")


def dependencies(build: pathlib.Path) -> dict[str, list[str]]:
    """Object file -> the files it was made from, as ninja recorded them."""
    listed = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=False).stdout
    table, current = {}, None
    for line in listed.splitlines():
        if line.startswith(" "):
            table[current].append(line.strip())
        elif ":" in line:
            current = line.split(":")[0]
            table[current] = []
    return table


def object_of(entry: dict) -> str:
    match = re.search(r" -o (\S+)", entry["command"])
    return match.group(1) if match else ""


def digest(context, entry: dict, deps: dict[str, list[str]], base: bytes) -> str:
    state = hashlib.sha256(base + entry["command"].encode())
    for name in sorted({entry["file"], *deps.get(object_of(entry), [])}):
        path = pathlib.Path(entry["directory"]) / name
        if path.is_relative_to(context.root) and path.exists():
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def look(context, database: pathlib.Path, entry: dict) -> list[str]:
    # The database itself names the compiler launcher and clang-only flags of which clang-tidy needs none changed.
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(database), entry["file"]], cwd=context.root,
                          capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if re.search(r": (?:warning|error): ", line)]
    if done.returncode and not lines:
        lines = [f"{entry['file']}: clang-tidy-19 failed: {done.stderr.strip().splitlines()[-1:] or ''}"]
    return [line.replace(str(context.root) + "/", "") for line in lines]


def check(context) -> list[str]:
    path = context.build / "compile_commands.json"
    if not path.exists():
        return [f"{path} is not there: run ./dev build"]
    seen, entries = set(), []
    for entry in json.loads(path.read_text()):
        source = pathlib.Path(entry["file"])
        if source.suffix == ".cpp" and source.is_relative_to(context.root) and source not in seen and \
                source.relative_to(context.root).parts[0] in PARTS and source.relative_to(context.root) in context.files:
            seen.add(source)
            entries.append(entry)
    cache = context.build / "lint-cache"
    cache.mkdir(exist_ok=True)
    base = (context.root / ".clang-tidy").read_bytes()
    deps = dependencies(context.build)
    keys = {e["file"]: digest(context, e, deps, base) for e in entries}
    todo = [e for e in entries if not (cache / keys[e["file"]]).exists()]
    print(f"lint tidy: {len(todo)} of {len(entries)} files have changed", flush=True)
    complaints = []
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        for entry, found in zip(todo, pool.map(lambda e: look(context, context.build, e), todo)):
            complaints += found
            if not found:
                (cache / keys[entry["file"]]).touch()
    return sorted(set(complaints))
