"""Purposes, the consent ledger and its receipts."""
