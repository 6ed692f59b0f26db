"""Tests beside each other, each in a process of its own: they mostly wait, and have nothing in common but the machine.

Says a line for each: `ok NAME SECONDS`, `skipped: WHY` or `FAILED NAME SECONDS` with what it printed, indented.
"""
import concurrent.futures
import re
import signal
import subprocess
import time
import unittest

LIMIT_S = 600  # a test that hangs fails
DYING_S = 60   # in which it removes what it made


def names_of(suite):
    """One name for each test, in their order."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from names_of(part)
        else:
            yield part.id()


def run_one(command, name):
    """(name, exit status, what it printed, seconds)"""
    began = time.monotonic()
    process = subprocess.Popen([*command, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        printed, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)  # says where it hangs
        process.terminate()
        try:
            printed, _ = process.communicate(timeout=DYING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
        printed += f"\nnot ended within {LIMIT_S} s"
    return name, process.returncode, printed, time.monotonic() - began


def run(command, suite, jobs):
    """Runs `command NAME` for each test of the suite, `jobs` at a time. Whether all of them, and at least one, went well."""
    good = bad = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run_one, command, name) for name in names_of(suite)]):
            name, status, printed, took_s = done.result()
            good, bad = good + (status == 0), bad + (status != 0)
            print(f"{'ok    ' if status == 0 else 'FAILED'} {name} {took_s:.1f} s", flush=True)
            for why in re.findall(r"\.\.\. skipped ['\"](.*)['\"]$", printed, re.MULTILINE):
                print(f"skipped: {why}", flush=True)
            if status != 0:
                print("".join(f"    {line}\n" for line in printed.splitlines()), end="", flush=True)
    return bad == 0 and good > 0
