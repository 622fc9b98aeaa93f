"""What is told of what happens, as JSON: webhooks."""
