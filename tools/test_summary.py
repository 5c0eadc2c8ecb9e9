#!/usr/bin/env python3
"""Adds up what ctest wrote as JUnit XML: a table of suites, then "N passed, N failed".

usage: test_summary.py FOLDER

FOLDER holds STAGE.xml per stage, `seconds` (stage and its duration a line) and, where there was
cause, `broken` (stages that could not be built) and `unwell` (stages whose ctest ended in anger).
Exits 1 if anything failed or nothing ran.
"""

import collections
import pathlib
import sys
import xml.etree.ElementTree as xml

# How ctest words a test that chose to skip; any other "notrun" never started, which is a failure.
SKIPPED_BY_CHOICE = ("SKIP_RETURN_CODE=", "SKIP_REGULAR_EXPRESSION_MATCHED")


def outcome(case):
    if case.get("status") == "run":
        return "passed"
    if case.get("status") == "disabled":  # a DISABLED_ case, run by another one
        return "skipped"
    skipped = case.find("skipped")
    reason = "" if skipped is None else skipped.get("message", "")
    if reason.startswith(SKIPPED_BY_CHOICE):
        return "skipped"
    return "failed"


def words(path):
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def main(folder):
    suites = collections.defaultdict(collections.Counter)
    seconds = collections.Counter()
    failures = []
    stages = []
    for line in (folder / "seconds").read_text(encoding="utf-8").splitlines():
        stage, duration = line.split()
        stages.append((stage, int(duration)))
    broken = words(folder / "broken")
    unwell = words(folder / "unwell")
    # One that ran inside another's time counts as well.
    known = {stage for stage, _ in stages}
    unknown = {path.stem for path in folder.glob("*.xml")} | set(broken) | set(unwell)
    stages += [(stage, 0) for stage in sorted(unknown - known)]
    for stage, _ in stages:
        if stage in broken:
            suites[stage, "(build)"]["failed"] += 1
            failures.append(f"{stage}: does not build; see the compiler's words above")
            continue
        report = folder / f"{stage}.xml"
        cases = list(xml.parse(report).getroot().iter("testcase")) if report.exists() else []
        if not report.exists() or stage in unwell and "failed" not in map(outcome, cases):
            suites[stage, "(ctest)"]["failed"] += 1
            failures.append(f"{stage}: ctest did not finish; see its words above")
        for case in cases:
            suite = stage, case.get("name").split("/")[0]
            result = outcome(case)
            suites[suite][result] += 1
            seconds[suite] += float(case.get("time") or 0)
            if result == "failed":
                failures.append(f"{stage}: {case.get('name')}")

    print(f"\n{'stage':<10}{'suite':<16}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>10}")
    for (stage, suite), count in suites.items():
        print(
            f"{stage:<10}{suite:<16}{count['passed']:>8}{count['failed']:>8}{count['skipped']:>9}"
            f"{seconds[stage, suite]:>10.1f}"
        )
    print("\nwith the builds: " + ", ".join(f"{stage} {s} s" for stage, s in stages if s))
    if failures:
        print("\nfailed:\n  " + "\n  ".join(failures))
    total = sum(suites.values(), collections.Counter())
    if not total["passed"] and not total["failed"]:
        print("\nno test has such a name")
    print(f"\n{total['passed']} passed, {total['failed']} failed")
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
