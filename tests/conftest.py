"""What holds for all tests."""

from hypothesis import settings

# A busy machine makes an example slow; no promise is about that.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
