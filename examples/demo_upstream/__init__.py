"""A small upstream with the APIs of OpenAI and Anthropic, without a model.

    python -m examples.demo_upstream --port 8082

It repeats the last message of the user, so every response is predictable. It listens on loopback only and
prints its port when it is ready. Port 0 selects a free port.
"""
