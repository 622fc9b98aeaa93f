"""The configuration as a file: what is stored as a document, and documents that are planned and applied."""
