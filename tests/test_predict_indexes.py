"""What a result holds is looked up once, and goes with it."""

from __future__ import annotations

import gc
import tracemalloc

from langgraph_speculate.core import Call
from langgraph_speculate.core.history import PastCall
from langgraph_speculate.predict.indexes import result_index

CROWD = 5_000


def test_a_result_is_indexed_once():
    """
    However many turns look at a result, it is taken apart once.
    """
    call = PastCall(Call("get_order", {"id": 7}), "c1", '{"items": [{"sku": "A-1"}]}', "success", 0)
    index = result_index(call)
    assert index.places == {"A-1": (".items.*.sku",)}
    assert result_index(call) is index


def test_nothing_is_left_of_results_that_are_gone():
    """
    After a crowd of runs, what knew their results takes no more room than before: no table stays as large as it was.
    """
    result_index(PastCall(Call("get_order"), "first", '{"id": 7}', "success", 0))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        crowd = [PastCall(Call("get_order"), f"c{number}", '{"id": 7}', "success", 0) for number in range(CROWD)]
        for call in crowd:
            result_index(call)
        del crowd, call
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before > 100 * CROWD  # there was something
    assert after - before < 10 * CROWD
