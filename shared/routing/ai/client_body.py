"""The content of the body of a request to a model, as the client sent it and as plugins left it."""

from typing import Final

from shared.bodies.body import DecodedBody, document_with_model, has_plain_json, plain_document_with_model
from shared.bodies.json.lenient import json_or_none
from shared.bodies.json.members import Span
from shared.bodies.multipart import FormPart, form_field
from shared.bodies.text.whole_body import MAX_PARTS
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.messages import Headers, Request
from shared.routing.ai_exchange import AiExchange

_MODEL_PART: Final = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'


def read_model(exchange: AiExchange, request: Request) -> str:
    """Keep what the body of a request says, and return the model that it names.

    Raises `BodyRejected`, and UnicodeDecodeError for the field of a form.
    """
    if has_plain_json(request.headers):
        document = plain_document_with_model(request.body)
    else:
        request = _decoded(request)
        if field := _model_field(request):
            exchange.form_model = Span(field.start, field.start + len(field.content))
            return field.content.decode()
        document = document_with_model(request)
    exchange.document, exchange.body = document, request.body or b""
    name = document["model"] if type(document) is dict and "model" in document else None
    return name if type(name) is str else ""


def _decoded(request: Request) -> Request:
    """The request without the content coding of its body. Raises `BodyRejected`."""
    if not request.body or "content-encoding" not in request.headers:
        return request
    headers = Headers([one for one in request.headers if one[0].lower() != "content-encoding"])
    body = DecodedBody.of(request.headers, request.body).content
    return request._replace(headers=headers, body=body)


def take_body(exchange: AiExchange, request: Request) -> None:
    """Keep the body as plugins left it, decoded, with the place of the model in a form.

    Raises `BodyRejected` on a body in which the model cannot be replaced.
    """
    is_changed = exchange.request is None or request.body != exchange.request.body
    sent = _decoded(request)
    exchange.body = sent.body or b""
    if MediaType.of(sent.headers).is_multipart:
        if is_changed or exchange.form_model is None:
            _find_model(exchange, sent)
        return
    exchange.form_model = None
    if is_changed:
        exchange.document = json_or_none(exchange.body)
    if exchange.body and not isinstance(exchange.document, dict):
        raise BodyRejected("invalid_json", "The body must be a JSON object, or a form with the field model.")


def _find_model(exchange: AiExchange, sent: Request) -> None:
    """Find the model in a form. One that has none gets an empty field at its beginning."""
    if field := _model_field(sent):
        exchange.form_model = Span(field.start, field.start + len(field.content))
    elif exchange.body:
        begin = exchange.body.partition(b"\r\n")[0] + _MODEL_PART
        exchange.body = begin + b"\r\n" + exchange.body
        exchange.form_model = Span(len(begin), len(begin))


def _model_field(request: Request) -> FormPart | None:
    """The field ``model`` of a form, as for transcriptions. None for another body. Raises `BodyRejected`."""
    kind = MediaType.of(request.headers)
    if not kind.is_multipart or request.body is None:
        return None
    return form_field(kind, request.body, "model", most=MAX_PARTS)
