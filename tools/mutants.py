#!/usr/bin/env python3
"""Plants faults in the rollout's core, one at a time, and sees that a test catches each.

usage: mutants.py [NAME...]        (script/mutants sets up and calls it)

Works on a copy under build/mutants, so the sources here are never touched. A mutant that survives
means that some promise of ARCHITECTURE.md is not held by a test. Exit code 1 if one does.
"""

import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants" / "tree"
BUILD = ROOT / "build" / "mutants" / "build"
TESTS = {
    "rollout_test": "*",
    "rehearsal_test": "Plain.*:Rehearsal.ExamplesOfFaults*:Crash.*RollBack*:Crash.*NoGo*",
}

# Name, file below src/rollout, what stands there, what stands there instead.
MUTANTS = [
    (
        "advance-on-undecided",
        "progress.cpp",
        "[](const Evidence& e) { return e.verdict == Verdict::kPass; }",
        "[](const Evidence& e) { return e.verdict != Verdict::kFail; }",
    ),
    (
        "forget-the-roll-back-after-a-restart",
        "driver.cpp",
        "  COVEY_TRY_VOID(out->read_back(now, true));",
        "  out->state_.rolled_back.reset();\n  COVEY_TRY_VOID(out->read_back(now, true));",
    ),
    (
        "forget-what-was-left-undone",
        "driver.cpp",
        "  const auto undone = out->state_.pending;",
        "  out->state_.pending.clear();\n  const auto undone = out->state_.pending;",
    ),
    (
        "trust-the-remembered-share",
        "driver.cpp",
        "  const auto share = outside_.share();",
        "  const Result<BasisPoints> share = state_.seen.value_or(0);",
    ),
    (
        "silence-is-golden",
        "measure.cpp",
        "out.silence = last ? std::max(Duration{}, now - *last) : Duration::max() / 2;",
        "out.silence = last ? Duration{} : Duration{};",
    ),
    (
        "missing-time-counts-as-good",
        "measure.cpp",
        "  if (window.sums) out.missing = window.sums->missing;",
        "",
    ),
    (
        "the-product-lead-overrides",
        "step.cpp",
        "} else if (!role->decides) {\n      refuse(fmt::format(\"{} does not decide: no override\"",
        "} else if (false) {\n      refuse(fmt::format(\"{} does not decide: no override\"",
    ),
    (
        "act-before-intent",
        "driver.cpp",
        "    COVEY_TRY_VOID(journal_.append(entry));\n    for (const Effect& effect : entry.effects) {",
        "    for (const Effect& effect : entry.effects) (void)perform(effect);\n"
        "    COVEY_TRY_VOID(journal_.append(entry));\n    for (const Effect& effect : entry.effects) {",
    ),
    (
        "verified-unseen",
        "step.cpp",
        "telemetry.candidate_requests == 0 &&",
        "true &&",
    ),
    (
        "patience-doubled",
        "step.cpp",
        "      if (s_.now - *since.at >= phase.patience(rule)) {",
        "      if (s_.now - *since.at >= 2 * phase.patience(rule)) {",
    ),
    (
        "begin-without-approvals",
        "progress.cpp",
        "  if (progress.overridden_by.empty()) {",
        "  if (false) {",
    ),
    (
        "a-roll-back-that-does-not-last",
        "phases.cpp",
        "  if (state.rolled_back) return 0;\n  const auto phase = watched_phase(state);",
        "  if (state.rolled_back && !state.rolled_back->verified) return 0;\n"
        "  const auto phase = watched_phase(state);",
    ),
    (
        "a-reduction-forgotten",
        "phases.cpp",
        "  return std::min(share, state.cap.value_or(plan::kEveryone));",
        "  return share;",
    ),
    (
        "an-impact-never-grows-old",
        "phases.cpp",
        "  if (state.now > valid_until(plan, told)) {",
        "  if (state.now > valid_until(plan, told) + std::chrono::hours(8760)) {",
    ),
    (
        "an-impact-of-the-attempt-before",
        "step.cpp",
        "  s_.impacts.clear();\n",
        "",
    ),
    (
        "few-readings-speak-for-all",
        "gate.cpp",
        "  if (!enough(r.level)) {",
        "  if (false) {",
    ),
    (
        "a-level-that-is-not-read-is-no-breach",
        "step.cpp",
        "  if (s_.now - *since.at < phase.breached_for()) return false;",
        "  if (true) return false;",
    ),
    (
        "passes-while-a-level-is-not-read",
        "progress.cpp",
        "  if (passes && lacks.empty() &&",
        "  if (passes &&",
    ),
    (
        "an-incident-that-is-over-never-was",
        "incidents.cpp",
        "(i.open() || *i.critical >= from)",
        "i.open()",
    ),
    (
        "time-at-half-the-share-counts",
        "step.cpp",
        "    progress.begins_anew = true;\n",
        "",
    ),
    (
        "verified-whatever-the-baseline-does",
        "step.cpp",
        "  if (whole && std::ranges::all_of(figures, judged)) {",
        "  if (whole) {",
    ),
    (
        "an-old-approval-counts-again",
        "step.cpp",
        "  if (of == s_.attempt) return \"\";",
        "  if (true) return \"\";",
    ),
    (
        "a-gate-without-a-report",
        "gates.cpp",
        "  if (approve.report.empty()) {",
        "  if (false) {",
    ),
    (
        "done-before-what-it-needs",
        "step.cpp",
        "  } else if (!needs.empty()) {",
        "  } else if (false) {",
    ),
    (
        "opens-with-nobody-at-the-balancer",
        "progress.cpp",
        "  if (s_.unreachable_since) return",
        "  if (false) return",
    ),
    (
        "a-breach-is-any-value-beyond",
        "gate.cpp",
        "  const auto gate = stats::rate_gate(recent.candidate, limit, levels.alpha);\n"
        "  return gate && shown_bad(gate->log_e_fail, levels);",
        "  return true;",
    ),
]


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def copy_tree():
    """Brings the copy up to date; files that did not change keep their times, for ninja's sake."""
    names = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.split("\n")
    for name in filter(None, names):
        source, target = ROOT / name, COPY / name
        if not source.is_file():
            continue
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        target.touch()


