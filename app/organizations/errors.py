"""What `organizations` refuses."""

from app.kernel.errors import Conflict, NotAllowed, NotFound, PaymentRequired


class OrganizationNotFound(NotFound):
    """There is no such organization."""

    code = "organization_not_found"


class MemberNotFound(NotFound):
    """There is no such member."""

    code = "member_not_found"


class InviteNotFound(NotFound):
    """There is no such invitation, or it is no longer open."""

    code = "invite_not_found"


class AlreadyMember(Conflict):
    """This person belongs to the organization already."""

    code = "already_a_member"


class AlreadyInvited(Conflict):
    """An invitation to this address is open already."""

    code = "already_invited"


class InviteAlreadyAccepted(Conflict):
    """This invitation has been accepted already."""

    code = "invite_already_accepted"


class InviteForSomeoneElse(NotAllowed):
    """This invitation went to another e-mail address."""

    code = "invite_for_someone_else"


class OwnersOnly(NotAllowed):
    """Only an owner may appoint, change or remove an owner."""

    code = "owners_only"


class LastOwner(Conflict):
    """An organization needs an owner; make someone else the owner first."""

    code = "last_owner"


class SeatLimitReached(PaymentRequired):
    """No seat of the plan is left: it has {limit}."""

    code = "seat_limit_reached"
    shown = ("limit", "used", "remaining", "plan", "upgrade_to")


class StripeCustomerTaken(Conflict):
    """The organization has another Stripe customer already, or the customer another organization."""

    code = "stripe_customer_taken"


class NoFreeSlug(Conflict):
    """No short name for the organization was free; try again."""

    code = "slug_taken"
