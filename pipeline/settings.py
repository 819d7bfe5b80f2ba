"""Settings of the two functions, read from the environment once, at cold start."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import PipelineError


class SettingsError(PipelineError):
    """The environment lacks a variable or has an impossible value; names both."""


_Url = Annotated[str, Field(pattern=r"^https?://[^/]+/.+")]


class _Settings(BaseModel):
    """A field is the environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Raise SettingsError with every variable that is missing or wrong."""
        found = {
            name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ
        }
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            faults = (
                f"{str(fault['loc'][0]).upper()}={found.get(str(fault['loc'][0]), '(unset)')}: "
                f"{fault['msg']}"
                for fault in error.errors()
            )
            raise SettingsError("; ".join(faults)) from None


class ProjectorSettings(_Settings):
    table_name: Annotated[str, Field(min_length=3)]
    quarantine_queue_url: _Url
    history_days: Annotated[int, Field(ge=1, le=3650)] = 90


class FanoutSettings(_Settings):
    graphql_url: _Url
    fanout_dlq_url: _Url
    aws_region: str
