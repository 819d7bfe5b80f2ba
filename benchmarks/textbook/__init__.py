"""The designs that `benchmarks.comparison` measures Latchline against: what the documentation says.

Two functions as one writes them from the documentation of Lambda, of Powertools and of AppSync, one
utility for each concern, with what it recommends for speed: clients made once, connections kept,
settings read at cold start. They stand alone, as they would be deployed: nothing of ours in them.
"""
