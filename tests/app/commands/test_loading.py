import subprocess
import sys

_LOADED = "import sys, app.cli; print(sorted({'app.main', 'app.resources', 'alembic'} & sys.modules.keys()))"


def test_commands_do_not_load_the_service_which_may_be_elsewhere() -> None:
    arguments = [sys.executable, "-c", _LOADED]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)  # noqa: S603 - our own Python
    assert done.stdout.strip() == "[]"
