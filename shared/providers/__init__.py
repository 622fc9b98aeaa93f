"""The APIs of OpenAI and Anthropic: their texts, events, errors and headers, as data and pure functions."""
