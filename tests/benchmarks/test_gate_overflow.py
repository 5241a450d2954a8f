"""What docs/reliability.md says of the gate in mixed precision."""

import gate_overflow
import pytest


@pytest.mark.parametrize(("scale", "overflows"), ((16.0, False), (1024.0, True)))
def test_only_float16_overflows_and_a_gate_in_float32_does_not_help(
    scale: float, overflows: bool
) -> None:
    row = gate_overflow.measure(scale)
    assert (row.largest_product > 65504) is overflows
    fits = not overflows
    assert row.finite == {
        "float16": (fits, fits),
        "float16, gate in float32": (True, fits),
        "bfloat16": (True, True),
        "float32": (True, True),
    }
