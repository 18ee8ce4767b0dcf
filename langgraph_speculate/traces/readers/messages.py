"""Messages of any dialect as neutral events.

Knows the chat and the response items of OpenAI, Anthropic's blocks, the parts of OpenTelemetry's GenAI conventions,
LangChain's messages (as objects, and as `messages_to_dict`, `dumpd` and `model_dump` write them) and bare neutral
events. Nothing is constructed from what is read: a dump that names a class only lends its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from langgraph_speculate.traces.lines import Limits, parsed
from langgraph_speculate.traces.skips import Malformed

Event = dict[str, Any]
"""One neutral event: a dict with `role`, `content`, and `tool_calls` or `tool_call_id`."""

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("ai", "assistant", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
_CLASSES = {"Human": "user", "AI": "assistant", "System": "system", "Tool": "tool", "Function": "tool"}
_CLASS = re.compile(r"([A-Za-z]+)Message(?:Chunk)?")
_ITEMS = ("function_call", "function_call_output", "reasoning")
_USUAL = Limits()
_JSON_BEGINS = ("{", "[", '"')
_CALL_PARTS = ("tool_call", "tool_use")
_ANSWER_PARTS = ("tool_call_response", "tool_result")


def events_of(messages: Iterable[Any]) -> list[Event]:
    """Return the neutral events of a conversation, oldest first.

    Args:
        messages: Of one dialect or of several. Calls whose arguments are no JSON object are left out, as the agent that
            made them did not run them either.

    Raises:
        Malformed: One of them is no message.

    >>> asked = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": 7}'}}
    >>> events = events_of([{"role": "assistant", "content": None, "tool_calls": [asked]}])
    >>> events[0]["tool_calls"]
    [{'id': 'c1', 'name': 'get_order', 'args': {'id': 7}}]
    """
    events: list[Event] = []
    for message in messages:
        for event in _events(message):
            if _continues(event, events):
                events[-1]["tool_calls"].extend(event["tool_calls"])
            else:
                events.append(event)
    for event in events:
        event.pop("item", None)
    return events


def listed(messages: Any) -> list[Any]:
    """The messages of a model call; None are none.

    Raises:
        Malformed: They are no list.
    """
    if messages is None:
        return []
    if not isinstance(messages, list):
        raise Malformed("messages of a model call are no list")
    return messages


def answer_of(result: Any) -> Event | None:
    """The message that a tool's result is, or that it has as its `output`; None if there is none.

    Raises:
        Malformed: It answers several calls.

    >>> answer_of({"output": {"type": "tool", "tool_call_id": "c1", "content": "sent"}})
    {'role': 'tool', 'tool_call_id': 'c1', 'content': 'sent'}
    """
    made = result.get("output") if isinstance(result, Mapping) else None
    message = made if role_of(made) == "tool" else result
    if role_of(message) != "tool":
        return None
    answers = events_of([message])
    if len(answers) > 1:
        raise Malformed("result of a tool with several answers")
    return answers[0]


def role_of(message: Any) -> str | None:
    """The neutral role of a message, or None if it is none."""
    plain = _plain(message)
    return _role(plain) if isinstance(plain, Mapping) else None


def text(value: Any) -> str:
    """A tool's result as the text that the model saw; what is no text is written as JSON.

    >>> text({"status": "sent"}), text("sent"), text(None)
    ('{"status":"sent"}', 'sent', '')
    """
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return str(value)


def arguments(value: Any) -> dict[str, Any] | None:
    """The arguments of a call: an object, or the text of one; None if it is neither.

    >>> arguments('{"id": 7}'), arguments(""), arguments("7")
    ({'id': 7}, {}, None)
    """
    if isinstance(value, str):
        if not value.strip():
            return {}  # some write no arguments as an empty text
        value = unpacked(value)
    return dict(value) if isinstance(value, Mapping) else None


def unpacked(value: Any) -> Any:
    """What a text holds that is JSON; anything else as it is. Many exports write objects as texts.

    Raises:
        Malformed: It is nested too deeply, or holds more than a line may.

    >>> unpacked('{"id": 7}'), unpacked("{sent}"), unpacked(7)
    ({'id': 7}, '{sent}', 7)
    """
    if isinstance(value, str) and value.lstrip()[:1] in _JSON_BEGINS:
        try:
            return parsed(value.encode("utf-8", "surrogatepass"), _USUAL)
        except Malformed as problem:
            if problem.reason in ("no JSON", "no UTF-8"):
                return value
            raise
    return value


def _events(message: Any) -> list[Event]:
    plain = _plain(message)
    if not isinstance(plain, Mapping):
        raise Malformed("message is no object")
    if plain.get("type") in _ITEMS and "role" not in plain:
        return _of_item(plain)
    role = _role(plain)
    if role is None:
        raise Malformed("message with an unknown role")
    content = plain.get("content")
    parts = plain.get("parts") if "parts" in plain else content
    said = _said(parts)
    answers = _answers(parts)
    if answers:  # Anthropic and OpenTelemetry put answers into a message of the user or of the tool
        return [*answers, *([{"role": role, "content": said}] if said and role == "user" else [])]
    times = {name: plain[name] for name in ("t", "duration_s") if isinstance(plain.get(name), int | float)}
    if role == "assistant":
        counted = plain.get("usage_metadata")
        usage = {"usage_metadata": dict(counted)} if isinstance(counted, Mapping) else {}
        return [{"role": role, "content": said, "tool_calls": _calls(plain, parts), **usage, **times}]
    if role == "tool":
        call = plain.get("tool_call_id") or plain.get("name")
        named = {"name": plain["name"]} if isinstance(plain.get("name"), str) else {}
        status = {"status": "error"} if plain.get("status") == "error" else {}
        answer = {"role": role, "tool_call_id": str(call or ""), "content": said or text(content)}
        return [answer | named | status | times]
    return [{"role": role, "content": said, **times}]


def _plain(message: Any) -> Any:
    """A message as a flat mapping with `role` or `type`."""
    if isinstance(message, Mapping):
        if "lc" in message and isinstance(message.get("kwargs"), Mapping):
            path = message.get("id")
            kind = str(path[-1]) if isinstance(path, list) and path else ""
            return {**message["kwargs"], "type": kind if _CLASS.fullmatch(kind) else ""}
        if isinstance(message.get("data"), Mapping) and _role_named(message.get("type")):
            return {**message["data"], "type": message["type"]}
        return message
    if isinstance(message, list | tuple) and len(message) == 2 and _role_named(message[0]):
        return {"role": message[0], "content": message[1]}
    fields = ("type", "content", "tool_calls", "tool_call_id", "name", "status", "usage_metadata", "additional_kwargs")
    return {name: getattr(message, name, None) for name in fields} if getattr(message, "type", None) else None


def _role(message: Mapping[str, Any]) -> str | None:
    # Messages have a type, dicts a role; either may have the other too, meaning something else.
    return _role_named(message.get("role")) or _role_named(message.get("type"))


def _role_named(name: Any) -> str | None:
    """The neutral role that a role, a type or the name of a class stands for."""
    if not isinstance(name, str):
        return None
    found = _CLASS.fullmatch(name)
    return _CLASSES.get(found[1]) if found else _ROLES.get(name)


def _of_item(item: Mapping[str, Any]) -> list[Event]:
    """What OpenAI's responses hold besides messages."""
    if item["type"] == "function_call_output":
        return [{"role": "tool", "tool_call_id": str(item.get("call_id") or ""), "content": text(item.get("output"))}]
    if item["type"] == "reasoning":
        return []
    call = _call(item.get("call_id") or item.get("id"), item.get("name"), item.get("arguments"))
    return [{"role": "assistant", "content": "", "tool_calls": call, "item": True}]


