"""How a process waits for the signal that ends it."""

from threading import Event

#: Seconds after which a waiting main thread wakes to see whether a signal came.
LOOKS_AGAIN = 1.0


def wait_for(stop: Event) -> None:
    """Block until `stop` is set, by a signal handler too.

    Python runs handlers in the main thread alone, and a signal that the system gives to another thread, or just before
    the main thread sleeps, does not wake it: without the looks in between such a process would never end.
    """
    while not stop.wait(LOOKS_AGAIN):
        pass
