"""Waiting for a condition: never a bare sleep, never for a process that is dead."""

import time

from . import PATIENCE


def wait_until(condition, what, timeout_s=30, alive=(), poll_s=0.02):
    """Calls condition() until it gives something true, and returns that.

    `alive`: processes without which waiting is pointless. An exception of condition() that is an OSError (a refused
    connection) or an AssertionError counts as "not yet"; the last one is told when the time is up.
    """
    deadline = time.monotonic() + timeout_s * PATIENCE
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last value: {value!r}"
        except (OSError, AssertionError) as error:
            last = f"last error: {error}"
        for process in alive:
            process.assert_alive()
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s * PATIENCE} s for {what}; {last}")
        time.sleep(poll_s)
