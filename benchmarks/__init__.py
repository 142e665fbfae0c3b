"""What requests cost, measured beside floors and rivals in the same run.

Not part of the test suite: `make bench`. Ratios and CPU per event hold on a noisy machine; rates
share two cores among client, service and database.

`floors/` is the least that the same work could cost, `rivals/` what others would do, `cases/`
what is measured, `targets.py` what the figures should be.
"""
