"""The jobs of the fleet, which one worker of the admin API does at a time, beside requests."""