def _continues(event: Event, events: Sequence[Event]) -> bool:
    """Whether an item of a response belongs to the message before it."""
    return bool(event.get("item") and events and events[-1]["role"] == "assistant")


def _said(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    found = []
    for part in content:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Mapping) and part.get("type") not in (*_CALL_PARTS, *_ANSWER_PARTS, "reasoning"):
            said = part.get("text") if "text" in part else part.get("content")
            found += [said] if isinstance(said, str) else []
    return "\n".join(found)


def _answers(parts: Any) -> list[Event]:
    return [
        {
            "role": "tool",
            "tool_call_id": str(part.get("id") or part.get("tool_use_id") or ""),
            "content": _answer_text(part),
            **({"status": "error"} if part.get("is_error") is True else {}),
        }
        for part in (parts if isinstance(parts, list | tuple) else ())
        if isinstance(part, Mapping) and part.get("type") in _ANSWER_PARTS
    ]


def _answer_text(part: Mapping[str, Any]) -> str:
    for name in ("response", "result", "content"):
        if name in part:
            return _said(part[name]) or text(part[name])
    return ""


def _calls(message: Mapping[str, Any], parts: Any) -> list[dict[str, Any]]:
    more = message.get("additional_kwargs")
    given = [message, *([more] if isinstance(more, Mapping) else [])]
    listed = next((found for one in given if (found := one.get("tool_calls"))), None)
    legacy = next((found for one in given if isinstance(found := one.get("function_call"), Mapping)), None)
    if isinstance(listed, list | tuple) and listed:
        found = [_call_of(raw) for raw in listed if isinstance(raw, Mapping)]
    elif legacy is not None:  # OpenAI's way before `tool_calls`: one call, answered by the function's name
        found = [_call_of(legacy)]
    else:
        inside = parts if isinstance(parts, list | tuple) else ()
        found = [_call_of(part) for part in inside if isinstance(part, Mapping) and part.get("type") in _CALL_PARTS]
    return [call for calls in found for call in calls]


def _call_of(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    function = raw.get("function")
    inner = function if isinstance(function, Mapping) else raw
    given = next((inner[name] for name in ("args", "arguments", "input") if name in inner), None)
    return _call(raw.get("id") or raw.get("call_id"), inner.get("name"), {} if given is None else given)


def _call(id: Any, name: Any, given: Any) -> list[dict[str, Any]]:
    """One call, or nothing if it could not have been run."""
    args = arguments(given)
    if args is None or not isinstance(name, str) or not name:
        return []
    return [{"id": str(id or name), "name": name, "args": args}]
