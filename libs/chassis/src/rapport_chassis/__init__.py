"""The chassis every Rapport service is built on."""
