"""What every request that is refused is answered with."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType


class ErrorDetail(Struct, frozen=True):
    message: Annotated[str, Meta(description="What is wrong here, and the remedy.")]
    type: str
    traceback: Annotated[str, Meta(description="Where the operator has switched debugging on.")] | UnsetType = UNSET


class Error(Struct, frozen=True):
    code: Annotated[int, Meta(description="The HTTP status.")]
    title: str
    explanation: Annotated[str, Meta(description="What the status means.")]
    error: ErrorDetail


class VersionError(Error, frozen=True):
    min_version: str
    max_version: str
