"""Clients of Anthropic's messages, with an upstream that speaks OpenAI's chat."""
