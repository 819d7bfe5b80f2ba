"""One file a stack, in the order in which they are deployed: data, identity, ingest, fanout."""
