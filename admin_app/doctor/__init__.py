"""What an operator should know or change: settings, store, fleet, this machine, providers."""
