#!/usr/bin/env python3
"""Goal: each house rule is caught where it is broken, at the right line, and nothing else is.

Method: a small house in order, then one thing planted in it at a time.
"""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import tidy  # noqa: E402  (found through the line above)

HOUSE = {
    "src/base/CMakeLists.txt": "covey_module(base FLOOR 0 SOURCES a.cpp LIBRARIES fmt::fmt)\n",
    "src/base/a.h": '// Why.\n#pragma once\n#include <vector>\n',
    "src/base/a.cpp": '#include "base/a.h"\n',
    "src/log/CMakeLists.txt": "covey_module(log FLOOR 1\n  SOURCES log.cpp deep/in.cpp\n  USES base)\n",
    "src/log/log.h": '#pragma once\n#include "base/a.h"\n',
    "src/log/log.cpp": '#include "log/log.h"\n',
    "src/log/deep/in.cpp": '#include "log/log.h"\n// steady_clock::now() in a comment\n'
    'const char* s = "std::thread getenv"; const auto id = std::this_thread::get_id();\n',
    "src/events/CMakeLists.txt": "covey_module(events FLOOR 1 SOURCES e.cpp USES base)\n",
    "src/events/e.h": "#pragma once\n",
    "src/events/e.cpp": '#include "events/e.h"\nauto r = R"(\nstd::jthread\n)";\nint big = 1\'000;\n'
    f'auto s = "{"y" * 120}";\n',
    "src/app/CMakeLists.txt": "add_executable(covey main.cpp)\n",
    "src/app/main.h": "#pragma once\n",
    "src/app/main.cpp": '#include "app/main.h"\n#include "log/log.h"\nstd::jthread t;\n'
    'auto now = std::chrono::steady_clock::now();\nauto e = getenv("X");\nstd::random_device d;\n',
    "tests/log/CMakeLists.txt": "covey_test(log SOURCES log_test.cpp)\n",
    "tests/log/log_test.cpp": '#include "log/log.h"\n#include "help.h"\n#include "sim/disk.h"\n'
    "std::thread t; void f() { std::this_thread::sleep_for(1ms); }\n"
    "TEST_F(Log,\n  Keeps) {}\n",
    "tests/help.h": "#pragma once\n",
    "sim/disk.h": "#pragma once\n",
    "script/run": "#!/bin/sh\n",
    "README.md": "[a](docs/b.md), [c](https://example.org/d), `Log.Keeps`, `v1.0`\n",
    "docs/b.md": "[up](../README.md#limits)\n",
}

# what, file, line planted (appended), the finding: line number and a part of the reason
PLANTED = [
    ("steady clock", "src/log/log.cpp", "auto t = std::chrono::steady_clock::now();", 2, "clock"),
    ("system clock", "src/base/a.h", "inline auto t() { return system_clock::now(); }", 4, "clock"),
    ("sleep", "src/events/e.cpp", "void f() { std::this_thread::sleep_for(1s); }", 7, "sleeps"),
    ("chance", "src/log/log.cpp", "std::random_device d;", 2, "chance"),
    ("chance in sim", "sim/disk.h", "inline std::random_device d;", 2, "chance"),
    ("environment", "src/log/log.cpp", 'auto e = std::getenv("HOME");', 2, "environment"),
    ("thread", "src/log/deep/in.cpp", "std::thread t;", 4, "thread"),
    ("jthread", "src/log/log.cpp", "std::jthread t;", 2, "thread"),
    ("after a string", "src/log/log.cpp", 'const char* u = "//"; std::jthread t;', 2, "thread"),
    ("climbing", "src/base/a.cpp", '#include "log/log.h"', 2, "only lower floors"),
    ("same floor", "src/log/log.cpp", '#include "events/e.h"', 2, "only lower floors"),
    ("roof", "src/log/log.cpp", '#include "app/main.h"', 2, "roof"),
    ("sim in src", "src/log/log.cpp", '#include "sim/disk.h"', 2, "nothing beside it"),
    ("using namespace", "src/log/log.h", "using namespace covey;", 3, "using namespace"),
    ("long line", "tests/log/log_test.cpp", "// " + "x" * 98, 7, "101 columns"),
    ("mark", "src/log/log.cpp", "// TO" "DO: later", 2, "finish it"),
    ("mark in a script", "script/run", "# FIX" "ME", 2, "finish it"),
    ("mark in a page", "docs/a.md", "XX" "X", 2, "finish it"),
    ("dead link", "README.md", "see [this](docs/c.md)", 2, "docs/c.md, which is not there"),
    ("unknown test", "docs/b.md", "`Log.Loses` holds it", 2, "no such test"),
    ("no pragma once", "tests/other.h", "int x;", 2, "pragma once"),
    ("unnamed source", "src/log/left.cpp", "int x;", 1, "no CMakeLists.txt names"),
    ("unnamed test", "tests/log/left_test.cpp", "int x;", 1, "no CMakeLists.txt names"),
    ("named in part", "src/log/g.cpp", "int x;", 1, "no CMakeLists.txt names"),
    ("unnamed table", "src/log/table.json", "{}", 1, "no CMakeLists.txt names"),
    ("unused header", "src/log/left.h", "#pragma once", 1, "no one includes"),
    ("unused table", "src/log/left.inc", "1, 2", 1, "no one includes"),
    ("no floor", "src/plan/CMakeLists.txt", "covey_module(plan SOURCES)", 1, "FLOOR"),
    ("not executable", "script/other", "#!/bin/sh", 1, "chmod"),
]


class Planted(unittest.TestCase):
    def findings(self, house):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name).resolve()
            for path, text in house.items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                if path == "script/run":
                    file.chmod(0o755)
            return tidy.Tidy(root).run()

    def test_a_house_in_order_has_no_findings(self):
        self.assertEqual(self.findings(HOUSE), [])

    def test_each_planted_fault_is_found_where_it_is(self):
        for what, path, line, number, reason in PLANTED:
            with self.subTest(what):
                before = HOUSE.get(path, "// First.\n" if number == 2 else "")
                found = self.findings({**HOUSE, path: before + line + "\n"})
                place = f"{path}:{number}: "
                self.assertTrue(
                    any(f.startswith(place) and reason in f for f in found), f"{what}: {found}"
                )
                extra = [f for f in found if not f.startswith(path + ":")]
                self.assertEqual(extra, [], what)

    def test_a_module_must_be_named_in_uses(self):
        house = {
            **HOUSE,
            "src/log/CMakeLists.txt": "covey_module(log FLOOR 1 SOURCES log.cpp deep/in.cpp)\n",
        }
        self.assertEqual(
            self.findings(house),
            ["src/log/log.h:2: log includes base but does not name it in USES"],
        )


if __name__ == "__main__":
    unittest.main()
