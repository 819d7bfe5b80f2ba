"""Faults on purpose in a laptop stack, for the chaos suite. Off unless asked for (`up --faults`).

`plan` says which faults there are and which are wanted now, `outcomes` what became of each,
`calls` reads requests and makes AWS's answers, `injector` works in MiniStack's process, `switch` is
how a test turns faults on and off and reads what happened.
"""
