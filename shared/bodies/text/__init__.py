"""Text in bodies: which strings are text, how patterns are found in it, and how matches are masked."""
