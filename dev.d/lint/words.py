"""Words that docs/coding.md bans in libos/: what allocates or throws, and raw work outside *_raw* files.

The compiler finds indexing and pointer arithmetic (-Wunsafe-buffer-usage), but not these. An exception in the source is
a line with the comment `lint: allow WORD, because ...`.
"""

import re

from source_text import code_only

OWNING = "string|wstring|vector|map|multimap|unordered_map|unordered_set|set|multiset|list|forward_list|deque|queue|stack|" \
         "priority_queue|function|any|shared_ptr|weak_ptr|thread|mutex|condition_variable|ostringstream|stringstream|cout|cerr"
CASTABLE = r"(?:const\s+|volatile\s+|unsigned\s+|signed\s+)*(?:u?int(?:8|16|32|64|ptr)?_t|size_t|ssize_t|off_t|char|int|long|short|" \
           r"bool|void|unsigned|signed|std::byte|std::(?:u?int\w+_t|size_t))(?:\s+(?:long|int|const))*\s*[*&]*"

# (pattern, what is wrong, whether *_raw* files may)
RULES = [
    (re.compile(rf"\bstd::(?:{OWNING})\b(?!_view)"), "owns memory or threads", False),
    (re.compile(r"\bmake_(?:unique|shared)\b"), "aborts when there is no memory", False),
    (re.compile(r"(?<!operator )(?<!\w)new\s+[A-Za-z_:]"), "naked new", False),
    (re.compile(r"(?<!\w)new\s*\("), "placement new", True),
    (re.compile(r"(?<!operator )(?<!= )(?<!=)\bdelete\b(?!\s*;?\s*\()"), "naked delete", True),
    (re.compile(rf"\((?!\s*void\s*\))\s*{CASTABLE}\s*\)\s*(?=[\w(&*~!\"'-])(?!(?:const|override|noexcept|final|mutable)\b)"), "C cast", False),
    (re.compile(r"\bthread_local\b|\b__thread\b"), "thread-local storage: FS is the user's", False),
    (re.compile(r"\breinterpret_cast\b"), "reinterpret_cast", True),
    (re.compile(r"\b(?:std::)?(?:memcpy|memmove|memset|memcmp|strlen|strcpy|strncpy|strcmp|strncmp|strchr|strcat)\s*\("),
     "unchecked memory function", True),
    (re.compile(r"\b(?:float|double)\b"), "floating point", False),
    (re.compile(r"\b(?:throw|try|catch|typeid)\b|\bdynamic_cast\b(?!<(?:const )?void\*>)"), "exceptions or RTTI", False),
]
HEADERS = {"span", "string_view", "optional", "algorithm", "atomic", "bit", "type_traits", "concepts", "utility", "array",
           "variant", "cstdint", "cstddef", "limits", "compare", "initializer_list", "new", "iterator", "tuple", "memory",
           "functional", "stddef.h", "stdint.h", "stdarg.h", "climits"}
INCLUDE = re.compile(r"^\s*#\s*include\s*<([^>]+)>", re.M)


def is_raw(path) -> bool:
    return "_raw" in path.name or path.suffix == ".c"


def complaints_of(path, text: str) -> list[str]:
    code, lines, found = code_only(text), text.splitlines(), []

    def say(at: int, what: str):
        number = code.count("\n", 0, at) + 1
        line = lines[number - 1]
        if not re.search(r"lint: allow \w", line):
            found.append(f"{path}:{number}: {what}: {line.strip()[:90]}")

    for pattern, what, raw_may in RULES:
        if raw_may and is_raw(path):
            continue
        for match in pattern.finditer(code):
            if what == "C cast" and path.suffix == ".c":
                continue
            # A parameter list, `sizeof (int)` and the like are not casts.
            before = code[:match.start()].rstrip()
            if what == "C cast" and (before[-1:].isalnum() or before[-1:] in "_>])"):
                continue
            say(match.start(), what)
    for match in INCLUDE.finditer(code):
        name = match.group(1)
        if name not in HEADERS and not (is_raw(path) and re.fullmatch(r"\w*intrin\.h", name)):
            say(match.start(), f"<{name}> is not among the allowed headers")
    return found


def check(context) -> list[str]:
    # arch/hosted is the LibOS's stand-in for the machine in tests: a host program, never in the enclave.
    files = [f for f in context.sources("libos") if f.parts[1:3] != ("arch", "hosted")]
    return [c for f in files for c in complaints_of(f, context.read(f))]
