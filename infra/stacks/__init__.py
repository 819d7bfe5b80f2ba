"""One file a stack; `infra.app` builds them in the order of deployment."""
