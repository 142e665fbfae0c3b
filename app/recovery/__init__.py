"""What happens while a payment is missing: the days of grace, the warnings, and the way back.

Owns        the case of an unpaid subscription, from its first failure until it is paid or given
            up, and the account of what happened in it.
Leaves      who has access to `subscriptions`, retrying the card to Stripe, the words of a notice
            and its delivery to `notifications`.
Always true a case is opened by the first failure and by nothing else; each of its warnings is
            announced once; what is heard after the payment changes nothing.
"""
