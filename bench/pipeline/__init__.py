"""What the plugin pipeline costs, and how long plugins that wait take together."""
