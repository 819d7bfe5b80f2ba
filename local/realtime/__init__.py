"""AppSync's real-time half and its verified callers, in front of the emulator's GraphQL API.

Gap: MiniStack executes GraphQL over HTTP, but has no subscriptions and does not verify all
credentials. Seen in MiniStack 1.5.33; delete this package when upstream closes it.
"""
