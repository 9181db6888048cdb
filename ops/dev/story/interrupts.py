"""Ctrl-C that can't get lost. Python forgets an exception raised in a finalizer or in what a fork calls ("Exception ignored
in"), and the story forks often: KeyboardInterrupt is raised again until it has been heard."""

import contextlib
import signal

AGAIN_S = 0.5


@contextlib.contextmanager
def heard_interrupts():
    """Leaving it, by KeyboardInterrupt or otherwise, ends the repetition. For the main thread; takes SIGALRM."""
    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
