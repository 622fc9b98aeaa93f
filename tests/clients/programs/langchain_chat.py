"""LangChain with OpenAI's and Anthropic's models: chat, stream, a tool, embeddings. Prints one document."""

import json
import os
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


def seen(model: BaseChatModel) -> dict[str, Any]:
    chat = model.invoke("Hello!")
    call = model.bind_tools([weather]).invoke("How is the weather?").tool_calls[0]
    pieces = [piece.text for piece in model.stream("Hello!")]
    return {
        "chat": chat.text,
        "tokens": chat.usage_metadata["output_tokens"],
        "stream": "".join(pieces),
        "tool": [call["name"], call["args"]],
    }


embeddings = OpenAIEmbeddings(
    model="gpt-demo", base_url=URL + "/v1", api_key=KEY, check_embedding_ctx_length=False
)
document = {
    "openai": seen(ChatOpenAI(model="gpt-demo", base_url=URL + "/v1", api_key=KEY, max_retries=0)),
    "anthropic": seen(ChatAnthropic(model="claude-demo", base_url=URL, api_key=KEY, max_retries=0)),
    "embedding": len(embeddings.embed_query("Hello!")),
}
print(json.dumps(document))
