"""The package as users import it."""

from __future__ import annotations

import subprocess
import sys

import tapeline.testing


def test_all_is_sorted_and_everything_in_it_exists() -> None:
    names = tapeline.testing.__all__

    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    functions = [name for name in names if name[0].islower()]
    assert names == [*sorted(constants), *sorted(classes), *sorted(functions)]
    assert all(hasattr(tapeline.testing, name) for name in names)


def test_the_kit_needs_no_test_tools() -> None:
    code = (
        "import sys\n"
        "sys.modules['pytest'] = sys.modules['hypothesis'] = None\n"
        "import tapeline.testing\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
