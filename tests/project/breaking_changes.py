"""Compares two OpenAPI descriptions: which changes break a client of the older one?

A client sends what the old description allows, and reads what it promises. It must accept a member,
an error code or a reason that it does not know (docs/api.md). So a new one breaks nothing.
"""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]


def breaking_changes(old: Node, new: Node) -> Iterator[str]:
    """Yield one line for each change that breaks a client of the old description."""
    before, after = (dict(_parts(_inlined(document, document))) for document in (old, new))
    gone = [place for place in before if place not in after]
    for place in gone:
        if not any(place.startswith(f"{other} ") for other in gone):
            yield f"{place}: is gone"
    for place, part in after.items():
        sent, is_new = " sends " in place, place.partition(" sends ")[0] not in before
        if place in before:
            yield from _compared(place, before[place], part, sent=sent)
        elif sent and part.get("required") and not is_new:
            yield f"{place}: is required"


def _inlined(node: Any, document: Node) -> Any:
    """The node with every reference replaced by its target."""
    if isinstance(node, list):
        return [_inlined(each, document) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _inlined(target, document)
    return {name: _inlined(value, document) for name, value in node.items()}


def _parts(document: Node) -> Iterator[tuple[str, Node]]:
    """Each operation, parameter, body, response and error, by its place, as a schema."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method.upper()} {path}"
            yield place, {"const": [operation["operationId"], operation.get("security")]}
            for each in operation.get("parameters", ()):
                required = [each["name"]] if each.get("required") else []
                members = {each["name"]: each["schema"]}
                yield f"{place} sends {each['name']}", {"properties": members, "required": required}
            for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
                yield f"{place} sends {kind}", content["schema"]
            for status, response in operation["responses"].items():
                if status < "400":
                    yield f"{place} {status}", {}
                    for kind, content in response.get("content", {}).items():
                        yield f"{place} {status} {kind}", content.get("schema", {})
    for name, schema in document["components"]["schemas"].items():
        if "allOf" in schema:
            yield name, schema["allOf"][-1]


def _compared(place: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
    for name in ("type", "const", "pattern" if sent else "format"):
        if old.get(name) != new.get(name):
            yield f"{place}: {name} was {old.get(name)}"
    yield from (f"{place}: no longer {each}" for each in _lost("enum", old, new))
    if sent:
        yield from (f"{place}: requires {each}" for each in _lost("required", new, old))
        if new.get("maxLength", old.get("maxLength", 0)) < old.get("maxLength", 0):
            yield f"{place}: takes less"
    else:
        yield from (f"{place}: may lack {each}" for each in _lost("required", old, new))
    for name, member in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            found = new["properties"][name]
            yield from _compared(f"{place}/{name}", member, found, sent=sent)
        else:
            yield f"{place}: {name} is gone"
    if "items" in old:
        yield from _compared(f"{place}[]", old["items"], new.get("items", {}), sent=sent)


def _lost(name: str, old: Node, new: Node) -> list[Any]:
    return [each for each in old.get(name, ()) if name not in new or each not in new[name]]
