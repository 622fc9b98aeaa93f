"""How much of a model a request used, and its price."""
