#!/usr/bin/env python3
"""House rules that the compiler cannot see. Prints file:line: reason; exits 1 if there is any.

usage: tidy.py [ROOT]

- Clocks, sleep, chance, environment and threads belong to src/app: whatever lies below gets them
  through its constructor, so that it can be simulated.
- A module includes lower floors only, and only modules its CMakeLists.txt names in USES.
- Every source is named by a CMakeLists.txt, every header is included by someone.
- Headers begin with #pragma once and never say `using namespace`.
- A page links to files that are there and names tests (`Suite.Name`) that exist.
- No line is longer than 100 columns, string literals aside; no note marks unfinished work; every
  script can be executed.
"""

import os
import pathlib
import re
import sys

COLUMNS = 100
ROOF = "app"  # may use every module and everything it wires
CODE = ("src", "tests", "bench", "fuzz", "sim")
PAGES = ("cmake", "docs", "script", "tools", ".ci", "deploy")
SKIP_FOLDERS = {"build", "node_modules", "__pycache__", "corpus", "fixtures"}

# What, where it may not be, and the way out.
BANNED = [
    (
        re.compile(r"\b(?:steady|system|high_resolution|utc)_clock\s*::\s*now\b"),
        ("src", "sim"),
        "reads a real clock; take a covey::Clock through the constructor",
    ),
    (
        re.compile(r"\b(?:gettimeofday|clock_gettime|std::time)\s*\("),
        ("src", "sim"),
        "reads a real clock; take a covey::Clock through the constructor",
    ),
    (
        re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\b"),
        ("src", "sim"),
        "sleeps; return when to be called again and let app/ wait",
    ),
    (
        re.compile(r"\brandom_device\b|\bstd::rand\b|\bmt19937"),
        ("src", "sim"),
        "draws chance of its own; take a covey::Random forked by name",
    ),
    (
        re.compile(r"\b(?:secure_)?getenv\b"),
        ("src", "sim"),
        "reads the environment; take an option and let app/ fill it",
    ),
    (
        re.compile(r"\bstd::(?:j?thread\b(?!::)|async\b)"),
        ("src",),
        "makes a thread; describe the work to a covey::Parallel, app/ owns the threads",
    ),
]
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
# clang-format can't break a literal, and breaks what it can: what matters is the rest of the line.
STRING = re.compile(r'R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\])*"')
RAW = re.compile(r'R"([^\s()\\]{0,16})\(.*?\)\1"', re.DOTALL)
TEST = re.compile(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)")
NAMED_TEST = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)`")
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def blank(text):
    """The code alone: comments and strings become spaces, lines stay where they are. Includes keep
    their names."""

    def hide(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and "#include" in text[start : match.start()]:
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return COMMENT_OR_STRING.sub(hide, text)


class Tidy:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.floor = {}
        self.uses = {}
        self.cmake = {}  # folder -> what its CMakeLists.txt says, without comments
        self.included = set()
        self.tests = set()

    def report(self, path, line, reason):
        self.findings.append(f"{path.relative_to(self.root)}:{line}: {reason}")

    def files(self, tops, suffixes=None):
        for top in tops:
            for folder, folders, names in os.walk(self.root / top):
                folders[:] = sorted(f for f in folders if f not in SKIP_FOLDERS)
                for name in sorted(names):
                    if suffixes is None or name.endswith(suffixes):
                        yield pathlib.Path(folder) / name

    def read_modules(self):
        for path in self.files(CODE, ("CMakeLists.txt",)):
            text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
            self.cmake[path.parent] = text
            for name, body in re.findall(r"covey_module\(\s*(\w+)([^)]*)\)", text):
                floor = re.search(r"\bFLOOR\s+(\d+)", body)
                if floor is None:
                    self.report(path, 1, f"module {name} stands on no FLOOR")
                    continue
                self.floor[name] = int(floor.group(1))
                uses = re.search(r"\bUSES\b([^A-Z]*)", body)
                self.uses[name] = set(uses.group(1).split()) if uses else set()

    def named(self, path):
        """Whether a CMakeLists.txt beside or above `path` names it."""
        for folder in path.parents:
            words = self.cmake.get(folder, "")
            relative = re.escape(str(path.relative_to(folder)))
            if re.search(rf"(?<![\w./-]){relative}(?![\w.-])", words):
                return True
            if folder == self.root:
                return False
        return False

    def check_include(self, path, line, target):
        relative = path.relative_to(self.root)
        found = [
            base / target
            for base in (self.root / "src", self.root / "tests", self.root, path.parent)
            if (base / target).is_file()
        ]
        self.included.update(f.resolve() for f in found)
        if relative.parts[0] != "src" or len(relative.parts) < 3:
            return
        here, there = relative.parts[1], pathlib.PurePosixPath(target).parts[0]
        if not (self.root / "src" / target).is_file():
            self.report(path, line, f'"{target}" is not under src/; src/ uses nothing beside it')
        elif here == ROOF or here == there:
            pass
        elif there == ROOF:
            self.report(path, line, f"{here} includes the roof")
        elif self.floor.get(there, 0) >= self.floor.get(here, 0):
            self.report(
                path,
                line,
                f"{here} (floor {self.floor.get(here)}) includes {there} (floor "
                f"{self.floor.get(there)}); only lower floors may be used",
            )
        elif there not in self.uses.get(here, set()):
            self.report(path, line, f"{here} includes {there} but does not name it in USES")

    def check_code(self, path):
        text = path.read_text(encoding="utf-8")
        code = blank(text)
        self.tests.update(".".join(names) for names in TEST.findall(text))
        header = path.suffix == ".h"
        top = path.relative_to(self.root).parts[0]
        # Lines of a literal that goes over several: another language, with lines of its own.
        foreign = {
            number
            for literal in RAW.finditer(text)
            for number in range(
                text.count("\n", 0, literal.start()) + 2, text.count("\n", 0, literal.end()) + 1
            )
        }
        for number, (raw, line) in enumerate(zip(text.split("\n"), code.split("\n")), 1):
            if include := INCLUDE.match(line):
                self.check_include(path, number, include.group(1))
            elif number not in foreign and len(STRING.sub("", raw)) > COLUMNS:
                self.report(path, number, f"{len(raw)} columns; {COLUMNS} is the most")
            if header and re.search(r"\busing\s+namespace\b", line):
                self.report(path, number, "`using namespace` in a header reaches every includer")
            if path.is_relative_to(self.root / "src" / ROOF):
                continue
            for pattern, where, reason in BANNED:
                if top in where and (match := pattern.search(line)):
                    self.report(path, number, f"{match.group()} {reason}")
        if header:
            first = next((n for n, l in enumerate(code.split("\n"), 1) if l.strip()), 1)
            if code.split("\n")[first - 1].strip() != "#pragma once":
                self.report(path, first, "a header begins with #pragma once")

    def check_page(self, path, number, line):
        for link in LINK.findall(line):
            if not re.match(r"[a-z]+:", link) and not (path.parent / link).exists():
                self.report(path, number, f"links to {link}, which is not there")
        for test in NAMED_TEST.findall(line):
            if test not in self.tests:
                self.report(path, number, f"names {test}, but there is no such test")

    def run(self):
        self.read_modules()
        headers, others = [], []
        for path in self.files(CODE, (".h", ".cpp")):
            (headers if path.suffix == ".h" else others).append(path)
            self.check_code(path)
        headers += self.files(("src",), (".inc",))
        for path in headers:
            if path.resolve() not in self.included:
                self.report(path, 1, "no one includes this header")
        others += [
            p
            for p in self.files(("src",))
            if p.suffix not in (".h", ".cpp", ".inc") and p.name != "CMakeLists.txt"
        ]
        for path in others:
            if not self.named(path):
                self.report(path, 1, "no CMakeLists.txt names this file")
        pages = list(self.files(CODE + PAGES))
        pages += [p for p in sorted(self.root.iterdir()) if p.suffix in (".md", ".txt", ".json")]
        for path in pages:
            try:
                lines = path.read_text(encoding="utf-8").split("\n")
            except UnicodeDecodeError:
                continue  # not text, not ours to read
            if lines[0].startswith("#!") and not os.access(path, os.X_OK):
                self.report(path, 1, "begins with #! but cannot be executed; chmod +x it")
            for number, line in enumerate(lines, 1):
                if path.suffix == ".md":
                    self.check_page(path, number, line)
                if mark := UNFINISHED.search(line):
                    self.report(path, number, f"{mark.group()}: finish it or open an issue")
        return self.findings


if __name__ == "__main__":
    start = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    found = Tidy(start.resolve()).run()
    print("\n".join(found) if found else "tidy: nothing to mend")
    sys.exit(1 if found else 0)
