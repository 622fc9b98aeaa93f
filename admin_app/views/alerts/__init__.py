"""What is told of what happens: webhooks."""
