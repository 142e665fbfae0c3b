"""The HTTP side of invoices."""

from fastapi import APIRouter

from app.invoices.router import (
    details,
    documents,
    export,
    notes,
    operators,
    proofs,
    receipts,
    upcoming,
)

router = APIRouter()
router.include_router(details.router)
router.include_router(upcoming.router)  # before documents: `upcoming` is not an id
router.include_router(export.router)  # likewise `export`
router.include_router(documents.router)
router.include_router(proofs.router)
router.include_router(receipts.router)
router.include_router(notes.router)
router.include_router(operators.router)
