"""Latchline on AWS: a CDK app of four stacks, the GraphQL schema and its resolvers."""
