"""The one statement of the hot path, as it is called."""

_ARGUMENTS = 4 + 30 + 1 + 3 + 5 + 5

RECORD_CALL = f"select * from usage_record({', '.join(f'${n}' for n in range(1, _ARGUMENTS + 1))})"
