"""A front door for the curious: the main job, driven over HTTP like any customer would.

Owns        traces of LLM calls, and the story of one customer's first day.
Leaves      everything else to the service, which it knows by its HTTP contract alone.
Always true what the service says is compared with what is worked out here, and a difference is a
            failure; a second run is the same customer and records nothing new.
"""
