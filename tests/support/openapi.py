"""An OpenAPI document as a caller reads it: every operation, and what it takes at the least."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

Ids = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be made."""

    method: str
    path: str
    body: bytes | None
    content_type: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document."""

    method: str
    path: str
    spec: dict[str, Any]
    document: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scopes(self) -> list[str]:
        """What a key needs, as the document says."""
        return [scope for way in self.spec.get("security", ()) for scopes in way.values() for scope in scopes]

    @property
    def names_something(self) -> bool:
        """Whether the path says of what it is."""
        return "{" in self.path

    def requests(self, value_of: Ids) -> Iterator[Request]:
        """A request for each media type of the body, with the values of somebody's in every place for an id.

        value_of: gives the value for a name such as `broadcast_id`; what it does not know, it raises.
        """
        path, query = self.path, {}
        for parameter in self.spec.get("parameters", ()):
            name, place = parameter["name"], parameter["in"]
            if place == "path":
                path = path.replace(f"{{{name}}}", str(value_of(name)))
            elif place == "query" and (parameter.get("required") or name.endswith("_id")):
                query[name] = value_of(name) if name.endswith("_id") or name == "phone" else self._least(parameter)
        url = f"{path}?{urlencode(query)}" if query else path
        contents = self.spec.get("requestBody", {}).get("content", {})
        for content_type, media in contents.items():
            yield Request(self.method, url, self._body(content_type, media, value_of), content_type)
        if not contents:
            yield Request(self.method, url, None, "application/json")

    def _body(self, content_type: str, media: dict[str, Any], value_of: Ids) -> bytes:
        example = media.get("example")
        if example is None:
            example = self._least(media)
        if isinstance(example, str) and content_type != "application/json":
            return example.encode()
        schema = self._resolved(media["schema"])
        for name, field in schema.get("properties", {}).items():
            if name.endswith("_id") and "integer" in json.dumps(field) and isinstance(example, dict):
                example = {**example, name: value_of(name)}
        return json.dumps(example).encode()

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for kind in ("anyOf", "oneOf", "allOf"):
            if kind in schema:
                schema = next(one for one in schema[kind] if one.get("type") != "null")
        if "$ref" in schema:
            return self._resolved(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        return schema

    def _least(self, described: dict[str, Any]) -> Any:
        """The smallest value that fits, or the example that is given."""
        schema = self._resolved(described.get("schema", described))
        for holder in (described, schema):
            if "example" in holder:
                return holder["example"]
            if holder.get("examples"):
                return holder["examples"][0]
        if "enum" in schema:
            return schema["enum"][0]
        return self._of_type(schema)

    def _of_type(self, schema: dict[str, Any]) -> Any:
        kind = schema.get("type")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                fields = schema.get("properties", {})
                return {name: self._least(fields[name]) for name in schema.get("required", ())}
            case "array":
                return [self._least(schema["items"])] * schema.get("minItems", 0)
            case "string":
                return "x" * max(1, schema.get("minLength", 1))
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
        raise AssertionError(f"give an example for {schema}")


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every operation of a document; those that end something come last."""
    found = [
        Operation(method.upper(), path, spec, document)
        for path, methods in document["paths"].items()
        for method, spec in methods.items()
    ]
    return sorted(found, key=lambda operation: operation.method == "DELETE")
