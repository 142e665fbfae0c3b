"""What can be done with organizations, by noun."""

from app.organizations.service.organizations import OrganizationService, organization_signal
from app.organizations.service.overviews import OverviewService

__all__ = ["OrganizationService", "OverviewService", "organization_signal"]
