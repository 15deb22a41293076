"""conftest.py for pytest - fails the very test that leaks, in C extensions above all.

Copy it beside your tests, or into the conftest.py that you have, and run

    ullage check --programs='python3*' -- python3 -m pytest

Without `ullage check` tests run as ever. The hooks come with ullage (ullage_pytest.py, beside
its library): each test runs in a forked child, so fixtures of modules and sessions are set up
anew for each."""

import os
import sys

for library in os.environ.get("LD_PRELOAD", "").replace(" ", ":").split(":"):
    if os.path.basename(library) == "libullage.so" and "ULLAGE_FILE" in os.environ:
        sys.path.append(os.path.dirname(library))
        import ullage_pytest
        from ullage_pytest import *
        ullage_pytest.OPTIONS += []  # of `ullage check`, such as "--suppressions=FILE"
