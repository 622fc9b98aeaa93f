"""Which model a request asks for."""

from shared.bodies.body import OpenedBody
from shared.bodies.json.parse import BOUNDS, JsonBounds
from shared.model.messages import Request


def model_of(request: Request, bounds: JsonBounds = BOUNDS) -> str:
    """The member ``model`` of the JSON body; empty when the body is no JSON object or names none.

    Raises `BodyRejected` on a body that the upstream could read as another one: with a key that stands
    twice, in an unknown coding, longer than a decoded body may be.
    """
    if not request.body:
        return ""
    document = OpenedBody.open(request.headers, request.body).document(demanded=False, bounds=bounds)
    name = document.get("model") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""
