"""What can go wrong before CloudFormation sees a template."""


class InfraError(Exception):
    """Base of the family; the message says what was wrong and what to do."""


class DeploymentError(InfraError):
    """The context asks for a deployment that does not exist."""


class LayerError(InfraError):
    """A function's layer is missing, out of date, or could not be built."""


class ResolverError(InfraError):
    """A resolver's source cannot be assembled."""
