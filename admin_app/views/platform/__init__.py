"""Views of the platform itself: its tokens."""
