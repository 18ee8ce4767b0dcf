"""What tests of the predictor teach it, and what it then thinks best."""

import json

from langgraph_speculate.core import Call, History
from langgraph_speculate.predict import default_predictor


def history_of(*steps):
    """A history from user texts (`str`), texts of the model (`[text]`) and calls (`(name, args, result)`).

    Results other than text are JSON.
    """
    sent = []
    for number, step in enumerate(steps):
        if isinstance(step, str | list):
            role, text = ("user", step) if isinstance(step, str) else ("assistant", step[0])
            sent.append({"role": role, "content": text})
            continue
        name, args, result = step
        sent.append({"role": "assistant", "tool_calls": [{"id": str(number), "name": name, "args": args}]})
        text = result if isinstance(result, str) else json.dumps(result)
        sent.append({"role": "tool", "tool_call_id": str(number), "content": text})
    return History.from_messages(sent)


def taught(lessons):
    """A predictor that saw each (history, call) once."""
    predictor = default_predictor()
    for history, call in lessons:
        predictor.learn(history, [call] if isinstance(call, Call) else call)
    return predictor


def best(predictor, history):
    candidate = predictor.predict(history, k=1)[0]
    return candidate.call.name, dict(candidate.call.args)
