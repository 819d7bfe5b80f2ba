"""One adapter for each gap of the emulator; each names the gap and the version it was seen in."""
