"""Node with onnxruntime-web and sharp, installed and started once for all files here."""

import pytest
from node import installed, together
from support import TESTS


@pytest.fixture(scope="session")
def ortweb(tmp_path_factory):
    """The folder of Node's packages."""
    with installed(TESTS / "ortweb", tmp_path_factory.mktemp("npm") / "web") as folder:
        yield folder


@pytest.fixture(scope="session")
def node(ortweb):
    """Run a script in a folder, all in one process; see `node.together`."""
    with together(ortweb) as script:
        yield script
