"""The pure heart of the gateway: values, rules and decisions. No I/O, no clock, no globals."""
