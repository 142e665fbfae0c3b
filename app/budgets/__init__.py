"""Budgets: how much may be spent, by whom, until when; who is told, and who may pass.

Owns        budgets, their thresholds and what each of them does, overrides with their reasons,
            and the alerts that were raised.
Leaves      counting what is spent, holding it and refusing to `usage`, whose limits are kept in
            step in the same unit; mails to `notifications`.
Always true a budget that exists has a limit that holds, and one that is deleted has none; a
            threshold is alerted once per period; every change names who made it.
"""
