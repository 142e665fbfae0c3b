"""What operators ask of batches, and cannot have."""

from app.kernel.errors import Conflict, NotFound


class BatchNotFound(NotFound):
    """There is no such batch of metered usage."""

    code = "metered_batch_not_found"


class BatchNotStuck(Conflict):
    """This batch is {state}; only one that Stripe refused, or that is uncertain, is queued again."""

    code = "metered_batch_not_stuck"
