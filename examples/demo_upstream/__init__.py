"""A small upstream with the APIs of OpenAI and Anthropic, without a model.

    python -m examples.demo_upstream --port 8082

It repeats the last message of the user, so every response is predictable. A token is a word with the space
that follows it, so the usage of a call can be counted by hand. The input is the text of all messages and
instructions; the output is the text of the response. It listens on loopback only and prints its port when it
is ready. Port 0 selects a free port.

With `--key`, which may be repeated, calls need one of these keys. With `--control-port`, the upstream can be
made to fail, and prints that port in a second line:

    curl -X PUT http://127.0.0.1:8086/control -d '{"fail": "503"}'
    curl -X DELETE http://127.0.0.1:8086/control

`examples.demo_upstream.faults` lists the faults.
"""
