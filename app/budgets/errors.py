"""What `budgets` refuses."""

from app.kernel.errors import Conflict, Malformed, NotFound


class BudgetNotFound(NotFound):
    """There is no such budget."""

    code = "budget_not_found"


class OverrideNotFound(NotFound):
    """There is no such override."""

    code = "override_not_found"


class AlertNotFound(NotFound):
    """There is no such alert."""

    code = "budget_alert_not_found"


class DebateHasBudget(Conflict):
    """This debate has a budget already; change that one."""

    code = "debate_has_budget"


class TooManyBudgets(Conflict):
    """There are {most} budgets for this already; delete one first."""

    code = "too_many_budgets"


class OverrideOver(Malformed):
    """An override ends in the future, within a year."""

    code = "override_over"
