"""Schemas that run code of their owners look at guesses off the record; all others need not."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from langgraph_speculate.host.schemas import runs_code


@tool
def look_up(
    id: int,
    names: list[str] | None = None,
    where: dict[str, Any] = {},  # noqa: B006 - a tool's default
    kind: Literal["a", "b"] = "a",
    since: datetime.date | None = None,
    price: decimal.Decimal | None = None,
    key: uuid.UUID | None = None,
) -> str:
    "Look something up."
    return ""


class Plain(BaseModel):
    model_config = ConfigDict(extra="forbid")
    query: str = Field(min_length=1, max_length=200, description="What to look for.")


class Nested(BaseModel):
    inner: Plain
    many: list[Plain] = []


class Written(BaseModel):
    query: Annotated[str, PlainSerializer(str.upper)]


def _of(schema: Any) -> BaseTool:
    return StructuredTool(name="find", description="Find.", args_schema=schema, func=print)


PLAIN = {
    "a function": look_up,
    "fields": _of(Plain),
    "models in models": _of(Nested),
    "a serializer, which reads nothing": _of(Written),
    "a JSON schema": _of({"type": "object", "properties": {"query": {"type": "string"}}}),
}


class Validated(Plain):
    @field_validator("query")
    @classmethod
    def check(cls, value: str) -> str:
        return value


class Whole(Plain):
    @model_validator(mode="before")
    @classmethod
    def check(cls, values: Any) -> Any:
        return values


class Annotations(BaseModel):
    query: Annotated[str, AfterValidator(str.strip)]


class Made(BaseModel):
    number: int = Field(default_factory=iter(range(9)).__next__)


class Finished(Plain):
    def model_post_init(self, context: Any, /) -> None:
        """Look at it."""


class Constructed(BaseModel):
    query: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Reader(Plain):
    @classmethod
    def model_validate(cls, *args: Any, **kwargs: Any) -> Any:
        return super().model_validate(*args, **kwargs)


class Around(BaseModel):
    inner: Validated


class Kind(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.A


class Chosen(BaseModel):
    kind: Kind


class Odd:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(lambda value: Odd())


class Custom(BaseModel):
    odd: Odd


class Copied(BaseModel):
    where: list[Any] = [object()]


class OwnTool(BaseTool):
    name: str = "own"
    description: str = "Has a class of its own."
    args_schema: Any = Plain

    def _run(self, query: str) -> str:
        return query


CODE = {
    kind.__name__: _of(kind)
    for kind in (Validated, Whole, Annotations, Made, Finished, Constructed, Reader, Around, Chosen, Custom, Copied)
} | {"OwnTool": OwnTool()}


@pytest.mark.parametrize("which", PLAIN)
def test_schemas_that_pydantic_reads_alone_run_no_code(which: str) -> None:
    """
    Types, bounds and plain defaults are nobody's code.
    """
    assert not runs_code(PLAIN[which])


@pytest.mark.parametrize("which", CODE)
def test_whatever_may_call_somebody_is_code(which: str) -> None:
    """
    Validators, factories, constructors, classes of one's own: also where they are deep inside.
    """
    assert runs_code(CODE[which])
