"""The command line: one file a command, registered in `cli`. Nothing imports this package.

Modules here import only what a help text needs; a command imports its heavy parts when it runs,
so that `latchline --help` answers at once.
"""
