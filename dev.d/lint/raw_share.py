"""The share of libos/ that the compiler's safety rules do not cover: *_raw* files, C and assembly."""

import pathlib

CEILING = pathlib.Path(__file__).with_name("raw_ceiling.txt")


def shares(context) -> tuple[int, int]:
    raw = total = 0
    for path in context.files:
        if path.parts[0] != "libos" or path.suffix not in (".cpp", ".h", ".c", ".S", ".def"):
            continue
        if path.parts[1:3] == ("arch", "hosted"):
            continue
        lines = context.read(path).count("\n")
        total += lines
        if "_raw" in path.name or path.suffix in (".c", ".S"):
            raw += lines
    return raw, total


def check(context) -> list[str]:
    ceiling = float(next(line for line in CEILING.read_text().splitlines() if not line.startswith("#")))
    raw, total = shares(context)
    share = 100 * raw / total if total else 0
    print(f"lint raw: {raw} of {total} lines are raw: {share:.2f} % (at most {ceiling:g} %)")
    complaints = [f"{share:.2f} % is above the ceiling of {ceiling:g} %"] if share > ceiling else []
    for path in context.sources("libos"):
        # A raw file opens with the invariant it keeps.
        if "_raw" in path.name and not context.read(path).lstrip().startswith("//"):
            complaints.append(f"{path}: does not open with a comment that states its invariant")
    return complaints
