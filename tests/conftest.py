"""For all suites: no example of hypothesis has a deadline, because the machine may be busy."""

from hypothesis import settings

settings.register_profile("latchline", deadline=None)
settings.load_profile("latchline")
