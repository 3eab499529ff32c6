"""Commands on files that strangers made: what is given to them, and what they may do; `tests/reliability/test_fuzz.py`
says how much of it."""
