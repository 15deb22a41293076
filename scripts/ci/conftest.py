"""conftest.py for pytest - fails the very test that leaks, in C extensions above all.

Copy it beside your tests, or into the conftest.py that you have, and run

    ullage check --programs='python3*' -- python3 -m pytest

Each test, with its fixtures, runs in a forked child; what is lost there since the fork, the
test has lost. Without `ullage check` tests run as ever. As with pytest-forked, fixtures of
modules and sessions are set up anew for each test. What the interpreter itself loses when it
is taken down is nobody's test: pytest leaves without that."""

import os
import pickle
import subprocess
import sys

import pytest
from _pytest.runner import runtestprotocol

OPTIONS = []  # of `ullage check`, such as "--suppressions=FILE" or "--ours=mymodule*"
RECORDING = os.environ.get("ULLAGE_FILE")
PLAIN = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    if not RECORDING:
        return None
    hook, config = item.ihook, item.config
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        reports = [hook.pytest_report_to_serializable(config=config, report=r)
                   for r in runtestprotocol(item, log=False)]
        with open(writer, "wb") as out:
            pickle.dump(reports, out)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        told = answer.read()
    status = os.waitpid(child, 0)[1]
    if told and not status:
        reports = [hook.pytest_report_from_serializable(config=config, data=d)
                   for d in pickle.loads(told)]
    else:
        died = pytest.CallInfo.from_call(
            lambda: pytest.fail(f"the test's process died: wait status {status}", pytrace=False),
            "call")
        reports = [hook.pytest_runtest_makereport(item=item, call=died)]
    if os.path.exists(f"{RECORDING}.{child}"):  # else there was nothing to tell
        check = subprocess.run(["ullage", "check", "-q", "--format=text", *OPTIONS,
                                f"{RECORDING}.{child}"], env=PLAIN, capture_output=True, text=True)
        if check.returncode:
            leaky = next((r for r in reports if r.when == "call"), reports[-1])
            leaky.outcome = "failed"
            leaky.longrepr = f"{leaky.longrepr or ''}\n{check.stdout}{check.stderr}".lstrip()
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.status_to_leave_by = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    if RECORDING and hasattr(config, "status_to_leave_by"):
        config.get_terminal_writer().flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.status_to_leave_by)
