"""The laptop stack: MiniStack, the deployed templates, and one adapter for each emulator gap."""
