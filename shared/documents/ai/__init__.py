"""The JSON of AI: providers with their keys, models, pools of targets, what a rule serves, usage."""
