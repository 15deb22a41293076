"""ullage_pytest.py - hooks for pytest that fail the very test that leaks; for a conftest.py
(scripts/ci), which finds it beside the library that ullage preloads.

Each test, with its fixtures, runs in a forked child; what is lost there since the fork, the
test has lost. As with pytest-forked, fixtures of modules and sessions are set up anew for each
test. What the interpreter itself loses when it is taken down is nobody's test: pytest leaves
without that."""

import os
import pickle
import subprocess
import sys

import pytest
from _pytest.runner import runtestprotocol

__all__ = ["pytest_runtest_protocol", "pytest_sessionfinish", "pytest_unconfigure"]

OPTIONS = []  # of `ullage check` for each test, such as "--suppressions=FILE"
RECORDING = os.environ.get("ULLAGE_FILE")
PLAIN = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


def run_in_child(item):
    """Its process id, its status, and the reports that it has sent (b"": none)."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        reports = [item.ihook.pytest_report_to_serializable(config=item.config, report=r)
                   for r in runtestprotocol(item, log=False)]
        with open(writer, "wb") as out:
            pickle.dump(reports, out)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        told = answer.read()
    return child, os.waitpid(child, 0)[1], told


def reports_of(item, status, told):
    if told and not status:
        return [item.ihook.pytest_report_from_serializable(config=item.config, data=d)
                for d in pickle.loads(told)]
    died = pytest.CallInfo.from_call(
        lambda: pytest.fail(f"the test's process died: wait status {status}", pytrace=False),
        "call")
    return [item.ihook.pytest_runtest_makereport(item=item, call=died)]


def judge(child, reports):
    """Without a recording there was nothing to tell."""
    recording = f"{RECORDING}.{child}"
    if not os.path.exists(recording):
        return
    check = subprocess.run(["ullage", "check", "-q", "--format=text", *OPTIONS, recording],
                           env=PLAIN, capture_output=True, text=True)
    if check.returncode:
        leaky = next((r for r in reports if r.when == "call"), reports[-1])
        leaky.outcome = "failed"
        leaky.longrepr = f"{leaky.longrepr or ''}\n{check.stdout}{check.stderr}".lstrip()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    child, status, told = run_in_child(item)
    reports = reports_of(item, status, told)
    judge(child, reports)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.status_to_leave_by = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    if hasattr(config, "status_to_leave_by"):
        config.get_terminal_writer().flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.status_to_leave_by)
