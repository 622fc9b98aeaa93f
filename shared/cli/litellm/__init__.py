"""Turns a configuration of LiteLLM's proxy into a file of the gateway. A pure function of documents."""
