"""The front door for operators: `serve`, `worker`, `migrate`, `create-operator`.

Owns        the processes of a deployment: what is started, in which order, with which environment,
            and that all of them end.
Leaves      serving requests to `main`, background work to `worker`, the schema to `migrations`.
Always true what `serve` started, it stops; if it is killed, its children notice and end by
            themselves, and the next `serve` works.
"""
