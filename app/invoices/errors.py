"""What `invoices` refuses."""

from app.kernel.errors import NotFound


class InvoiceNotFound(NotFound):
    """There is no such invoice."""

    code = "invoice_not_found"
