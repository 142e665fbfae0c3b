"""What can be done with organizations, by noun."""

from app.organizations.service.invites import InviteService
from app.organizations.service.members import MemberService
from app.organizations.service.organizations import OrganizationService, organization_signal
from app.organizations.service.overviews import OverviewService

__all__ = [
    "InviteService",
    "MemberService",
    "OrganizationService",
    "OverviewService",
    "organization_signal",
]
