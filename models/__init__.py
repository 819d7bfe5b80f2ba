"""On paper: what AWS will charge, how long it will take, where its quotas bind.

List prices, published latencies and default quotas are data (`prices.toml`, `hops.toml`,
`quotas.toml`), each row with its source and date. Nothing here talks to a deployment; what a run
has measured comes in as a file.
"""
