"""Calling addresses that customers and operators give us: webhook endpoints, Slack, Discord."""
