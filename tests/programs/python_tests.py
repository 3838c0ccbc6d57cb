"""Runs one of Python's own test modules and prints what became of each test, sorted, one a line, on stdout.

What the tests themselves print goes to stderr, with the tracebacks and the time that each slow test took.
    python_tests.py MODULE [-k PATTERN]... [-x PATTERN]...
"""

import argparse
import fnmatch
import os
import sys
import time
import unittest


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.begin = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        seconds = time.monotonic() - self.begin
        if seconds > 1:
            print(f"{seconds:.1f} s {test.id()}", file=sys.stderr)

    def note(self, test, outcome: str):
        # Of several outcomes (subtests, a failure in tearDown) the worst counts; a success never hides another.
        if outcome != "ok" or test.id() not in self.outcomes:
            self.outcomes[test.id()] = outcome

    def tell(self, test, error, outcome: str):
        print(f"{outcome}: {test.id()}\n{self._exc_info_to_string(error, test)}", file=sys.stderr)
        self.note(test, outcome)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addError(self, test, err):
        self.tell(test, err, "error")

    def addFailure(self, test, err):
        self.tell(test, err, "failed")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.tell(test, err, "failed")

    def addSkip(self, test, reason):
        self.note(test, f"skipped: {reason}")

    def addExpectedFailure(self, test, err):
        self.note(test, "fails as expected")

    def addUnexpectedSuccess(self, test):
        self.note(test, "succeeds unexpectedly")


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("-k", action="append", default=[])
    parser.add_argument("-x", action="append", default=[])
    options = parser.parse_args()
    stdout = os.dup(1)
    os.dup2(2, 1)
    sys.argv = [sys.argv[0]]  # some of the tests look at it
    name = "test." + options.module
    loader = unittest.TestLoader()
    __import__(name)
    module = sys.modules[name]

    def wanted(test) -> bool:
        within = test.id().removeprefix(name + ".")
        return (not options.k or any(fnmatch.fnmatchcase(within, p) for p in options.k)) and not any(
            fnmatch.fnmatchcase(within, p) for p in options.x)

    # Suites are kept as they were made: the fixtures of a class or a module run once.
    loaded = loader.loadTestsFromModule(module)
    chosen = unittest.TestSuite(test for test in flat(loaded) if wanted(test))
    result = Outcomes()
    chosen.run(result)
    lines = [f"{test} {outcome}" for test, outcome in sorted(result.outcomes.items())]
    os.write(stdout, ("\n".join([*lines, f"{len(lines)} tests"]) + "\n").encode())
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
