"""What requests cost, measured beside a reference endpoint in the same run.

Not part of the test suite: `make bench`. CPU per request is the figure that holds on a noisy
machine; rates share two cores among client, service and database.
"""
