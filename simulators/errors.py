"""Everything that `simulators` raises on purpose.

SimulatorError
├── TargetError          the deployment described does not fit (a missing field, a wrong value)
├── ProvisioningError    IoT refused, or a key folder cannot be used
├── FleetError           devices cannot connect, or a fleet of that size makes no sense
├── ScenarioError        a scenario is not there or says what cannot be (names file, key, value)
├── ScriptError          a recorded script is not what it should be (names file:line)
├── GroundTruthError     a recorded file is not what it should be (names file:line)
└── ViewerError          the subscription or the snapshot cannot be had
"""


class SimulatorError(Exception):
    """A message for people: what was wrong, with which value, and what to do."""


class TargetError(SimulatorError):
    pass


class ProvisioningError(SimulatorError):
    pass


class FleetError(SimulatorError):
    pass


class ScenarioError(SimulatorError):
    pass


class ScriptError(SimulatorError):
    pass


class GroundTruthError(SimulatorError):
    pass


class ViewerError(SimulatorError):
    pass
