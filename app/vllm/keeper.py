"""Stands between drpo and a program that must not outlive it; run as a program of its own.

``keeper.py SECONDS PROGRAM ARGUMENT...`` starts the program in a process group and waits. When standard input
ends, because drpo wants it to or has been killed, the program is asked to stop and, SECONDS later, its whole
group is killed. The exit status is the program's, or 128 and the number of the signal that ended it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Keep the program that ``arguments`` name; its exit status."""
    patience, program = float(arguments[0]), arguments[1:]
    child = subprocess.Popen(  # noqa: S603
        program,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_keeper,  # noqa: PLW1509 - there is no other thread yet
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_end_with_input, args=(child, patience), daemon=True).start()
    status = child.wait()
    _kill_group(child)  # what it has started, such as an engine that holds a GPU's memory
    return status if status >= 0 else 128 - status


def _end_with_keeper() -> None:
    """Where the keeper itself is killed, Linux kills the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_input(child: "subprocess.Popen[bytes]", patience: float) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(patience)
    _kill_group(child)


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
