"""Writes `schema.json`, the JSON Schema of a record.

Run `python -m tfeff.record.make_schema` after a change of the types.
"""

import json
from pathlib import Path

from tfeff.record import json_schema

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def text() -> str:
    """What the file holds."""
    return json.dumps(json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(text(), encoding="utf-8")
    print(f"{SCHEMA_FILE}: written")
