"""Payments: what Stripe says, what becomes of it here, money back, and disputes."""

from app.payments.service.disputes import DisputeService
from app.payments.service.mirror import PaymentMirror
from app.payments.service.refunds import RefundService
from app.payments.service.reports import PaymentReports

__all__ = ["DisputeService", "PaymentMirror", "PaymentReports", "RefundService"]
