"""Sinks: others who are told what was used. None of them is ever the truth.

Owns        what Lago and Redis are told, when it is tried again, and the events that Lago refuses.
Leaves      noting what was recorded to `usage`; talking to Lago and Redis to their gateways.
Always true recording never waits for a sink; a sink is told every event and every change at least
            once, and repeats are harmless there; one refused event does not hold up the next.
"""
