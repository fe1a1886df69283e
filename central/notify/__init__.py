"""Alarms that leave the browser: a webhook, an SMS gateway, a siren; each with what became of it."""
