"""The simulated fleet: lockers over real MQTT, traffic, faults, ground truth, a viewer, a verdict.

Sources of truth are elsewhere: what goes over the wire is `pipeline.contract`, what a tile becomes
is `pipeline.merge`. Nothing here knows the command line; `session.Session` is the way in for it,
for tests and for benchmarks.
"""
