"""Latchline against the textbook designs, in one run: `make bench`.

Each design runs in a process of its own, as a function in its container; both are handed the same
events in turn, on the same emulator.
"""
