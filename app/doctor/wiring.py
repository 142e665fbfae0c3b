"""How the doctor is built."""

from app.doctor.queries import DoctorQueries
from app.doctor.service import Doctor
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock


def register(services: Services) -> None:
    work = services[UnitOfWork]
    clock = services[Clock]  # type: ignore[type-abstract]
    services.add(Doctor, Doctor(work, DoctorQueries(work), clock))
