"""Text in bodies: patterns, what of a body is text, and masking."""
