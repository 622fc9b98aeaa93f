"""Strict JSON: one meaning per document, and bounds on its cost."""
