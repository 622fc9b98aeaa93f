"""LangChain with OpenAI's and Anthropic's models: chat, stream, a tool, embeddings. Prints one document.

Each client calls a model of its own API, and one whose provider speaks the other.
"""

import json
import os
from functools import reduce
from operator import add
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


def seen(model: BaseChatModel) -> dict[str, Any]:
    chat = model.invoke("Hello!")
    with_tool = model.bind_tools([weather])
    asked = with_tool.invoke("How is the weather?")
    call = asked.tool_calls[0]
    streamed = reduce(add, with_tool.stream("How is the weather?")).tool_calls[0]
    turns: list[BaseMessage | str] = [
        "How is the weather?",
        asked,
        ToolMessage("Sun", tool_call_id=call["id"]),
    ]
    pieces = [piece.text for piece in model.stream("Hello!")]
    return {
        "chat": chat.text,
        "tokens": chat.usage_metadata["output_tokens"],
        "stream": "".join(pieces),
        "tool": [call["name"], call["args"]],
        "streamed_tool": [streamed["name"], streamed["args"]],
        "result": model.invoke(turns).text.startswith("You said: "),
    }


def openai(model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=URL + "/v1", api_key=KEY, max_retries=0)


def anthropic(model: str) -> ChatAnthropic:
    return ChatAnthropic(model=model, base_url=URL, api_key=KEY, max_retries=0)


embeddings = OpenAIEmbeddings(
    model="gpt-demo", base_url=URL + "/v1", api_key=KEY, check_embedding_ctx_length=False
)
document = {
    "openai": seen(openai("gpt-demo")),
    "anthropic": seen(anthropic("claude-demo")),
    "openai_translated": seen(openai("claude-demo")),
    "anthropic_translated": seen(anthropic("gpt-demo")),
    "embedding": len(embeddings.embed_query("Hello!")),
}
print(json.dumps(document))