def build():
    if not (BUILD / "build.ninja").is_file():
        done = run("cmake", "--preset", "dev", "-S", COPY, "-B", BUILD, cwd=COPY)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
    return run("cmake", "--build", BUILD, "--target", *TESTS)


def failing_test():
    """The first test that fails, or nothing."""
    for test, chosen in TESTS.items():
        binary = BUILD / "tests" / test.removesuffix("_test") / test
        try:
            done = run(
                binary, f"--gtest_filter={chosen}", "--gtest_fail_fast", timeout=600, cwd=COPY
            )
        except subprocess.TimeoutExpired:
            return f"{test} (did not end)"
        if done.returncode != 0:
            failed = [line for line in done.stdout.split("\n") if line.startswith("[  FAILED  ]")]
            return failed[0].split("]")[1].split("(")[0].strip() if failed else f"{test} (died)"
    return None


def main():
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m[0] in sys.argv[1:]]
    if not chosen:
        sys.exit("mutants: no such mutant; there are " + ", ".join(m[0] for m in MUTANTS))
    copy_tree()
    done = build()
    if done.returncode != 0:
        sys.exit(done.stdout[-4000:])
    if failed := failing_test():
        sys.exit(f"mutants: {failed} fails without any mutant")
    survivors = 0
    for name, file, old, new in chosen:
        path = COPY / "src" / "rollout" / file
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"mutants: {name}: its place in {file} is not there once; mend the list")
        began = time.monotonic()
        path.write_text(text.replace(old, new))
        try:
            done = build()
            if done.returncode != 0:
                sys.exit(f"mutants: {name} does not compile:\n{done.stdout[-3000:]}")
            caught = failing_test()
        finally:
            path.write_text(text)
        survivors += caught is None
        verdict = f"caught by {caught}" if caught else "SURVIVED"
        print(f"{name:40} {verdict}  ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
