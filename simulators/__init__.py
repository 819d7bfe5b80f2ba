"""The simulated fleet: lockers over real MQTT, couriers and residents, ground truth, a viewer.

Sources of truth are elsewhere: what goes over the wire is `pipeline.contract`, what a tile becomes
is `pipeline.merge`. Nothing here knows the command line; `session.Session` is the way in for it,
for tests and for benchmarks.
"""
