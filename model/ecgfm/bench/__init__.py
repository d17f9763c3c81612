"""How fast and how exact this package is on this machine, and why: runtimes, devices and training steps, measured."""
