"""The APIs of OpenAI, which many other servers speak, too (https://platform.openai.com/docs/api-reference)."""

from typing import Final

from shared.providers.apis.api import FILES, Api

_IDS: Final = ("Token ids as input are rejected: they cannot be read.",)
_STATE: Final = ("The content that `previous_response_id`, `conversation` and `prompt.id` name.",)

# A message: of the request, of the response, and in an event.
_MESSAGE: Final = "(request.messages[]|response.choices[].message|response.choices[].delta)"

CHAT: Final = Api(
    name="openai.chat",
    calls=("/chat/completions",),
    texts=(
        f"{_MESSAGE}.(content|content[].text|refusal|reasoning_content)",
        f"{_MESSAGE}.tool_calls[].function.(name|arguments)",
        "request.tools[].function.(name|description)",
        "response.choices[].(message|delta).audio.transcript",
    ),
    roles=(f"{_MESSAGE}.role",),
    labels=(
        "(request|response).(model|service_tier)",
        "request.(user|safety_identifier|prompt_cache_key|reasoning_effort|verbosity)",
        "response.(id|object|system_fingerprint)",
        "response.choices[].finish_reason",
        f"{_MESSAGE}.tool_call_id",
        "request.messages[].content[].image_url.detail",
        "request.messages[].content[].input_audio.format",
        "request.audio.(format|voice)",
        f"{_MESSAGE}.reasoning_details[].format",
    ),
    media=(
        "request.messages[].content[].(image_url|video_url|audio_url).url",
        "request.messages[].content[].(image_url|document_url|input_audio)",
        "request.messages[].content[].input_audio.data",
        "request.messages[].content[].file.file_data",
        f"{_MESSAGE}.audio.data",
        f"{_MESSAGE}.images[].image_url.url",
    ),
    opaque=(
        "request.messages[].content[].file.file_id",
        f"{_MESSAGE}.reasoning_details[].(data|signature)",
        "response.obfuscation",
    ),
    free=("request.tools[].function.parameters", "request.response_format.json_schema.schema"),
    json=(f"{_MESSAGE}.tool_calls[].function.arguments", f"{_MESSAGE}.function_call.arguments"),
    numbers=("response.choices[].index", "response.choices[].delta.tool_calls[].index"),
    tokens=("response.choices[].(logprobs|token_ids)", "response.prompt_token_ids"),
    unseen=(FILES,),
)

COMPLETIONS: Final = Api(
    name="openai.completions",
    calls=("/completions",),
    texts=("request.(prompt|suffix)", "response.choices[].text"),
    labels=("(request|response).model", "response.(id|object)", "response.choices[].finish_reason"),
    tokens=("response.choices[].(logprobs|token_ids|prompt_token_ids)",),
    ids=("request.(prompt|prompt_token_ids|prompt_embeds)",),
    unseen=_IDS,
)

# An item: of the input, of the output, and in an event.
_ITEM: Final = "(request.input[]|response.output[]|event.item)"

