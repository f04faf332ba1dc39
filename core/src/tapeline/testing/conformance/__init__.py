"""Conformance kits: what every exchange and sink plugin has to show."""
