"""The words of the trade: money, periods, ids, errors, who is calling.

Owns        the value types every feature speaks in.
Leaves      all input and output to `infra` and `gateways`.
Always true nothing here awaits, reads a setting or touches a network.
"""
