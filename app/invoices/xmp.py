"""Saying in a PDF's metadata that it carries an electronic invoice, as Factur-X asks for."""

from __future__ import annotations

import re

from app.invoices.einvoice import FILE_NAME

_METADATA = re.compile(rb"(\d+) 0 obj\n<</Length (\d+)/Type/Metadata/Subtype/XML>>\nstream\n")
_TRAILER = re.compile(rb"trailer\n<<(.*)>>\nstartxref\n(\d+)\n%%EOF\s*$", re.DOTALL)
_SCHEMAS = "<pdfaExtension:schemas><rdf:Bag>"
_END = "</rdf:RDF>"

_URI = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = (
    ("DocumentFileName", FILE_NAME, "The name of the embedded XML document"),
    ("DocumentType", "INVOICE", "The type of the hybrid document"),
    ("Version", "1.0", "The version of the standard"),
    ("ConformanceLevel", "EN 16931", "The conformance level of the XML document"),
)
_RESOURCE = '<rdf:li rdf:parseType="Resource">'
_DESCRIBED = "".join(
    [
        _RESOURCE,
        "<pdfaSchema:schema>Factur-X</pdfaSchema:schema>",
        f"<pdfaSchema:namespaceURI>{_URI}</pdfaSchema:namespaceURI>",
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>",
        *(
            f"{_RESOURCE}<pdfaProperty:category>external</pdfaProperty:category>"
            f"<pdfaProperty:description>{meaning}</pdfaProperty:description>"
            f"<pdfaProperty:name>{name}</pdfaProperty:name>"
            "<pdfaProperty:valueType>Text</pdfaProperty:valueType></rdf:li>"
            for name, _, meaning in _PROPERTIES
        ),
        "</rdf:Seq></pdfaSchema:property></rdf:li>",
    ]
)
_SAID = "".join(
    [
        f'<rdf:Description rdf:about="" xmlns:fx="{_URI}">',
        *(f"<fx:{name}>{value}</fx:{name}>" for name, value, _ in _PROPERTIES),
        "</rdf:Description>",
    ]
)


def say_factur_x(pdf: bytes) -> bytes:
    """The PDF with Factur-X's properties, and the description of them that PDF/A wants.

    The file is continued, not rewritten: its metadata are an object of their own in plain text,
    and a later object of the same number takes its place. Raises `ValueError` where they are not.
    """
    found, trailer = _METADATA.search(pdf), _TRAILER.search(pdf)
    if found is None or trailer is None:
        raise ValueError("the PDF keeps its metadata in another way")
    said = pdf[found.end() : found.end() + int(found[2])].decode()
    said = said.replace(_SCHEMAS, _SCHEMAS + _DESCRIBED, 1).replace(_END, _SAID + _END, 1)
    metadata, number = said.encode(), int(found[1])
    before = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    again = (
        b"%d 0 obj\n<</Length %d/Type/Metadata/Subtype/XML>>\nstream\n%b\nendstream\nendobj\n"
        % (
            number,
            len(metadata),
            metadata,
        )
    )
    table = b"xref\n0 1\n0000000000 65535 f \n%d 1\n%010d 00000 n \n" % (number, len(before))
    return b"%b%b%btrailer\n<<%b/Prev %b>>\nstartxref\n%d\n%%%%EOF\n" % (
        before,
        again,
        table,
        trailer[1],
        trailer[2],
        len(before) + len(again),
    )
