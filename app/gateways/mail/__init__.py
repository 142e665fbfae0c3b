"""Sending mail: by SMTP, or into a local outbox where no server is configured."""
