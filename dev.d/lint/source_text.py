"""C++ source without what is not code."""

import re

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\\ ]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def code_only(text: str) -> str:
    """Comments and the insides of literals become spaces; the lines stay where they are."""
    def blank(match):
        found = match.group(0)
        if found[0] == "'" and match.start() and text[match.start() - 1].isalnum():
            return found  # A digit separator: 1'000'000.
        keep = '""' if found[0] in '"R' else ""
        return keep + "".join("\n" if c == "\n" else " " for c in found)[len(keep):]
    return TOKEN.sub(blank, text)
