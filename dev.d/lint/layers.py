"""Who may include whom: design.md section 3. Arrows point down only."""

import pathlib
import re

ALLOW = pathlib.Path(__file__).with_name("layers_allow.txt")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)

MAY = {
    "sgx": {"sgx"}, "abi": {"abi", "sgx"}, "emulator": {"emulator", "sgx", "abi"}, "host": {"host", "emulator", "abi", "sgx"},
    "libos": {"libos", "abi", "sgx"}, "image": {"image", "abi", "sgx"}, "cli": {"cli", "image", "host", "abi", "sgx"},
}
# Within libos/: a directory may include its own level and those below.
LEVELS = [{"arch", "host", "lib"}, {"mm", "sched"}, {"process", "fs", "ipc", "net", "attest"}, {"syscall"}]


def level(directory: str) -> int | None:
    return next((i for i, names in enumerate(LEVELS) if directory in names), None)


def allowed() -> set[tuple[str, str]]:
    lines = [line for line in ALLOW.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {tuple(part.strip() for part in line.split("|")[:2]) for line in lines}


def check(context) -> list[str]:
    found, exceptions = [], allowed()
    for path in context.sources(*MAY):
        text = context.read(path)
        top = path.parts[0]
        for match in INCLUDE.finditer(text):
            if (path.as_posix(), match.group(1)) in exceptions:
                continue
            target = match.group(1).split("/")
            where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
            if target[0] in MAY and target[0] not in MAY[top]:
                found.append(f"{where}: {top}/ may not include {match.group(1)}")
            elif len(target) == 1 or (target[0] not in MAY and not (context.root / match.group(1)).exists()
                                      and not (context.build / match.group(1)).exists()):
                if (path.parent / match.group(1)).as_posix() in {f.as_posix() for f in context.files}:
                    found.append(f"{where}: includes are written from the root: {match.group(1)}")
            if top == "libos" and target[0] == "libos" and len(target) > 2 and len(path.parts) > 2:
                mine, theirs = level(path.parts[1]), level(target[1])
                if mine is not None and theirs is not None and theirs > mine:
                    found.append(f"{where}: libos/{path.parts[1]} may not include libos/{target[1]}")
    return found
