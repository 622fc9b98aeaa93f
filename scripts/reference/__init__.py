"""The pages of docs/reference that the code determines. ``python -m scripts.reference`` writes them."""
