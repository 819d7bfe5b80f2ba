"""How long from door to tile, and where the time goes: a measured run, hop by hop.

Reads what a run recorded (ground truth and subscription, see `simulators`), so that a figure can be
checked again later and by others.
"""
