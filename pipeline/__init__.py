"""What runs in Lambda: the contract, the merge, the store, the two handlers, the AppSync client."""
