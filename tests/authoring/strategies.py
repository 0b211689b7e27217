"""JSON values as the world sends them, with what can't be stored among them."""

from __future__ import annotations

from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=8)
ODD_TEXT = st.sampled_from(["\0", "a\0b", "\ud800", "\udc00x", "\\u0000", "\\", '"', "null", "[{", "שלום", "🎉", "NaN"])
TEXT = ANY_TEXT | ODD_TEXT
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 10**4299, 0.1, -0.0, 1e308])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
