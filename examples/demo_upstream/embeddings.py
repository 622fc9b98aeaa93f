"""OpenAI's embeddings."""

import base64
import hashlib
import struct

from examples.demo_upstream.exchange import Exchange, Json
from examples.demo_upstream.text import count_tokens, prompts

_DIMENSIONS = 8


class EmbeddingsExchange(Exchange):
    """One call of OpenAI's embeddings.

    A vector is made from the hash of its text, so equal texts have equal vectors.
    """

    can_stream = False

    def count_input(self) -> int:
        return count_tokens(self._texts)

    @property
    def _texts(self) -> list[str]:
        return prompts(self.request.get("input", ""))

    def whole(self) -> Json:
        return {
            "object": "list",
            "model": self.model,
            "data": [
                {"object": "embedding", "index": index, "embedding": self._embedding(text)}
                for index, text in enumerate(self._texts)
            ],
            "usage": {"prompt_tokens": self.input_count, "total_tokens": self.input_count},
        }

    def _embedding(self, text: str) -> str | list[float]:
        vector = [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:_DIMENSIONS]]
        if self.request.get("encoding_format") != "base64":
            return vector
        return base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode()
