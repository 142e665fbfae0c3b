"""What a call to a language model costs, exactly.

Owns        the price book, organizations' own prices, aliases, the lookup order, token roles.
Leaves      storing what a call cost to `usage`; what customers pay for a plan to `catalog`.
Always true a price row never changes, a later one follows it; a cost is exact or unknown, never
            rounded and never a silent zero; the seven prices of the requirements are there.
"""
