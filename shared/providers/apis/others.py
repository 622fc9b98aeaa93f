"""The APIs of Anthropic, Gemini, Ollama and Bedrock.

Their references: https://platform.claude.com/docs/en/api/messages, https://ai.google.dev/api/generate-content,
https://docs.ollama.com/api and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from typing import Final

from shared.providers.apis.api import FILES, Api

# A block: of a message, of the system prompt, of a result, of the response, and in an event.
_BLOCK: Final = (
    "(request.messages[].content[]|request.system[]|response.content[]|event.content_block|event.delta)"
)
_CITED: Final = f"{_BLOCK}.(citations[]|citation)"
_BLOCKS: Final = (
    f"{_BLOCK}.(text|thinking|title|context|name)",
    f"{_BLOCK}.content",
    f"{_BLOCK}.source{{text}}.data",
)

MESSAGES: Final = Api(
    name="anthropic.messages",
    calls=("/messages",),
    texts=(
        "request.(system|messages[].content)",
        *_BLOCKS,
        "request.messages[].content[].content[].text",
        "request.tools[].(name|description)",
        "response.content[].content[].(title|url)",
        "event.delta.(text|thinking|partial_json)",
    ),
    roles=("request.messages[].role", "response.role", "event.message.role"),
    labels=(
        "(request|response|event.message).(model|service_tier)",
        "(response|event.message|event.delta).stop_reason",
        "(response|event.message).id",
        f"{_BLOCK}.tool_use_id",
        f"{_BLOCK}.source.media_type",
        "request.messages[].content[].content[].source.media_type",
    ),
    media=(f"{_BLOCK}.source{{base64|url|file}}.(data|url)",),
    opaque=(
        f"{_BLOCK}.source{{base64|url|file}}.file_id",
        f"{_BLOCK}{{redacted_thinking}}.data",
        f"{_BLOCK}.(signature|encrypted_content|encrypted_stdout|file_id)",
        f"{_BLOCK}.content[].(encrypted_content|file_id)",
        f"{_BLOCK}.content.encrypted_stdout",
        f"{_CITED}.(encrypted_index|file_id)",
    ),
    free=("request.tools[].input_schema", f"{_BLOCK}.input"),
    json=("event.delta.partial_json",),
    numbers=("event.index",),
    unseen=(FILES,),
)

COUNT_TOKENS: Final = Api(
    name="anthropic.count_tokens",
    calls=("/messages/count_tokens",),
    texts=("request.(system|messages[].content)", "request.tools[].(name|description)"),
    roles=("request.messages[].role",),
    labels=("request.model",),
    media=("request.messages[].content[].source{base64|url|file}.(data|url)",),
    opaque=("request.messages[].content[].source{base64|url|file}.file_id",),
    free=("request.tools[].input_schema",),
    unseen=(FILES,),
)

_CONTENT: Final = (
    "(request.contents[]|request.content|request.systemInstruction|request.system_instruction"
    "|request.requests[].content|response.candidates[].content)"
)
_PARTS: Final = f"{_CONTENT}.parts[]"

GEMINI: Final = Api(
    name="gemini",
    calls=(
        *(":generateContent", ":streamGenerateContent", ":countTokens", ":embedContent"),
        ":batchEmbedContents",
    ),
    texts=(
        f"{_PARTS}.text",
        f"{_PARTS}.(functionCall|function_call).name",
        f"{_PARTS}.(executableCode|executable_code).code",
        f"{_PARTS}.(codeExecutionResult|code_execution_result).output",
        "request.tools[].(functionDeclarations|function_declarations)[].(name|description)",
    ),
    roles=(f"{_CONTENT}.role",),
    labels=(
        "response.(modelVersion|responseId)",
        "request.(model|cachedContent|cached_content|taskType|task_type)",
        "request.requests[].(model|taskType|task_type)",
        "response.candidates[].finishReason",
        "request.(safetySettings|safety_settings)[].(category|threshold)",
        "response.candidates[].safetyRatings[].(category|probability|severity)",
        f"{_PARTS}.(inlineData|inline_data|fileData|file_data).(mimeType|mime_type)",
        f"{_PARTS}.(functionCall|function_call|functionResponse|function_response).id",
    ),
    media=(
        f"{_PARTS}.(inlineData|inline_data).data",
        f"{_PARTS}.(fileData|file_data).(fileUri|file_uri)",
        f"{_PARTS}.(functionResponse|function_response).parts[].(inlineData|inline_data).data",
        "response.candidates[].groundingMetadata.searchEntryPoint.sdkBlob",
    ),
    opaque=(f"{_PARTS}.(thoughtSignature|thought_signature)",),
    free=(
        f"{_PARTS}.(functionCall|function_call).args",
        f"{_PARTS}.(functionResponse|function_response).response",
        "request.tools[].(functionDeclarations|function_declarations)[].parameters",
    ),
    numbers=("response.candidates[].index",),
    tokens=("response.candidates[].logprobsResult",),
    unseen=(FILES, "The content that `cachedContent` names."),
)

OLLAMA: Final = Api(
    name="ollama",
    calls=("/api/chat", "/api/generate", "/api/embed"),
    texts=(
        "(request.messages[]|response.message).(content|thinking)",
        "request.(prompt|system|suffix|template|input)",
        "response.(response|thinking)",
        "request.tools[].function.(name|description)",
    ),
    roles=("(request.messages[]|response.message).role",),
    labels=("(request|response).model", "response.(created_at|done_reason)", "request.keep_alive"),
    media=("(request|response|request.messages[]|response.message).images", "response.image"),
    free=(
        "(request.messages[]|response.message).tool_calls[].function.arguments",
        "request.tools[].function.parameters",
    ),
    tokens=("response.(context|logprobs)",),
    ids=("request.context",),
    unseen=("`context`, the token ids of an earlier call. A request with it is rejected.",),
)

_CONVERSE: Final = "(request.messages[]|response.output.message).content[]"

CONVERSE: Final = Api(
    name="bedrock.converse",
    calls=("/converse",),
    texts=(
        f"{_CONVERSE}.text",
        "request.system[].text",
        f"{_CONVERSE}.toolResult.content[].text",
        f"{_CONVERSE}.reasoningContent.reasoningText.text",
        "request.toolConfig.tools[].toolSpec.(name|description)",
    ),
    roles=("request.messages[].role", "response.output.message.role"),
    labels=("response.stopReason", f"{_CONVERSE}.(toolUse|toolResult).(toolUseId|status)"),
    media=(
        f"{_CONVERSE}.(image|document|video|audio).source.bytes",
        f"{_CONVERSE}.toolResult.content[].(image|document|video).source.bytes",
    ),
    opaque=(
        f"{_CONVERSE}.reasoningContent.reasoningText.signature",
        f"{_CONVERSE}.reasoningContent.redactedContent",
    ),
    free=(f"{_CONVERSE}.toolUse.input", f"{_CONVERSE}.toolResult.content[].json"),
    unseen=(FILES, "The binary stream of `/converse-stream`. A response with it is rejected."),
)

OTHERS: Final = (MESSAGES, COUNT_TOKENS, GEMINI, OLLAMA, CONVERSE)
