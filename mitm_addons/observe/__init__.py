"""Records of exchanges: the access log, and when API keys were last used."""
