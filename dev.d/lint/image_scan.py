"""Instructions that must not be in the enclave image, by disassembly: what SGX forbids, what reads FS, what leaves.

Inside an enclave these raise #UD (SDM volume 3, "Illegal Instructions" of the enclave chapter), and an emulator that
runs them would hide it. FS belongs to the user's thread: the LibOS never touches it but to save and restore its base.
"""

import pathlib
import re
import subprocess

ALLOW = pathlib.Path(__file__).with_name("image_allow.txt")
ILLEGAL = {"cpuid", "getsec", "rdpmc", "sgdt", "sgdtq", "sidt", "sidtq", "sldt", "sldtw", "sldtl", "sldtq", "str", "strw",
           "strl", "strq", "smsw", "smsww", "smswl", "smswq", "vmcall", "vmfunc", "in", "inb", "inw", "inl", "ins", "insb",
           "insw", "insl", "out", "outb", "outw", "outl", "outs", "outsb", "outsw", "outsl", "int", "into", "iret", "iretl",
           "iretq", "iretw", "syscall", "sysenter", "sysexit", "sysexitq", "sysret", "sysretl", "sysretq", "ljmp", "ljmpl",
           "ljmpq", "lcall", "lcalll", "lcallq", "lret", "lretl", "lretq", "lss", "lfs", "lgs", "lds", "les", "hlt", "cli",
           "sti", "clts", "lgdt", "lgdtq", "lidt", "lidtq", "lldt", "ltr", "lmsw", "invd", "wbinvd", "invlpg", "rdmsr", "wrmsr",
           "swapgs", "vmlaunch", "vmresume", "vmxon", "encls", "(bad)", "<unknown>"}
SYMBOL = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(?:(?:lock|rep|repz|repnz|notrack|data16|cs|ds|es|gs|fs|rex64)\s+)*(\S+)\s*(.*)$")
TO_SEGMENT = re.compile(r",\s*%(?:ds|es|ss|fs|gs)$")


def finding(mnemonic: str, operands: str) -> str | None:
    """The name under which image_allow.txt would list it, or None if it may be anywhere."""
    operands = operands.split("#")[0].strip()
    if "%fs:" in operands:
        return "fs"
    if mnemonic in ILLEGAL:
        return mnemonic
    if mnemonic.startswith("mov") and TO_SEGMENT.search(operands):
        return "mov to a segment register"
    if mnemonic.startswith("pop") and re.fullmatch(r"%(?:ds|es|ss|fs|gs)", operands):
        return "pop of a segment register"
    return None


def allowed() -> list[tuple[re.Pattern, str]]:
    entries = []
    for line in ALLOW.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            symbol, mnemonic, reason = (part.strip() for part in line.split("|", 2))
            assert reason, f"image_allow.txt: a reason is missing: {line}"
            entries.append((re.compile(symbol), mnemonic))
    return entries


def check(context) -> list[str]:
    image = context.build / "bin" / "libos"
    if not image.exists():
        return [f"{image} is not there: run ./dev build"]
    process = subprocess.Popen(["llvm-objdump-19", "-d", "--no-show-raw-insn", "--demangle", str(image)],
                               stdout=subprocess.PIPE, text=True)
    entries, used, found, symbol, count = allowed(), set(), [], "?", 0
    for line in process.stdout:
        if match := SYMBOL.match(line):
            symbol = match.group(1)
            continue
        match = INSTRUCTION.match(line)
        if not match:
            continue
        count += 1
        what = finding(match.group(2), match.group(3))
        if what is None:
            continue
        hits = [e for e in entries if e[1] == what and e[0].search(symbol)]
        used.update(hits)
        if not hits:
            found.append(f"{match.group(1)} in {symbol}: {match.group(2)} {match.group(3).strip()}")
    if process.wait() != 0:
        found.append(f"llvm-objdump-19 could not read {image}")
    found += [f"image_allow.txt lists {e[1]} in {e[0].pattern}, which is not there any more" for e in entries if e not in used]
    print(f"lint image: {count} instructions of {image.name}, {len(entries)} exceptions")
    return found
