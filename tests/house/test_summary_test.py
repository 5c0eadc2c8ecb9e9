#!/usr/bin/env python3
"""Goal: the summary's last line counts every case once for each stage, and nothing that went wrong
can look like success."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().parents[2] / "tools" / "test_summary.py"
PASSED = '<testcase name="log/A.B" time="0.5" status="run"/>'
FAILED = '<testcase name="log/A.C" time="1" status="fail"><failure message=""/></testcase>'
CHOSE = (
    '<testcase name="log/A.D" time="0" status="notrun">'
    '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>'
)
DISABLED = '<testcase name="log/A.DISABLED_E" time="0" status="disabled"/>'
NOT_BUILT = (
    '<testcase name="app_test_NOT_BUILT" time="0" status="notrun">'
    '<skipped message="Unable to find executable"/></testcase>'
)


class Summary(unittest.TestCase):
    def test_last_line_and_exit_code(self):
        # what, cases by stage (None: no report), broken, unwell, last line, exit code
        table = [
            ("all well", {"dev": PASSED}, "", "", "1 passed, 0 failed", 0),
            ("two stages", {"dev": PASSED, "asan": PASSED}, "", "", "2 passed, 0 failed", 0),
            ("one failed", {"dev": PASSED + FAILED}, "", "dev", "1 passed, 1 failed", 1),
            ("one skipped by choice", {"dev": PASSED + CHOSE}, "", "", "1 passed, 0 failed", 0),
            ("one disabled", {"dev": PASSED + DISABLED}, "", "", "1 passed, 0 failed", 0),
            ("one never started", {"dev": PASSED + NOT_BUILT}, "", "dev", "1 passed, 1 failed", 1),
            ("no build", {"dev": PASSED, "asan": None}, "asan", "", "1 passed, 1 failed", 1),
            ("no report", {"dev": PASSED, "asan": None}, "", "", "1 passed, 1 failed", 1),
            ("ctest itself failed", {"dev": PASSED}, "", "dev", "1 passed, 1 failed", 1),
            ("inside another", {"dev": PASSED, "inner": FAILED}, "", "inner", "1 passed, 1 failed", 1),
            ("cut short inside", {"dev": PASSED, "inner": None}, "", "inner", "1 passed, 1 failed", 1),
            ("nothing ran", {"dev": ""}, "", "", "0 passed, 0 failed", 1),
            ("only skipped", {"dev": CHOSE}, "", "", "0 passed, 0 failed", 1),
        ]
        for what, stages, broken, unwell, line, code in table:
            with self.subTest(what), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                for stage, cases in stages.items():
                    if cases is not None:
                        (folder / f"{stage}.xml").write_text(f"<testsuite>{cases}</testsuite>")
                timed = [s for s in stages if s != "inner"]
                (folder / "seconds").write_text("".join(f"{s} 7\n" for s in timed))
                (folder / "broken").write_text(broken)
                (folder / "unwell").write_text(unwell)
                done = subprocess.run(
                    [sys.executable, SUMMARY, folder], capture_output=True, text=True, check=False
                )
                self.assertEqual(done.stdout.splitlines()[-1], line, done.stderr)
                self.assertEqual(done.returncode, code)


if __name__ == "__main__":
    unittest.main()
