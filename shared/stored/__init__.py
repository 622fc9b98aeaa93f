"""What providers store under an id, such as responses: whose it is, and which target knows it."""
