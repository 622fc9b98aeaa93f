"""JSON read strictly: one meaning per document, and bounds on what it may cost."""
