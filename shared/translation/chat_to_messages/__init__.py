"""Clients of OpenAI's chat, with an upstream that speaks Anthropic's messages."""
