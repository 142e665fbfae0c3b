"""Products."""

from app.sandbox.core import ids
from app.sandbox.core.lists import among, matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Range,
    Spec,
    Text,
    given,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid, wrong_state
from app.sandbox.core.sandbox import Sandbox

_COMMON: dict[str, Spec] = {
    "active": Flag(),
    "description": Text(clears=True),
    "images": Many(Text(), clears=True),
    "metadata": Metadata(),
    "name": Text(),
    "statement_descriptor": Text(),
    "unit_label": Text(clears=True),
    "url": Text(clears=True),
}
CREATE = Fields({**_COMMON, "id": Text(), "type": one_of("good", "service")}, needs=("name",))
UPDATE = Fields({**_COMMON, "default_price": Text()})


def create(sandbox: Sandbox, params: Doc) -> Doc:
    name = params.get("id", ids.new("prod", 14))
    if sandbox.find("product", name) is not None:
        raise invalid(f"Product already exists: {name}", "id", "resource_already_exists")
    product = blank(sandbox, name, params["name"])
    write(product, params)
    return sandbox.add(product, "product.created")


def blank(sandbox: Sandbox, id: str, name: str) -> Doc:
    now = sandbox.now()
    return {
        "id": id,
        "object": "product",
        "active": True,
        "created": now,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": now,
        "url": None,
    }


def write(product: Doc, params: Doc) -> None:
    product.update(
        given(
            params,
            "active",
            "description",
            "name",
            "statement_descriptor",
            "type",
            "unit_label",
            "url",
        )
    )
    if "images" in params:
        product["images"] = params["images"] or []
    product["metadata"] = merged(product["metadata"], params.get("metadata"))


def retrieve(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return sandbox.get("product", id)


def update(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    product = sandbox.get("product", id)
    if "default_price" in params:
        price = sandbox.named("price", params["default_price"], "default_price")
        product["default_price"] = price["id"]
    write(product, params)
    product["updated"] = sandbox.now()
    return sandbox.save(product, "product.updated")


def delete(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    product = sandbox.get("product", id)
    if sandbox.all("price", product=id):
        raise wrong_state("This product cannot be deleted because it has one or more prices.")
    sandbox.emit("product.deleted", product)
    return sandbox.save({"id": id, "object": "product", "deleted": True})


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "active", "url")
    if "ids" in params:
        conditions.append(among("id", params["ids"]))
    return page(sandbox, "product", "/v1/products", params, conditions)


OPERATIONS = (
    Operation("POST", "/v1/products", create, CREATE, "ProductCreateParams"),
    Operation(
        "GET",
        "/v1/products",
        list_,
        listing(active=Flag(), created=Range(), ids=Many(Text()), url=Text()),
        "ProductListParams",
    ),
    Operation("GET", "/v1/products/{id}", retrieve, NOTHING, "ProductRetrieveParams"),
    Operation("POST", "/v1/products/{id}", update, UPDATE, "ProductUpdateParams"),
    Operation("DELETE", "/v1/products/{id}", delete, NOTHING, "ProductDeleteParams"),
)
