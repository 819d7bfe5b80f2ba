"""What can go wrong with the laptop stack. Every message is for the person at the terminal."""


class LocalStackError(Exception):
    """Base of the family: what was wrong, with which value, and what to do."""


class PortTakenError(LocalStackError):
    """A port that was asked for is in use."""


class EmulatorError(LocalStackError):
    """MiniStack did not start, or ended on its own."""


class SynthesisError(LocalStackError):
    """The CDK app could not be synthesized."""


class PageError(LocalStackError):
    """The dashboard could not be built."""


class DeploymentError(LocalStackError):
    """CloudFormation refused a template, or a template needs what the emulator lacks."""


class AdapterError(LocalStackError):
    """An adapter cannot go on; the stack ends with it."""


class NotReadyError(LocalStackError):
    """Everything runs, but the first event did not make the whole trip."""
