"""`cnnspec schema`: the JSON Schema of the spec language."""

from __future__ import annotations

from cnnspec.commands.common import DebugFlag, ForceFlag, JsonFlag, OutOption, answer, say, write_new


def schema(output: OutOption = None, force: ForceFlag = False, json: JsonFlag = False, debug: DebugFlag = False) -> int:
    from json import dumps

    from cnnspec.schema import spec_schema

    document = spec_schema()
    text = dumps(document, indent=2)
    if output is not None:
        write_new(output, f"{text}\n", force=force)
        say(f"wrote {output}")
        text = ""
    return answer("schema", json=json, data=document if output is None else {"file": str(output)}, text=text)
