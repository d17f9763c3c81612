"""Imported last by a process that others are forked from: what it has loaded is never garbage.

Without it each of them looks through all of that, a third of a second where torch is loaded, and by touching it copies
the pages that they share (Python's `gc.freeze`).
"""

import gc

gc.freeze()
