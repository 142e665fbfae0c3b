"""A mail as it travels: headers, text, HTML."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from app.gateways.mail.gateway import Mail, MailRefused
from app.kernel.ids import new_id

_LONGEST_SUBJECT = 200
_SEVEN_BITS = SMTP.clone(cte_type="7bit")
# What does not fit into a line is encoded, and no mail program decodes the address to unsubscribe.
_LONG_HEADERS = _SEVEN_BITS.clone(max_line_length=990)


def build_message(mail: Mail, sender: str, at: datetime) -> EmailMessage:
    """The message of *mail*. Raises `MailRefused` where an address cannot be one.

    A line break in a subject becomes a space, so nobody's name adds a header.
    """
    message = EmailMessage(policy=_SEVEN_BITS)
    try:
        message["From"] = sender
        message["To"] = _address(mail.to)
        message["Subject"] = " ".join(mail.subject.split())[:_LONGEST_SUBJECT]
    except (ValueError, MessageError, IndexError) as error:
        raise MailRefused(reason="an address is not one") from error
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{_name_of(mail)}@{sender.rpartition('@')[2].strip('<> ')}>"
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url is not None:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message.policy = _LONG_HEADERS
    return message


def _address(text: str) -> Address:
    return Address(addr_spec=text)


def _name_of(mail: Mail) -> str:
    if mail.reference is None:
        return new_id().hex
    return hashlib.sha256(f"{mail.reference}\n{mail.to}".encode()).hexdigest()[:40]
