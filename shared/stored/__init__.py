"""Objects that providers store by an id, such as responses: their owners, and the targets that know them."""