RESPONSES: Final = Api(
    name="openai.responses",
    calls=("/responses", "/responses/{id}", "/responses/{id}/input_items"),
    texts=(
        "request.(input|instructions)",
        "request.input[].(content|output)",
        "request.tools[].(name|description)",
        f"{_ITEM}.(content[]|summary[]).(text|refusal)",
        f"{_ITEM}.(name|arguments|code|revised_prompt)",
        f"{_ITEM}.outputs[].logs",
        "event.(delta|text|refusal|arguments|code|input)",
        "event.part.text",
    ),
    roles=(f"{_ITEM}.role",),
    labels=(
        "(request|response).(model|service_tier|previous_response_id|conversation)",
        "request.(user|safety_identifier|prompt_cache_key|truncation)",
        "response.(id|object|status)",
        "event.(item_id|response_id)",
        "event.response.(model|status)",
        f"{_ITEM}.(status|call_id|container_id)",
        f"{_ITEM}.(content[]|output[]|summary[]).(detail|status)",
        f"{_ITEM}.content[].annotations[].(file_id|container_id)",
        "event.annotation.(file_id|container_id)",
    ),
    media=(
        f"{_ITEM}.(content[]|output[]).(image_url|file_data|file_url)",
        "event.part.(image_url|file_data|file_url)",
        f"{_ITEM}.output.image_url",
        f"{_ITEM}{{image_generation_call}}.result",
        f"{_ITEM}.outputs[]{{image}}.url",
        "request.tools[].input_image_mask.image_url",
        "event{response.image_generation_call.partial_image}.partial_image_b64",
        "event{response.audio.delta|response.output_audio.delta}.delta",
    ),
    opaque=(
        f"{_ITEM}.(content[]|output[]).file_id",
        "event.part.file_id",
        f"{_ITEM}.output.file_id",
        "request.tools[].input_image_mask.file_id",
        f"{_ITEM}.(encrypted_content|fingerprint)",
        "(event|response).obfuscation",
    ),
    free=(
        "request.tools[].parameters",
        "request.text.format.schema",
        "request.prompt.variables",
        "response.output[].tools[].input_schema",
        # A command has variables, and a model of another API reads all of it.
        f"{_ITEM}.action",
    ),
    json=(f"{_ITEM}.arguments", "event.arguments"),
    numbers=("event.(output_index|content_index|summary_index)",),
    tokens=(f"({_ITEM[1:-1]}).content[].logprobs", "event.(logprobs|part.logprobs)"),
    ids=("request.input",),
    unseen=(FILES, *_STATE),
)

EMBEDDINGS: Final = Api(
    name="openai.embeddings",
    calls=("/embeddings",),
    texts=("request.input",),
    labels=("(request|response).model", "request.(user|encoding_format)", "response.(object|data[].object)"),
    opaque=("response.data[].embedding",),
    ids=("request.(input|input_ids)",),
    unseen=_IDS,
)

IMAGES: Final = Api(
    name="openai.images",
    calls=("/images/generations", "/images/edits", "/images/variations"),
    texts=("request.prompt", "response.data[].revised_prompt"),
    labels=(
        "request.(model|user|size|quality|style|background|output_format|response_format|moderation)",
        "(response|event).(size|quality|background|output_format)",
    ),
    media=(
        "response.data[].(b64_json|url)",
        "request.images[].image_url",
        "request.mask.image_url",
        "event{image_generation.partial_image|image_generation.completed}.b64_json",
        "event{image_edit.partial_image|image_edit.completed}.b64_json",
    ),
    opaque=("request.(images[]|mask).file_id",),
    unseen=(FILES,),
)

AUDIO: Final = Api(
    name="openai.audio",
    calls=("/audio/speech", "/audio/transcriptions", "/audio/translations"),
    texts=(
        "request.(input|instructions|prompt)",
        "response.(text|segments[].text|words[].word)",
        "event.(delta|text)",
    ),
    labels=("request.(model|voice|response_format|stream_format|language)", "event.speaker"),
    media=("event{speech.audio.delta}.audio",),
    tokens=("(response|event).logprobs",),
    unseen=("The speech in a recording.",),
)

MODERATIONS: Final = Api(
    name="openai.moderations",
    calls=("/moderations",),
    texts=("request.(input|input[].text)",),
    labels=("(request|response).model", "response.id"),
    media=("request.input[].image_url.url",),
    unseen=(FILES,),
)

BATCH: Final = Api(
    name="openai.batch",
    calls=("/files", "/batches", "/messages/batches"),
    texts=("request.body.(messages[].content|input|prompt)", "request.requests[].params.messages[].content"),
    labels=("request.(custom_id|method|url)", "request.(body|requests[].params).model"),
    unseen=("Files in other forms than lines of JSON and text, such as PDF.",),
)

OPENAI: Final = (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, IMAGES, AUDIO, MODERATIONS, BATCH)
