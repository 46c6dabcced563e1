"""Conversions are most of what these tests take: what the converters only do in case is left out.

A process that a test starts converts with the converters as they are, and to the same bytes, see
`test_canonical` and `test_apart`.
"""

import sys
from types import SimpleNamespace


def pytest_runtest_setup(item):
    for name, change in CHANGES.items():
        if name in sys.modules and name not in _changed:
            _changed.add(name)
            change(sys.modules[name])


_changed = set()


def few_checks(program):
    """The program is checked where dead code was removed and before it is saved.

    coremltools does it after each of its ninety passes, for two fifths of its time.
    """
    check = program.Program.validate

    def validate(self, check_essential_scope=False):
        if check_essential_scope:
            check(self, check_essential_scope)

    program.Program.validate = validate


def no_copies(optimizer):
    """No copy of the graph is made before each step, to go on with if the step fails."""
    optimizer.copy = SimpleNamespace(deepcopy=lambda graph: graph)


def frozen(converting):
    """All is exempt from garbage collection, see `tests/conftest.py`: to count it takes time."""
    converting.gc = SimpleNamespace(get_freeze_count=lambda: 1)


CHANGES = {
    "coremltools.converters.mil.mil.program": few_checks,
    "tf2onnx.optimizer": no_copies,
    "pocketknn.export.templates.converting": frozen,
}
