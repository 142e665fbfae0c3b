"""A front door for the curious: the main job, driven over HTTP like any customer would.

`python -m app.demo` registers a person, buys Professional on the hosted checkout page, sends a
trace of LLM calls, runs into the quota from many clients at once and fetches the invoice. It
knows the service by its HTTP contract alone.
"""
